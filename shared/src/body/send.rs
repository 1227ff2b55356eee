//! An HTTP body as frames on a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body, Frame};
use thiserror::Error;
use tokio::task::coop::consume_budget;

use crate::chunks::Chunks;
use crate::quic::WriteError;
use crate::stream::SendHalf;
use crate::turn;
use crate::wire::fields::{Fields, HeadTooLarge};
use crate::wire::frame;

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
pub async fn send<B>(
    head: BytesMut,
    mut body: Pin<&mut B>,
    to: &mut SendHalf,
) -> Result<u64, SendError<B::Error>>
where
    B: Body<Data = Bytes>,
{
    let mut out = Chunks::new(head);
    let mut sent = 0;
    loop {
        let next = poll_fn(|cx| match body.as_mut().poll_frame(cx) {
            // Nothing is ready: what there is must not wait for more.
            Poll::Pending if !out.is_empty() => Poll::Ready(None),
            poll => poll.map(Some),
        });
        match next.await {
            None => flush(&mut out, to).await?,
            Some(Some(Ok(frame))) => {
                sent += push(&mut out, frame)?;
                if out.is_full() {
                    flush(&mut out, to).await?;
                }
            }
            Some(Some(Err(error))) => return Err(SendError::Body(error)),
            Some(None) => {
                frame::put_end(out.small());
                flush(&mut out, to).await?;
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

/// Adds a frame to what leaves next; says how many bytes of data it had.
fn push(out: &mut Chunks, frame: Frame<Bytes>) -> Result<u64, HeadTooLarge> {
    let data = match frame.into_data() {
        Ok(data) => data,
        Err(frame) => {
            if let Ok(trailers) = frame.into_trailers() {
                frame::put_trailers(out.small(), &Fields::try_from(&trailers)?)?;
            }
            return Ok(0);
        }
    };
    let len = data.len();
    if len > 0 {
        frame::put_data_header(out.small(), len);
        out.push(data);
    }
    Ok(len as u64)
}

async fn flush(out: &mut Chunks, to: &mut SendHalf) -> Result<(), WriteError> {
    turn::spend(out.remaining());
    to.write(out.as_slices()).await?;
    out.clear();
    consume_budget().await;
    Ok(())
}
