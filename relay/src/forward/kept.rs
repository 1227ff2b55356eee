//! The body of a request that is small enough to be kept until the answer begins, so that the request can
//! be sent once more.
//!
//! What has passed is copied: a piece of what was read would keep all that was read with it in memory.

use std::fmt::{self, Display};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Reads a kept body from its beginning. Of several readers only the last may be in use.
pub(super) struct Kept {
    source: Arc<Mutex<Source>>,
    at: usize,
}

struct Source {
    body: Pin<Box<dyn Body<Data = Bytes, Error = Broken> + Send>>,
    passed: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// What of the declared length has not passed.
    left: usize,
    /// Held for as long as there are readers.
    _room: OwnedSemaphorePermit,
}

/// The original body failed.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct Broken(String);

impl Kept {
    /// Keeps `body`, which declares `length` bytes, unless that is too much or there is no room for it;
    /// then it is given back.
    pub(super) fn new<B>(body: B, length: u64, room: &Arc<Semaphore>) -> Result<Self, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Display + Send,
    {
        let Some(length) = usize::try_from(length).ok().filter(|len| *len <= MOST) else {
            return Err(body);
        };
        let permits = u32::try_from(length + OVERHEAD).unwrap_or(u32::MAX);
        let Ok(permit) = room.clone().try_acquire_many_owned(permits) else {
            return Err(body);
        };
        let body = Plain(Box::pin(body));
        let source = Source {
            body: Box::pin(body),
            passed: Vec::new(),
            trailers: None,
            ended: false,
            left: length,
            _room: permit,
        };
        Ok(Self {
            source: Arc::new(Mutex::new(source)),
            at: 0,
        })
    }

    /// Another reader, from the beginning.
    pub(super) fn again(&self) -> Self {
        Self {
            source: self.source.clone(),
            at: 0,
        }
    }
}

impl Body for Kept {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let mut source = this.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(data) = source.passed.get(this.at) {
            this.at += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if source.ended {
            let past = this.at > source.passed.len();
            this.at = source.passed.len() + 1;
            let trailers = source.trailers.clone().filter(|_| !past);
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let frame = match ready!(source.body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => {
                source.ended = true;
                return Poll::Ready(None);
            }
        };
        match frame.into_data() {
            Ok(data) => {
                let Some(left) = source.left.checked_sub(data.len()) else {
                    let what = "the body is longer than declared";
                    return Poll::Ready(Some(Err(Broken(what.into()))));
                };
                source.left = left;
                if !data.is_empty() {
                    source.passed.push(Bytes::copy_from_slice(&data));
                    this.at += 1;
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Err(frame) => {
                source.trailers = frame.into_trailers().ok();
                source.ended = true;
                this.at = source.passed.len() + 1;
                let trailers = source.trailers.clone();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

/// A body whose failure is a text.
struct Plain<B>(Pin<Box<B>>);

impl<B> Body for Plain<B>
where
    B: Body<Data = Bytes>,
    B::Error: Display,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(self.0.as_mut().poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| Broken(error.to_string()))))
    }
}

/// The largest body that is kept, in bytes: nearly all webhooks are smaller.
const MOST: usize = 64 << 10;
/// What one costs beside its bytes.
const OVERHEAD: usize = 512;
/// What one shard keeps at most, in bytes; above it a body passes without being kept.
pub const ROOM: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use http_body_util::combinators::UnsyncBoxBody;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn room() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(ROOM))
    }

    fn pieces(pieces: &[&'static str]) -> UnsyncBoxBody<Bytes, Broken> {
        let data = pieces.iter().map(|piece| Frame::data((*piece).into()));
        let mut frames: Vec<_> = data.collect();
        let trailers = HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from(7))]);
        frames.push(Frame::trailers(trailers));
        let frames = futures_util::stream::iter(frames.into_iter().map(Ok));
        StreamBody::new(frames).boxed_unsync()
    }

    #[tokio::test]
    async fn a_kept_body_is_the_same_each_time_wherever_the_first_reader_stopped() {
        for read in 0..=4 {
            let body = pieces(&["one", "", "two"]);
            let Ok(mut first) = Kept::new(body, 6, &room()) else {
                panic!("it is small")
            };
            let again = first.again();
            for _ in 0..read {
                first.frame().await.unwrap().unwrap();
            }
            drop(first);
            let all = again.collect().await.unwrap();
            assert_eq!(all.trailers().unwrap().len(), 1);
            assert_eq!(all.to_bytes(), "onetwo", "{read}");
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let full = || Full::new(Bytes::from_static(b"abc"));
        let too_long = MOST as u64 + 1;
        assert!(Kept::new(full(), too_long, &room()).is_err());
        let little = Arc::new(Semaphore::new(OVERHEAD + 5));
        let first = Kept::new(full(), 3, &little).map_err(drop).unwrap();
        assert!(Kept::new(full(), 3, &little).is_err());
        drop(first);
        assert!(Kept::new(full(), 3, &little).is_ok());
        let lies = Kept::new(full(), 2, &little).map_err(drop).unwrap();
        assert!(lies.collect().await.is_err());
    }
}
