//! The frames of a visitor over HTTP/2 are counted the same however they are cut.

use adit_relay::edge::http2::guard::Frames;

pub(crate) fn check(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(cut % 32) + 1));
}

/// Whether it was too much at some point, and whether a head has not ended.
fn read(bytes: &[u8], piece: usize) -> (bool, bool) {
    let mut frames = Frames::default();
    for piece in bytes.chunks(piece) {
        if frames.feed(piece).is_err() {
            return (true, false);
        }
    }
    (false, frames.is_in_head())
}
