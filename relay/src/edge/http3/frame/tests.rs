use proptest::prelude::*;

use super::*;

const MOST: usize = 100;

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint::put(&mut bytes, kind);
    varint::put_bytes(&mut bytes, payload);
    bytes
}

/// What is taken out of these bytes, that come in pieces of this length; and whether the stream may end then.
fn taken(on: On, bytes: &[u8], piece: usize) -> Result<(Vec<Piece>, bool), Code> {
    let mut frames = Frames::new(on, MOST);
    let mut all: Vec<Piece> = Vec::new();
    for chunk in bytes.chunks(piece) {
        frames.push(Bytes::copy_from_slice(chunk));
        while let Some(next) = frames.take().map_err(|violation| violation.code)? {
            // How data is cut says nothing.
            match (all.last_mut(), next) {
                (Some(Piece::Data(before)), Piece::Data(data)) => {
                    *before = [&before[..], &data].concat().into();
                }
                (_, next) => all.push(next),
            }
        }
        assert!(frames.is_empty());
    }
    Ok((all, frames.is_between()))
}

fn request() -> Vec<Vec<u8>> {
    let unknown = frame(0x1f * 3 + 0x21, &[7; 70]);
    vec![
        frame(HEADERS, b"head"),
        unknown.clone(),
        frame(DATA, b"body"),
        frame(DATA, b""),
        frame(DATA, &[1; 300]),
        unknown,
        frame(HEADERS, b""),
    ]
}

#[test]
fn frames_are_the_same_however_they_are_cut() {
    let bytes = request().concat();
    let expected = vec![
        Piece::Headers(Bytes::from_static(b"head")),
        Piece::Data([&b"body"[..], &[1; 300]].concat().into()),
        Piece::Headers(Bytes::new()),
    ];
    for piece in 1..bytes.len() {
        let seen = taken(On::Request, &bytes, piece).unwrap();
        assert_eq!(seen.0, expected);
        assert!(seen.1);
    }
    let ends = request().into_iter().scan(0, |sum, frame| {
        *sum += frame.len();
        Some(*sum)
    });
    let ends: Vec<_> = ends.collect();
    for end in 1..bytes.len() {
        let (_, may_end) = taken(On::Request, &bytes[..end], 1000).unwrap();
        assert_eq!(may_end, ends.contains(&end), "{end}");
    }
}

#[test]
fn a_head_that_is_too_large_is_known_by_its_length_alone() {
    let mut frames = Frames::new(On::Request, MOST);
    let mut bytes = Vec::new();
    varint::put(&mut bytes, HEADERS);
    varint::put(&mut bytes, 900 << 20);
    frames.push(bytes.into());
    assert_eq!(frames.take(), Ok(Some(Piece::TooLarge)));
    for _ in 0..100 {
        frames.push(Bytes::from_static(&[0; 1000]));
        assert_eq!(frames.take(), Ok(None));
        assert!(frames.part.capacity() < 100);
    }
}

#[test]
fn control_frames_are_read_where_they_may_be() {
    let bytes = [
        frame(SETTINGS, &[6, 1]),
        frame(GOAWAY, &[4]),
        frame(MAX_PUSH_ID, &[8]),
        frame(CANCEL_PUSH, &[0x40, 9]),
        frame(0x21, b"grease"),
    ];
    let expected = vec![
        Piece::Settings(Bytes::from_static(&[6, 1])),
        Piece::Goaway(4),
        Piece::MaxPushId(8),
        Piece::CancelPush(9),
    ];
    for piece in [1, 2, 100] {
        let seen = taken(On::Control, &bytes.concat(), piece).unwrap();
        assert_eq!((&seen.0, seen.1), (&expected, true));
    }
    for kind in [GOAWAY, DATA, 0x21] {
        let error = taken(On::Control, &frame(kind, b"x"), 100).unwrap_err();
        assert_eq!(error, Code::MissingSettings, "{kind}");
    }
    let after_settings = |bytes: &[u8]| {
        let bytes = [&frame(SETTINGS, b"")[..], bytes].concat();
        taken(On::Control, &bytes, 10_000).unwrap_err()
    };
    for kind in [DATA, HEADERS, PUSH_PROMISE, 2, 6, 8, 9] {
        let error = after_settings(&frame(kind, b"x"));
        assert_eq!(error, Code::FrameUnexpected, "{kind}");
    }
    for kind in [
        SETTINGS,
        GOAWAY,
        MAX_PUSH_ID,
        CANCEL_PUSH,
        PUSH_PROMISE,
        2,
        6,
        8,
        9,
    ] {
        let error = taken(On::Request, &frame(kind, b"x"), 100).unwrap_err();
        assert_eq!(error, Code::FrameUnexpected, "{kind}");
    }
    for (bad, code) in [
        (frame(GOAWAY, &[]), Code::FrameError),
        (frame(GOAWAY, &[4, 4]), Code::FrameError),
        (frame(GOAWAY, &[0; 9]), Code::FrameError),
        (frame(SETTINGS, &[0; 5000]), Code::ExcessiveLoad),
    ] {
        assert_eq!(after_settings(&bad), code);
    }
}

#[test]
fn what_is_written_is_read() {
    let mut bytes = BytesMut::new();
    put_headers(&mut bytes, |to| to.put_slice(b"fields"));
    put_data(4, &mut bytes);
    bytes.put_slice(b"body");
    let seen = taken(On::Request, &bytes, 3).unwrap().0;
    let expected = [
        Piece::Headers(Bytes::from_static(b"fields")),
        Piece::Data(Bytes::from_static(b"body")),
    ];
    assert_eq!(seen, expected);
    let mut bytes = BytesMut::new();
    put_settings(&[(6, 1000), (8, 1)], &mut bytes);
    put_goaway(400, &mut bytes);
    let seen = taken(On::Control, &bytes, 3).unwrap().0;
    let expected = [
        Piece::Settings(Bytes::from_static(&[6, 0x43, 0xe8, 8, 1])),
        Piece::Goaway(400),
    ];
    assert_eq!(seen, expected);
}

proptest! {
    #[test]
    fn anything_is_read_or_refused_however_it_is_cut(bytes: Vec<u8>, piece in 1_usize..20) {
        for on in [On::Request, On::Control] {
            prop_assert_eq!(taken(on, &bytes, piece), taken(on, &bytes, bytes.len().max(1)));
        }
    }
}
