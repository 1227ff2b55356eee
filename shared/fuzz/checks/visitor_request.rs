//! A request of a visitor ends in the same place however it is cut into pieces, and says one thing.

use std::mem::MaybeUninit;

use adit_relay::edge::http1::head::{self, Framing, Head, MAX_FIELDS, Room};
use adit_shared::http1::chunked::{Chunked, Step};
use bytes::{Buf as _, BytesMut};

pub(crate) fn check(data: &[u8]) {
    let Some((&cut, request)) = data.split_first() else {
        return;
    };
    let whole = read(request, request.len().max(1));
    assert_eq!(whole, read(request, usize::from(cut % 32) + 1));
}

/// What was read: the head as text, its framing, the body of one in chunks, and what is left.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    head: Option<(String, Framing)>,
    body: Vec<u8>,
    trailers: usize,
    left: Option<usize>,
    failed: bool,
}

/// Reads a request that comes in pieces of this many bytes.
fn read(request: &[u8], piece: usize) -> Seen {
    let mut seen = Seen::default();
    let mut pieces = request.chunks(piece);
    let mut from = BytesMut::new();
    let framing = loop {
        match first(&from) {
            Ok(Some((text, framing, len))) => {
                seen.head = Some((text, framing));
                from.advance(len);
                break framing;
            }
            Ok(None) => {}
            Err(()) => {
                seen.failed = true;
                return seen;
            }
        }
        let Some(piece) = pieces.next() else {
            return seen;
        };
        from.extend_from_slice(piece);
    };
    if framing != Framing::Chunked {
        return seen;
    }
    let mut chunked = Chunked::default();
    loop {
        match chunked.take(&mut from) {
            Ok(Step::Data(data)) => seen.body.extend_from_slice(&data),
            Ok(Step::End(trailers)) => {
                seen.trailers = trailers.len();
                seen.left = Some(from.len() + pieces.map(<[u8]>::len).sum::<usize>());
                return seen;
            }
            Ok(Step::More) => match pieces.next() {
                Some(piece) => from.extend_from_slice(piece),
                None => return seen,
            },
            Err(_) => {
                seen.failed = true;
                return seen;
            }
        }
    }
}

fn first(from: &[u8]) -> Result<Option<(String, Framing, usize)>, ()> {
    let mut room: Room<'_> = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let Some((head, len)) = head::parse(from, &mut room).map_err(drop)? else {
        return Ok(None);
    };
    proper(&head, &from[..len]);
    Ok(Some((format!("{head:?}"), head.framing, len)))
}

/// What holds of every head that is taken.
fn proper(head: &Head<'_>, text: &[u8]) {
    assert!(text.ends_with(b"\r\n\r\n"));
    let target = head.target.path.as_str();
    assert!(target == "*" || target.starts_with('/') && !target.contains(['#', ' ', '\r', '\n']));
    for field in head.fields {
        assert!(!field.name.is_empty() && !field.name.contains([' ', ':']));
        assert!(
            !field
                .value
                .iter()
                .any(|byte| matches!(byte, b'\r' | b'\n' | 0))
        );
    }
    let named = |name: &str| {
        let fields = head.fields.iter();
        fields
            .filter(|field| field.name.eq_ignore_ascii_case(name))
            .count()
    };
    let codings = named("transfer-encoding");
    assert!(named("content-length") + codings <= 1);
    assert_eq!(head.framing == Framing::Chunked, codings == 1);
}
