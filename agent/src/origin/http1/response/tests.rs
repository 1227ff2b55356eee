use proptest::prelude::*;

use super::*;

/// Takes a head that comes in pieces.
fn read(bytes: &[u8], piece: usize) -> Result<Option<(Head, usize)>, &'static str> {
    let (mut from, mut seen) = (BytesMut::new(), 0);
    let mut fields = FieldsMut::default();
    let mut pieces = bytes.chunks(piece);
    loop {
        if let Some(head) = take_response(&mut from, &mut seen, &mut fields)? {
            let rest = from.len() + pieces.map(<[u8]>::len).sum::<usize>();
            return Ok(Some((head, rest)));
        }
        match pieces.next() {
            Some(piece) => from.extend_from_slice(piece),
            None => return Ok(None),
        }
    }
}

fn framing(head: &str) -> Result<Framing, &'static str> {
    let (head, _) = read(head.as_bytes(), 1000)?.ok_or("not whole")?;
    head.framing(&Method::GET)
}

#[test]
fn a_response_is_read_with_all_its_fields() {
    let bytes =
        b"HTTP/1.1 201 Made\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nx:\t spaced \r\n\r\nbody";
    for piece in 1..bytes.len() {
        let (head, rest) = read(bytes, piece).unwrap().unwrap();
        assert_eq!(
            (head.status.as_u16(), head.keep.is_some(), rest),
            (201, true, 4)
        );
        let fields = [
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x", "spaced"),
        ];
        assert_eq!(head.fields, Fields::from_pairs(fields).unwrap());
    }
    for len in 0..bytes.len() - 4 {
        assert!(read(&bytes[..len], 7).unwrap().is_none(), "{len}");
    }
    // A line may end with a line feed alone.
    assert!(read(b"HTTP/1.1 200 OK\nx: 1\n\n", 1).unwrap().is_some());
}

#[test]
fn fields_of_the_origins_connection_stay_here() {
    let bytes =
        b"HTTP/1.1 200 OK\r\nX-Mine: 1\r\nConnection: keep-alive, x-mine, Content-Length\r\n\
        Keep-Alive: timeout=5\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\nx-yours: 2\r\n\r\n";
    let (head, _) = read(bytes, 1000).unwrap().unwrap();
    let fields = Fields::from_pairs([("x-yours", "2")]).unwrap();
    assert_eq!(head.fields, fields);
    assert_eq!(head.keep, Some(Duration::from_secs(4)));
    assert_eq!(head.framing(&Method::GET), Ok(Framing::Chunked));
}

#[test]
fn whether_a_connection_goes_on_is_said_by_version_and_connection() {
    for (head, keep_alive) in [
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n\r\n", true),
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive, close\r\n\r\n",
            false,
        ),
    ] {
        let (head, _) = read(head.as_bytes(), 100).unwrap().unwrap();
        assert_eq!(head.keep.is_some(), keep_alive, "{head:?}");
    }
}

#[test]
fn framing_is_decided_as_in_rfc_9112_section_6_3() {
    let of = |fields: &str| framing(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    assert_eq!(of("content-length: 7\r\n"), Ok(Framing::Length(7)));
    assert_eq!(
        of("content-length: 7, 7\r\ncontent-length: 7\r\n"),
        Ok(Framing::Length(7))
    );
    assert_eq!(of("transfer-encoding: Chunked\r\n"), Ok(Framing::Chunked));
    assert_eq!(of(""), Ok(Framing::Close));
    for bad in [
        "content-length: 7\r\ncontent-length: 8\r\n",
        "content-length: 7, 8\r\n",
        "content-length: +7\r\n",
        "content-length: 7a\r\n",
        "content-length: 0x7\r\n",
        "content-length:\r\n",
        "content-length: 18446744073709551616\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 7\r\n",
        "transfer-encoding : chunked\r\n",
        " transfer-encoding: chunked\r\n",
        "x: a\r\n transfer-encoding: chunked\r\n",
    ] {
        assert!(of(bad).is_err(), "{bad:?}");
    }
    assert!(framing("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    for bodiless in ["204 No Content", "304 Not Modified"] {
        let head = format!("HTTP/1.1 {bodiless}\r\ncontent-length: 7\r\n\r\n");
        assert_eq!(framing(&head), Ok(Framing::Length(0)));
    }
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n";
    let (head, _) = read(head, 100).unwrap().unwrap();
    assert_eq!(head.framing(&Method::HEAD), Ok(Framing::Length(0)));
}

#[test]
fn what_is_no_head_of_http_1_is_refused() {
    for bytes in [
        &b"220 mail.example ESMTP\r\n\r\n"[..],
        b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
    ] {
        assert!(
            read(bytes, 5).is_err(),
            "{:?}",
            bytes.escape_ascii().to_string()
        );
    }
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "x: 1\r\n".repeat(MAX_FIELDS + 1)
    );
    assert!(read(many.as_bytes(), 1000).is_err());
    // One that never ends is not gathered for ever.
    assert!(read(&[b'a'; MAX_HEAD + 10], 1000).is_err());
}

proptest! {
    #[test]
    fn garbage_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
        drop(read(&bytes, piece));
        drop(read(&[b"HTTP/1.1 200 OK\r\n", &bytes[..], b"\r\n\r\n"].concat(), piece));
    }
}
