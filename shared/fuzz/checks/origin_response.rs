//! A response of an origin is read in the same way however it is cut into pieces, and never past its end.

use adit_agent::origin::http1::response::{Framing, Head, take_response};
use adit_shared::http1::chunked::{Chunked, Step};
use adit_shared::wire::fields::FieldsMut;
use bytes::BytesMut;
use http::{HeaderMap, Method};

pub(crate) fn check(data: &[u8]) {
    let Some((&cut, message)) = data.split_first() else {
        return;
    };
    let whole = read(message, message.len().max(1));
    assert_eq!(whole, read(message, usize::from(cut % 32) + 1));
}

/// What was read: the head, its framing, the body and the trailers of one in chunks, and what is left.
#[derive(Debug, PartialEq)]
struct Seen {
    head: Option<Head>,
    framing: Option<Framing>,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    left: Option<usize>,
    failed: bool,
}

/// Reads a message that comes in pieces of this many bytes.
fn read(message: &[u8], piece: usize) -> Seen {
    let mut seen = Seen {
        head: None,
        framing: None,
        body: Vec::new(),
        trailers: None,
        left: None,
        failed: false,
    };
    let mut pieces = message.chunks(piece);
    let mut from = BytesMut::new();
    let (mut looked_at, mut fields) = (0, FieldsMut::default());
    let head = loop {
        match take_response(&mut from, &mut looked_at, &mut fields) {
            Ok(Some(head)) => break head,
            Ok(None) => {}
            Err(_) => {
                seen.failed = true;
                return seen;
            }
        }
        let Some(piece) = pieces.next() else {
            return seen;
        };
        from.extend_from_slice(piece);
    };
    let framing = head.framing(&Method::GET);
    seen.head = Some(head);
    seen.failed = framing.is_err();
    seen.framing = framing.ok();
    if seen.framing != Some(Framing::Chunked) {
        return seen;
    }
    let mut chunked = Chunked::default();
    loop {
        match chunked.take(&mut from) {
            Ok(Step::Data(data)) => seen.body.extend_from_slice(&data),
            Ok(Step::End(trailers)) => {
                seen.trailers = Some(trailers);
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
