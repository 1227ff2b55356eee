//! A body, kept up to a limit.

use bytes::{Bytes, BytesMut};

use adit_shared::chunks::SMALL;

/// The beginning of a body, and how long all of it is.
#[derive(Debug, Default)]
pub struct Kept {
    parts: Vec<Bytes>,
    /// Small pieces are copied: each would hold on to a whole packet, or to a read buffer.
    tail: BytesMut,
    kept: usize,
    size: u64,
}

impl Kept {
    /// A body of which this is what is kept.
    pub fn of(bytes: Bytes, size: u64) -> Self {
        let kept = bytes.len();
        Self {
            parts: if bytes.is_empty() {
                Vec::new()
            } else {
                vec![bytes]
            },
            tail: BytesMut::new(),
            kept,
            size: size.max(kept as u64),
        }
    }

    /// How many bytes of `data` are still to be kept when `limit` is the most.
    pub(super) fn wants(&self, data: &Bytes, limit: usize) -> usize {
        if self.is_cut() {
            return 0;
        }
        data.len().min(limit.saturating_sub(self.kept))
    }

    /// Counts `data`, and keeps its first `len` bytes.
    pub(super) fn add(&mut self, data: &Bytes, len: usize) {
        self.size += data.len() as u64;
        if len == 0 {
            return;
        }
        self.kept += len;
        if len < SMALL {
            self.tail.extend_from_slice(&data[..len]);
            return;
        }
        if !self.tail.is_empty() {
            self.parts.push(self.tail.split().freeze());
        }
        self.parts.push(data.slice(..len));
    }

    /// Counts bytes that are not kept.
    pub(super) fn skip(&mut self, len: u64) {
        self.size += len;
    }

    /// Moves what is kept into memory of its own, so that nothing else is held with it.
    pub(super) fn settle(&mut self) {
        if self.parts.is_empty() && self.tail.is_empty() {
            return;
        }
        let mut whole = BytesMut::with_capacity(self.kept);
        for part in self.parts.drain(..) {
            whole.extend_from_slice(&part);
        }
        whole.extend_from_slice(&self.tail);
        self.tail = BytesMut::new();
        self.parts = vec![whole.freeze()];
    }

    /// What is kept, in one piece.
    pub fn bytes(&self) -> Bytes {
        match (self.parts.as_slice(), self.tail.is_empty()) {
            ([], true) => Bytes::new(),
            ([one], true) => one.clone(),
            (parts, _) => {
                let mut whole = BytesMut::with_capacity(self.kept);
                parts.iter().for_each(|part| whole.extend_from_slice(part));
                whole.extend_from_slice(&self.tail);
                whole.freeze()
            }
        }
    }

    /// How many bytes are kept.
    pub fn len(&self) -> usize {
        self.kept
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.kept == 0
    }

    /// How long the whole body is, as far as it has come.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether some of it is not kept.
    pub fn is_cut(&self) -> bool {
        self.size > self.kept as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_in_order_up_to_the_limit() {
        let mut kept = Kept::default();
        let (small, large) = (Bytes::from("small"), Bytes::from(vec![b'x'; 4096]));
        for data in [&small, &large, &small, &small] {
            let len = kept.wants(data, 4104);
            kept.add(data, len);
        }
        let expected = [b"small", &large[..], b"sma"].concat();
        assert_eq!(kept.bytes(), expected);
        assert_eq!((kept.len(), kept.size()), (4104, 4096 + 15));
        assert!(kept.is_cut());
        kept.settle();
        assert_eq!(kept.bytes(), expected);
        // What comes after a gap is no part of the beginning.
        assert_eq!(kept.wants(&small, 1 << 20), 0);
    }

    #[test]
    fn large_pieces_are_not_copied_while_they_pass() {
        let mut kept = Kept::default();
        let data = Bytes::from(vec![0; 8192]);
        kept.add(&data, 8192);
        assert_eq!(kept.bytes().as_ptr(), data.as_ptr());
    }
}
