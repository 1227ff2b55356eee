//! Bytes that leave with the next write: gathered so that one write takes many of them.
//!
//! Data stays in the memory in which it arrived, but for what is small: below [`SMALL`] a chunk of its
//! own costs more than the copy, in a socket's vectors and in a stream's send buffer, which is searched
//! chunk by chunk for every packet.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// Chunks that wait to be written. As a [`Buf`] it is written to sockets, vectored; as slices to streams.
#[derive(Debug, Default)]
pub struct Chunks {
    /// Those before `at` have been written.
    whole: Vec<Bytes>,
    at: usize,
    /// Heads, frame headers and small data, behind all of `whole`.
    small: BytesMut,
    /// How much of `whole` is not written yet.
    left: usize,
}

impl Chunks {
    /// Begins with `head`.
    pub fn new(head: BytesMut) -> Self {
        Self {
            small: head,
            ..Self::default()
        }
    }

    /// Where heads and frame headers are written, behind everything else.
    pub fn small(&mut self) -> &mut BytesMut {
        &mut self.small
    }

    /// Adds data; copies it if it is small.
    pub fn push(&mut self, data: Bytes) {
        if data.len() < SMALL {
            self.small.put_slice(&data);
            return;
        }
        self.seal();
        self.left += data.len();
        self.whole.push(data);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.left == 0 && self.small.is_empty()
    }

    /// Whether it is worth a write.
    pub fn is_full(&self) -> bool {
        self.remaining() >= FULL || self.whole.len() - self.at >= SLICES
    }

    /// Everything, as chunks of its own to be taken out; [`clear`](Self::clear) comes after it.
    pub fn as_slices(&mut self) -> &mut [Bytes] {
        self.seal();
        &mut self.whole[self.at..]
    }

    /// Writes as much as `to` takes with one call, and says how much that was.
    ///
    /// # Errors
    ///
    /// Whatever `to` says.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin + ?Sized),
    ) -> Poll<io::Result<usize>> {
        let to = Pin::new(to);
        // Most messages are one piece, and the system takes one piece at less cost than a list of one.
        let waiting = self.whole.len() - self.at + usize::from(!self.small.is_empty());
        let written = if waiting <= 1 || !to.is_write_vectored() {
            ready!(to.poll_write(cx, self.chunk()))?
        } else {
            let mut slices = [IoSlice::new(&[]); 2 * SLICES];
            let count = self.chunks_vectored(&mut slices);
            ready!(to.poll_write_vectored(cx, &slices[..count]))?
        };
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    /// Forgets what there is, but keeps the memory.
    pub fn clear(&mut self) {
        self.whole.clear();
        self.small.clear();
        (self.at, self.left) = (0, 0);
    }

    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.left += self.small.len();
            self.whole.push(self.small.split().freeze());
        }
    }
}

impl Buf for Chunks {
    fn remaining(&self) -> usize {
        self.left + self.small.len()
    }

    fn chunk(&self) -> &[u8] {
        self.whole
            .get(self.at)
            .map_or(&self.small[..], |chunk| &chunk[..])
    }

    fn chunks_vectored<'a>(&'a self, to: &mut [IoSlice<'a>]) -> usize {
        let small = (!self.small.is_empty()).then_some(&self.small[..]);
        let chunks = self.whole[self.at..].iter().map(|chunk| &chunk[..]);
        let slices = to.iter_mut().zip(chunks.chain(small));
        slices.fold(0, |count, (slot, chunk)| {
            *slot = IoSlice::new(chunk);
            count + 1
        })
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(chunk) = self.whole.get_mut(self.at) {
            let taken = written.min(chunk.len());
            chunk.advance(taken);
            self.left -= taken;
            written -= taken;
            if !chunk.is_empty() {
                return;
            }
            *chunk = Bytes::new();
            self.at += 1;
        }
        self.whole.clear();
        self.at = 0;
        self.small.advance(written);
    }
}

impl Extend<Bytes> for Chunks {
    fn extend<T: IntoIterator<Item = Bytes>>(&mut self, chunks: T) {
        for chunk in chunks {
            self.push(chunk);
        }
    }
}

/// Data below this many bytes is copied.
pub const SMALL: usize = 2 << 10;
/// Enough bytes for one write.
const FULL: usize = 64 << 10;
/// Enough slices for one write.
const SLICES: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_was_pushed(
            sizes in proptest::collection::vec(0_usize..5000, 0..20),
            write in 1_usize..9000,
        ) {
            let mut chunks = Chunks::default();
            let mut expected = Vec::new();
            for (number, size) in sizes.iter().enumerate() {
                let data = vec![number as u8; *size];
                expected.extend_from_slice(&data);
                chunks.push(data.into());
            }
            prop_assert_eq!(chunks.remaining(), expected.len());
            let mut written = Vec::new();
            while chunks.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 4];
                let count = chunks.chunks_vectored(&mut slices);
                prop_assert!(count > 0);
                let piece: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).take(write).collect();
                chunks.advance(piece.len());
                written.extend_from_slice(&piece);
            }
            prop_assert!(chunks.is_empty());
            prop_assert_eq!(written, expected);
        }
    }

    #[test]
    fn small_data_shares_a_chunk_and_large_data_is_not_copied() {
        let large = Bytes::from(vec![1; SMALL]);
        let mut chunks = Chunks::new(BytesMut::from(&b"head"[..]));
        chunks.push(Bytes::from_static(b"small"));
        chunks.push(large.clone());
        let slices = chunks.as_slices();
        assert_eq!(slices.len(), 2);
        assert_eq!(slices[0], "headsmall");
        assert_eq!(slices[1].as_ptr(), large.as_ptr());
    }
}
