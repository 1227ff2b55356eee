//! The halves of a stream, with the safe meaning of a drop: what is dropped unfinished resets.
//!
//! The QUIC library finishes a send half that is dropped, so a cancelled task would look like a
//! clean end to the peer. Here finishing is always an explicit call.

use std::future::Future;
use std::mem;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use thiserror::Error;

use crate::quic::{ReadError, RecvStream, SendStream, WriteError, code_number};
use crate::turn;
use crate::wire::code::Reset;
use crate::wire::frame::{FrameError, Part, Reader, Side};

/// The half that we write. Dropped before [`finish`](Self::finish), it resets.
#[derive(Debug)]
pub struct SendHalf {
    stream: SendStream,
    open: bool,
    /// Why it is reset when it is dropped.
    dropped: u64,
}

impl SendHalf {
    /// Takes over a stream of the QUIC library.
    pub fn new(stream: SendStream) -> Self {
        Self::of_protocol(stream, Reset::Cancelled.number().into())
    }

    /// The same for a protocol that has codes of its own: `dropped` is the one for a stream that was
    /// dropped. Codes have 62 bits.
    pub fn of_protocol(stream: SendStream, dropped: u64) -> Self {
        Self {
            stream,
            open: true,
            dropped,
        }
    }

    /// Writes all chunks, without copying them. The chunks are empty afterwards.
    ///
    /// Not safe to drop: it may have written some. Give up the whole stream then.
    ///
    /// # Errors
    ///
    /// [`WriteError`] when the peer stopped reading or the connection was lost.
    pub async fn write(&mut self, chunks: &mut [Bytes]) -> Result<(), WriteError> {
        Ok(self.stream.write_all_chunks(chunks).await?)
    }

    /// Writes as much as the peer takes now, or waits until it takes some. Says how many bytes were written,
    /// and how many chunks from the front are empty now. Safe to drop.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn write_some(&mut self, chunks: &mut [Bytes]) -> Result<(usize, usize), WriteError> {
        let written = self.stream.write_chunks(chunks).await?;
        Ok((written.bytes, written.chunks))
    }

    /// Says that the stream is whole.
    pub fn finish(&mut self) {
        self.open = false;
        // It fails only when the peer stopped reading, which a finished writer need not know.
        drop(self.stream.finish());
    }

    /// Gives the stream up, and says why.
    pub fn reset(&mut self, code: Reset) {
        self.reset_as(code.number().into());
    }

    /// As [`reset`](Self::reset), with a code of another protocol.
    pub fn reset_as(&mut self, code: u64) {
        if mem::take(&mut self.open) {
            drop(self.stream.reset(code_number(code)));
        }
    }

    /// Ends when the peer stopped reading or the connection was lost, with the peer's reason; or,
    /// after [`finish`](Self::finish), when the peer has everything. Safe to drop.
    pub fn stopped(&self) -> impl Future<Output = Option<Reset>> + Send + use<> {
        let stopped = self.stream.stopped();
        async move {
            match stopped.await {
                Ok(None) => None,
                Ok(Some(code)) => Some(Reset::from_number(code.into_inner())),
                Err(_) => Some(Reset::Cancelled),
            }
        }
    }

    /// Puts the stream before (above 0) or behind others when there is a choice of what to send.
    pub fn set_priority(&self, priority: i32) {
        drop(self.stream.set_priority(priority));
    }
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        self.reset_as(self.dropped);
    }
}

/// The half that we read. Dropped before its end, it tells the peer to stop.
#[derive(Debug)]
pub struct RecvHalf {
    stream: RecvStream,
    open: bool,
    /// Why the peer is told to stop when it is dropped.
    dropped: u64,
}

impl RecvHalf {
    /// Takes over a stream of the QUIC library.
    pub fn new(stream: RecvStream) -> Self {
        Self::of_protocol(stream, Reset::Cancelled.number().into())
    }

    /// The same for a protocol that has codes of its own; see [`SendHalf::of_protocol`].
    pub fn of_protocol(stream: RecvStream, dropped: u64) -> Self {
        Self {
            stream,
            open: true,
            dropped,
        }
    }

    /// Fills `chunks` from the front with what has arrived and says how many; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the peer reset the stream or the connection was lost.
    pub fn poll_chunks(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, ReadError>> {
        if !self.open {
            return Poll::Ready(Ok(None));
        }
        // The future keeps nothing between polls: a waiting reader is known to the connection.
        let read = ready!(pin!(self.stream.read_chunks(chunks)).poll(cx));
        if !matches!(read, Ok(Some(_))) {
            self.open = false;
        }
        Poll::Ready(read.map_err(ReadError::from))
    }

    /// Tells the peer that nobody reads the rest, and why.
    pub fn stop(&mut self, code: Reset) {
        self.stop_as(code.number().into());
    }

    /// As [`stop`](Self::stop), with a code of another protocol.
    pub fn stop_as(&mut self, code: u64) {
        if mem::take(&mut self.open) {
            drop(self.stream.stop(code_number(code)));
        }
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        self.stop_as(self.dropped);
    }
}

/// The parts of a message, read from a stream.
#[derive(Debug)]
pub struct Parts {
    recv: RecvHalf,
    reader: Reader,
    /// What was read is in `few`, until that was full once: most messages are short.
    few: [Bytes; FEW],
    many: Box<[Bytes]>,
    filled: usize,
    next: usize,
}

impl Parts {
    /// Reads one side of an exchange.
    pub fn new(recv: RecvHalf, side: Side) -> Self {
        Self {
            recv,
            reader: Reader::new(side),
            few: Default::default(),
            many: Box::default(),
            filled: 0,
            next: 0,
        }
    }

    /// The next part; `None` once the message is whole.
    ///
    /// # Errors
    ///
    /// [`PartError`]; a stream that stops before its message does is an error.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Part>, PartError>> {
        loop {
            ready!(turn::poll_begin(cx));
            let next = self.reader.next_part();
            turn::spend(self.reader.take_begun() * FRAME);
            match next {
                Ok(Some(part)) => {
                    if let Part::Data(data) = &part {
                        turn::spend(data.len());
                    }
                    if self.reader.is_done() {
                        self.take_end(cx);
                    }
                    return Poll::Ready(Ok(Some(part)));
                }
                Ok(None) => {}
                Err(error) => {
                    self.recv.stop(match error {
                        FrameError::HeadTooLarge(_) => Reset::HeadTooLarge,
                        _ => Reset::Protocol,
                    });
                    return Poll::Ready(Err(error.into()));
                }
            }
            if self.reader.is_done() && self.next == self.filled {
                return Poll::Ready(Ok(None));
            }
            if self.next < self.filled {
                let next = self.next;
                let chunk = mem::take(&mut self.batch()[next]);
                self.next += 1;
                self.reader.push(chunk);
                continue;
            }
            if !ready!(self.poll_read(cx))? {
                return Poll::Ready(Err(FrameError::Truncated.into()));
            }
        }
    }

    /// The next part. Safe to drop.
    ///
    /// # Errors
    ///
    /// As [`poll_next`](Self::poll_next).
    pub async fn next(&mut self) -> Result<Option<Part>, PartError> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Tells the peer that nobody reads the rest, and why.
    pub fn stop(&mut self, code: Reset) {
        self.recv.stop(code);
    }

    /// After a 101: the chunks that came with the head, and the half to read the rest from.
    pub fn into_raw(mut self) -> (Vec<Bytes>, RecvHalf) {
        let read = self.next..self.filled;
        let batch: Vec<_> = self.batch()[read].iter_mut().map(mem::take).collect();
        let rest = self.reader.into_rest();
        let early = std::iter::once(rest)
            .chain(batch)
            .filter(|chunk| !chunk.is_empty());
        (early.collect(), self.recv)
    }

    /// A whole message usually comes with the end of its stream. Reading that now spares the peer
    /// a request to stop.
    fn take_end(&mut self, cx: &mut Context<'_>) {
        if self.next == self.filled {
            let _ = self.poll_read(cx);
        }
    }

    /// Reads some chunks behind those that were taken; false at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, ReadError>> {
        if self.filled == FEW && self.many.is_empty() {
            self.many = vec![Bytes::new(); BATCH].into();
        }
        let batch = match &mut *self.many {
            [] => &mut self.few[..],
            many => many,
        };
        let filled = ready!(self.recv.poll_chunks(cx, batch))?;
        (self.filled, self.next) = (filled.unwrap_or(0), 0);
        Poll::Ready(Ok(filled.is_some()))
    }

    fn batch(&mut self) -> &mut [Bytes] {
        match &mut *self.many {
            [] => &mut self.few,
            many => many,
        }
    }
}

/// Why a message could not be read to its end.
#[derive(Clone, Debug, Error)]
pub enum PartError {
    /// The stream failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The peer broke the protocol, or the stream was cut.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// What a frame costs, as bytes that are moved.
const FRAME: usize = 64;
/// Chunks taken from a stream at first: a head, and what comes along with it.
const FEW: usize = 2;
/// Chunks taken from a stream at a time: each take locks the connection once.
const BATCH: usize = 16;
