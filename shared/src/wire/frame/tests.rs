//! Messages however they are cut, and what is refused.

use http::{HeaderValue, Method};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn request(end: bool) -> head::Request {
    let fields = Fields::from_pairs([
        ("content-type", "application/json"),
        ("x-hub-signature-256", "sha256=00"),
    ]);
    head::Request {
        tunnel: 1,
        method: Method::POST,
        https: true,
        authority: HeaderValue::from_static("a.example"),
        target: "/hook?x=1".parse().unwrap(),
        protocol: None,
        arrival: None,
        fields: fields.unwrap(),
        end,
    }
}

fn read_all(side: Side, bytes: &[u8], piece: usize) -> Result<Vec<Part>, FrameError> {
    let mut reader = Reader::new(side);
    let mut parts = Vec::new();
    for chunk in bytes.chunks(piece) {
        reader.push(Bytes::copy_from_slice(chunk));
        while let Some(part) = reader.next_part()? {
            parts.push(part);
        }
    }
    reader
        .is_done()
        .then_some(parts)
        .ok_or(FrameError::Truncated)
}

fn join(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(Part::Data(before)), Part::Data(data)) => {
                *before = [&before[..], &data[..]].concat().into();
            }
            (_, part) => joined.push(part),
        }
    }
    joined
}

proptest! {
    #[test]
    fn a_message_is_read_whole_however_it_is_cut(
        body in vec(vec(any::<u8>(), 0..200), 0..5), trailers in any::<bool>(),
        piece in 1..100_usize,
    ) {
        let mut bytes = BytesMut::new();
        put_request(&mut bytes, &request(false)).unwrap();
        for data in &body {
            put_data_header(&mut bytes, data.len());
            bytes.put_slice(data);
        }
        let fields = Fields::from_pairs([("grpc-status", "0")]).unwrap();
        if trailers {
            put_trailers(&mut bytes, &fields).unwrap();
        }
        put_end(&mut bytes);

        let mut expected = vec![Part::Request(Box::new(request(false)))];
        let data = body.concat();
        if !data.is_empty() {
            expected.push(Part::Data(data.into()));
        }
        if trailers {
            expected.push(Part::Trailers(fields));
        }
        expected.push(Part::End);
        prop_assert_eq!(join(read_all(Side::Request, &bytes, piece).unwrap()), expected);
        for end in 0..bytes.len() {
            prop_assert_eq!(
                read_all(Side::Request, &bytes[..end], piece),
                Err(FrameError::Truncated)
            );
        }
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..300), piece in 1..20_usize) {
        drop(read_all(Side::Request, &bytes, piece));
        drop(read_all(Side::Response, &bytes, piece));
    }
}

#[test]
fn frames_out_of_order_are_refused() {
    let mut whole = BytesMut::new();
    put_request(&mut whole, &request(true)).unwrap();
    let mut body = whole.clone();
    put_end(&mut body);
    let read = |side, bytes: &[u8]| read_all(side, bytes, 1000);
    assert_eq!(read(Side::Request, &body), Err(FrameError::Order(END)));
    assert_eq!(
        read(Side::Response, &whole),
        Err(FrameError::Order(REQUEST))
    );
    assert_eq!(
        read(Side::Request, &[DATA, 0]),
        Err(FrameError::Order(DATA))
    );
    assert_eq!(
        read(Side::Request, &[0x30, 0]),
        Err(FrameError::Order(0x30))
    );
}

#[test]
fn an_oversized_head_is_refused_before_it_is_gathered() {
    let mut bytes = BytesMut::new();
    bytes.put_u8(REQUEST);
    varint::put(&mut bytes, MAX_HEAD as u64 + 1);
    let read = read_all(Side::Request, &bytes, 1000);
    assert_eq!(read, Err(FrameError::HeadTooLarge(MAX_HEAD as u64 + 1)));

    let mut head = request(true);
    head.fields = Fields::from_pairs([("x-long", [b'a'; MAX_HEAD])]).unwrap();
    assert_eq!(put_request(&mut bytes, &head), Err(HeadTooLarge));
}

#[test]
fn after_a_101_bytes_are_raw() {
    let mut bytes = BytesMut::new();
    let head = head::Response {
        status: StatusCode::SWITCHING_PROTOCOLS,
        fields: Fields::new(),
        end: false,
    };
    put_response(&mut bytes, &head).unwrap();
    bytes.put_slice(b"raw");
    let mut reader = Reader::new(Side::Response);
    reader.push(bytes.freeze());
    assert!(matches!(reader.next_part(), Ok(Some(Part::Response(_)))));
    assert_eq!(reader.into_rest(), "raw");
}

#[test]
fn data_is_not_copied() {
    let mut reader = Reader::new(Side::Request);
    let mut bytes = BytesMut::new();
    put_request(&mut bytes, &request(false)).unwrap();
    put_data_header(&mut bytes, 5);
    let at = bytes.len();
    bytes.put_slice(b"hello");
    let bytes = bytes.freeze();
    reader.push(bytes.clone());
    reader.next_part().unwrap();
    let Ok(Some(Part::Data(data))) = reader.next_part() else {
        panic!("no data")
    };
    assert_eq!(data.as_ptr(), bytes[at..].as_ptr());
}
