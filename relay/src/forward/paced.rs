//! The body of a request, held to what is expected of visitors: to send it, and not too much of it.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use adit_shared::pace::{Least, Pace};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::sync::oneshot;

/// A body that fails when it comes too slowly or is too large.
#[derive(Debug)]
pub(super) struct Paced<B> {
    body: B,
    /// None for one that is all there.
    watch: Option<Box<Watch>>,
}

#[derive(Debug)]
struct Watch {
    pace: Pace,
    least: Least,
    /// Bytes that may still come.
    left: u64,
    tell: Option<oneshot::Sender<Fault>>,
    free: Free,
}

/// What those who wait for the answer need to know of a body.
#[derive(Debug)]
pub(super) struct Watched {
    /// Tells what was wrong with it.
    pub(super) fault: oneshot::Receiver<Fault>,
    /// Set while it may take its time.
    pub(super) free: Free,
}

/// Whether a body may take its time: once the origin answers it is the origin's to decide how long that
/// goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Free(Arc<AtomicBool>);

impl Free {
    pub(super) fn set(&self, free: bool) {
        self.0.store(free, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Fault {
    /// It did not come.
    #[error("the request's body came too slowly")]
    Late,
    /// There is more of it than may be.
    #[error("the request's body is too large")]
    TooLarge,
}

impl<B: Body> Paced<B> {
    /// Of a `body` from which so much is expected, and which may have `most` bytes.
    pub(super) fn new(body: B, least: Least, most: u64) -> (Self, Option<Watched>) {
        if body.size_hint().exact().is_some_and(|all| all <= most) {
            return (Self { body, watch: None }, None);
        }
        let (tell, fault) = oneshot::channel();
        let free = Free::default();
        let watch = Watch {
            pace: Pace::new(least),
            least,
            left: most,
            tell: Some(tell),
            free: free.clone(),
        };
        let paced = Self {
            body,
            watch: Some(Box::new(watch)),
        };
        (paced, Some(Watched { fault, free }))
    }
}

impl Watch {
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.pace.poll_late(cx).is_ready() {
            if !self.free.is_set() {
                return Poll::Ready(());
            }
            self.pace = Pace::new(self.least);
        }
        Poll::Pending
    }

    fn fail<E>(&mut self, fault: Fault) -> Broken<E> {
        if let Some(tell) = self.tell.take() {
            // Whoever waited for the answer may have gone.
            let _ = tell.send(fault);
        }
        Broken::Fault(fault)
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    type Data = Bytes;
    type Error = Broken<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        let polled = polled.map_err(Broken::Body);
        let Some(watch) = &mut this.watch else {
            return polled;
        };
        match polled {
            Poll::Pending => watch
                .poll_late(cx)
                .map(|()| Some(Err(watch.fail(Fault::Late)))),
            Poll::Ready(Some(Ok(frame))) => {
                let len = frame.data_ref().map_or(0, Bytes::len);
                watch.pace.moved(len);
                match watch.left.checked_sub(len as u64) {
                    Some(left) => watch.left = left,
                    None => return Poll::Ready(Some(Err(watch.fail(Fault::TooLarge)))),
                }
                Poll::Ready(Some(Ok(frame)))
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a body is not whole.
#[derive(Debug, Error)]
pub(super) enum Broken<E> {
    #[error("{0}")]
    Body(E),
    #[error(transparent)]
    Fault(Fault),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::{BodyExt as _, Full, StreamBody};
    use tokio::time::timeout;

    use super::*;

    const LEAST: Least = Least {
        rate: 100,
        patience: Some(Duration::from_secs(10)),
    };

    fn silent() -> impl Body<Data = Bytes, Error = &'static str> + Unpin {
        StreamBody::new(futures_util::stream::pending())
    }

    #[tokio::test]
    async fn one_that_is_all_there_is_not_watched() {
        let (body, watched) = Paced::new(Full::new(Bytes::from_static(b"abc")), LEAST, 3);
        assert!(watched.is_none());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    }

    #[tokio::test]
    async fn one_that_is_larger_than_allowed_fails() {
        let pieces = ["abc", "defg"].map(|piece| Ok::<_, &str>(Frame::data(Bytes::from(piece))));
        let body = StreamBody::new(futures_util::stream::iter(pieces));
        let (body, watched) = Paced::new(body, LEAST, 6);
        assert!(body.collect().await.is_err());
        assert_eq!(watched.unwrap().fault.await, Ok(Fault::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_come_fails_unless_it_may_take_its_time() {
        let (mut body, watched) = Paced::new(silent(), LEAST, 6);
        let watched = watched.unwrap();
        watched.free.set(true);
        let minute = Duration::from_secs(60);
        assert!(timeout(minute, body.frame()).await.is_err());
        watched.free.set(false);
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!(watched.fault.await, Ok(Fault::Late));
    }
}
