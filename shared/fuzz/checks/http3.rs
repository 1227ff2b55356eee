//! What a visitor sends over HTTP/3 is the same however it is cut, takes no more memory than it may, and says
//! one thing.

use adit_relay::edge::http3::frame::{Frames, On, Piece};
use adit_relay::edge::http3::qpack::instructions::{self, Decoder};
use adit_relay::edge::http3::qpack::{self, Limit};
use adit_relay::edge::http3::request::Head;
use adit_relay::edge::http3::settings;
use bytes::Bytes;

const LIMIT: Limit = Limit {
    bytes: 4096,
    fields: 64,
};

pub(crate) fn check(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    for on in [On::Request, On::Control] {
        let whole = frames(on, bytes, bytes.len().max(1));
        assert_eq!(whole, frames(on, bytes, usize::from(cut % 32) + 1));
        for piece in whole.into_iter().flatten() {
            match piece {
                Piece::Headers(block) => section(&block),
                Piece::Settings(payload) => drop(settings::check(payload)),
                _ => {}
            }
        }
    }
    section(bytes);
    let _ = instructions::encoder(bytes);
    let (one, two) = bytes.split_at(usize::from(cut) % (bytes.len() + 1));
    let mut cut = Decoder::default();
    let read = cut.read(one).and_then(|()| cut.read(two));
    assert_eq!(read, Decoder::default().read(bytes));
}

/// The pieces of a stream, data joined; none after a violation.
fn frames(on: On, bytes: &[u8], piece: usize) -> Option<Vec<Piece>> {
    let mut frames = Frames::new(on, 1024);
    let mut all: Vec<Piece> = Vec::new();
    for chunk in bytes.chunks(piece) {
        frames.push(Bytes::copy_from_slice(chunk));
        while let Some(next) = frames.take().ok()? {
            match (all.last_mut(), next) {
                (Some(Piece::Data(before)), Piece::Data(data)) => {
                    *before = [&before[..], &data].concat().into();
                }
                (_, Piece::Headers(block)) => {
                    assert!(block.len() <= 1024);
                    all.push(Piece::Headers(block));
                }
                (_, next) => all.push(next),
            }
        }
    }
    Some(all)
}

fn section(block: &[u8]) {
    let Ok(section) = qpack::decode(block, LIMIT) else {
        return;
    };
    let bytes = section.iter().map(|(name, value)| name.len() + value.len());
    assert!(bytes.sum::<usize>() <= LIMIT.bytes && section.iter().count() <= LIMIT.fields);
    let Ok(head) = Head::of(&section) else {
        return;
    };
    let target = head.target.as_str();
    assert!(target == "*" || target.starts_with('/') && !target.contains(['#', ' ', '\r', '\n']));
    for (name, value) in head.fields() {
        assert!(!name.is_empty() && !name.contains(&b':'));
        assert!(!name.iter().any(u8::is_ascii_uppercase));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
}
