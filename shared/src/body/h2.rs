//! Bodies of HTTP/2 streams.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use crate::pace::{Least, Pace};

/// What an HTTP/2 peer sends, as an HTTP body.
///
/// The peer may send more only as the pieces are taken: a piece gives its window back when the
/// next one is asked for.
#[derive(Debug)]
pub struct FromH2 {
    stream: RecvStream,
    held: usize,
    data_done: bool,
}

impl FromH2 {
    /// The body of a message whose head was read.
    pub fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            held: 0,
            data_done: false,
        }
    }

    /// The next piece of data alone: for streams that carry raw bytes.
    ///
    /// # Errors
    ///
    /// Whatever HTTP/2 says.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        if self.held > 0 {
            let held = std::mem::take(&mut self.held);
            self.stream.flow_control().release_capacity(held)?;
        }
        let data = ready!(self.stream.poll_data(cx));
        if let Some(Ok(data)) = &data {
            self.held = data.len();
        }
        Poll::Ready(data)
    }
}

impl Body for FromH2 {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_done {
            match ready!(self.poll_data(cx)) {
                Some(Ok(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.data_done = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).transpose();
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            SizeHint::with_exact(0)
        } else {
            SizeHint::default()
        }
    }
}

/// Sends `body` and the end of the message, to a peer of this `pace`. Says how many bytes of data were sent.
///
/// Safe to drop: what was not sent resets the stream.
///
/// # Errors
///
/// [`SendError`]; the stream was reset then.
pub async fn send<B>(
    body: B,
    to: &mut SendStream<Bytes>,
    mut pace: Pace,
) -> Result<u64, SendError<B::Error>>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut reset = ResetOnDrop {
        stream: to,
        armed: true,
    };
    let to = &mut *reset.stream;
    let mut sent = 0;
    loop {
        let frame = poll_fn(|cx| match body.as_mut().poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            // A visitor that leaves while the body is silent is noticed here.
            Poll::Pending => to.poll_reset(cx).map(|reset| Err(stopped(reset))),
        });
        let Some(frame) = frame.await.map_err(SendError::Stopped)? else {
            break;
        };
        match frame.map_err(SendError::Body)?.into_data() {
            Ok(data) => {
                sent += data.len() as u64;
                let end = body.is_end_stream();
                send_paced(data, end, to, &mut pace).await?;
                if end {
                    reset.armed = false;
                    return Ok(sent);
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    to.send_trailers(trailers).map_err(SendError::Stopped)?;
                    reset.armed = false;
                    return Ok(sent);
                }
            }
        }
    }
    to.send_data(Bytes::new(), true)
        .map_err(SendError::Stopped)?;
    reset.armed = false;
    Ok(sent)
}

/// Sends `data` piece by piece as the peer's window allows, so that nothing is queued. Not safe to
/// drop halfway: what was not sent is lost, so reset the stream then.
///
/// # Errors
///
/// Whatever HTTP/2 says; a reset by the peer is an error.
pub async fn send_data(
    data: Bytes,
    end: bool,
    to: &mut SendStream<Bytes>,
) -> Result<(), h2::Error> {
    let sent = send_paced(data, end, to, &mut Pace::new(Least::NOTHING)).await;
    sent.map_err(|error: SendError<Infallible>| match error {
        SendError::Stopped(error) => error,
        SendError::Slow => Reason::CANCEL.into(),
        SendError::Body(never) => match never {},
    })
}

async fn send_paced<E>(
    mut data: Bytes,
    end: bool,
    to: &mut SendStream<Bytes>,
    pace: &mut Pace,
) -> Result<(), SendError<E>> {
    if data.is_empty() {
        return if end {
            to.send_data(data, true).map_err(SendError::Stopped)
        } else {
            Ok(())
        };
    }
    while !data.is_empty() {
        to.reserve_capacity(data.len());
        let capacity = poll_fn(|cx| match to.poll_capacity(cx) {
            Poll::Ready(Some(capacity)) => Poll::Ready(capacity.map_err(SendError::Stopped)),
            Poll::Ready(None) => Poll::Ready(Err(SendError::Stopped(Reason::CANCEL.into()))),
            Poll::Pending => match to.poll_reset(cx) {
                Poll::Ready(reset) => Poll::Ready(Err(SendError::Stopped(stopped(reset)))),
                Poll::Pending => pace.poll_late(cx).map(|()| Err(SendError::Slow)),
            },
        })
        .await?;
        let piece = data.split_to(capacity.min(data.len()));
        pace.moved(piece.len());
        if !piece.is_empty() {
            let last = end && data.is_empty();
            to.send_data(piece, last).map_err(SendError::Stopped)?;
        }
    }
    Ok(())
}

/// Why a body was not sent to its end.
#[derive(Debug, Error)]
pub enum SendError<E> {
    /// The body itself failed.
    #[error("the body ended too early")]
    Body(#[source] E),
    /// The HTTP/2 peer took no more.
    #[error("the HTTP/2 stream was given up")]
    Stopped(#[source] h2::Error),
    /// The HTTP/2 peer took nothing for too long.
    #[error("the HTTP/2 peer does not read")]
    Slow,
}

struct ResetOnDrop<'a> {
    stream: &'a mut SendStream<Bytes>,
    armed: bool,
}

impl Drop for ResetOnDrop<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.stream.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

fn stopped(reset: Result<Reason, h2::Error>) -> h2::Error {
    reset.map_or_else(|error| error, h2::Error::from)
}
