//! An HTTP body as frames on a stream.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body::{Body, Frame};
use thiserror::Error;
use tokio::task::coop::consume_budget;

use crate::quic::WriteError;
use crate::stream::SendHalf;
use crate::wire::frame::{self, HeadTooLarge};

/// Sends `head`, then `body` in frames, then the end, and finishes the stream. Says how many bytes
/// of data were sent.
///
/// `head` is encoded frames, or empty. What is ready at once leaves in one write, so a small
/// message fits into one packet.
///
/// Not safe to drop: give up the stream then (dropping `to` resets it).
///
/// # Errors
///
/// [`SendError`]; the stream is then neither finished nor reset.
pub async fn send<B>(head: BytesMut, body: B, to: &mut SendHalf) -> Result<u64, SendError<B::Error>>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut out = Batch::new(head);
    let mut sent = 0;
    loop {
        let next = poll_fn(|cx| match body.as_mut().poll_frame(cx) {
            // Nothing is ready: what there is must not wait for more.
            Poll::Pending if !out.is_empty() => Poll::Ready(None),
            poll => poll.map(Some),
        });
        match next.await {
            None => out.flush(to).await?,
            Some(Some(Ok(frame))) => {
                sent += out.push(frame)?;
                if out.is_full() {
                    out.flush(to).await?;
                }
            }
            Some(Some(Err(error))) => return Err(SendError::Body(error)),
            Some(None) => {
                frame::put_end(&mut out.small);
                out.flush(to).await?;
                to.finish();
                return Ok(sent);
            }
        }
    }
}

/// Why a body was not sent to its end.
#[derive(Debug, Error)]
pub enum SendError<E> {
    /// The body itself failed.
    #[error("the body ended too early")]
    Body(#[source] E),
    /// The stream took no more.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The trailers are above the protocol's limits.
    #[error("the trailers are too large")]
    Trailers(#[from] HeadTooLarge),
}

/// What leaves with the next write.
struct Batch {
    chunks: Vec<Bytes>,
    /// Frame headers and small data, gathered behind the last chunk.
    small: BytesMut,
    bytes: usize,
}

impl Batch {
    fn new(head: BytesMut) -> Self {
        Self {
            chunks: Vec::with_capacity(8),
            small: head,
            bytes: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.small.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes >= FULL || self.small.len() >= FULL
    }

    /// Adds a frame; says how many bytes of data it had.
    fn push(&mut self, frame: Frame<Bytes>) -> Result<u64, HeadTooLarge> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    frame::put_trailers(&mut self.small, &trailers)?;
                }
                return Ok(0);
            }
        };
        let len = data.len();
        if len == 0 {
            return Ok(0);
        }
        frame::put_data_header(&mut self.small, len);
        if len < SMALL {
            // The one copy of the hot path: below this size a chunk of its own costs more in the
            // send buffer, which is searched chunk by chunk for every packet.
            self.small.put_slice(&data);
        } else {
            self.chunks.push(self.small.split().freeze());
            self.chunks.push(data);
            self.bytes += len;
        }
        Ok(len as u64)
    }

    async fn flush(&mut self, to: &mut SendHalf) -> Result<(), WriteError> {
        if !self.small.is_empty() {
            self.chunks.push(self.small.split().freeze());
        }
        to.write(&mut self.chunks).await?;
        self.chunks.clear();
        self.bytes = 0;
        // QUIC futures spend no budget of the runtime, so a fast body would never let others run.
        consume_budget().await;
        Ok(())
    }
}

/// Chunks below this many bytes are merged.
const SMALL: usize = 2 << 10;
/// A write takes about this many bytes at a time.
const FULL: usize = 64 << 10;
