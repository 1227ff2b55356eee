//! The body of a request, held to what is expected of visitors: to send it, and not too much of it.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use adit_shared::pace::{Least, Pace};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::metrics::Metrics;

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
    /// Bytes that may still come.
    left: u64,
    tell: Option<oneshot::Sender<Fault>>,
    metrics: Arc<Metrics>,
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

impl Fault {
    /// The limit that is exceeded.
    pub(super) const fn limit(self) -> &'static str {
        match self {
            Self::Late => "upload-timeout",
            Self::TooLarge => "request-bytes",
        }
    }
}

impl<B: Body> Paced<B> {
    /// Of a `body` from which so much is expected, and which may have `most` bytes. What is returned besides
    /// tells those who wait for the answer what was wrong with it; when nobody does, it is counted here.
    pub(super) fn new(
        body: B,
        least: Least,
        most: u64,
        metrics: &Arc<Metrics>,
    ) -> (Self, Option<oneshot::Receiver<Fault>>) {
        if body.size_hint().exact().is_some_and(|all| all <= most) {
            return (Self { body, watch: None }, None);
        }
        let (tell, fault) = oneshot::channel();
        let watch = Watch {
            pace: Pace::new(least),
            left: most,
            tell: Some(tell),
            metrics: metrics.clone(),
        };
        let paced = Self {
            body,
            watch: Some(Box::new(watch)),
        };
        (paced, Some(fault))
    }
}

impl Watch {
    fn fail<E>(&mut self, fault: Fault) -> Broken<E> {
        if let Some(tell) = self.tell.take()
            && tell.send(fault).is_err()
        {
            self.metrics.limited(fault.limit());
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
                .pace
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
        let (body, watched) = Paced::new(
            Full::new(Bytes::from_static(b"abc")),
            LEAST,
            3,
            &Arc::default(),
        );
        assert!(watched.is_none());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    }

    #[tokio::test]
    async fn one_that_is_larger_than_allowed_fails() {
        let pieces = ["abc", "defg"].map(|piece| Ok::<_, &str>(Frame::data(Bytes::from(piece))));
        let body = StreamBody::new(futures_util::stream::iter(pieces));
        let (body, watched) = Paced::new(body, LEAST, 6, &Arc::default());
        assert!(body.collect().await.is_err());
        assert_eq!(watched.unwrap().await, Ok(Fault::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_come_fails_and_is_counted_when_nobody_waits() {
        let metrics = Arc::<Metrics>::default();
        for is_answered in [false, true] {
            let (mut body, watched) = Paced::new(silent(), LEAST, 6, &metrics);
            let watched = watched.filter(|_| !is_answered);
            let within = Duration::from_secs(11);
            let frame = timeout(within, body.frame()).await.unwrap();
            assert!(frame.unwrap().is_err());
            match watched {
                Some(told) => assert_eq!(told.await, Ok(Fault::Late)),
                None => assert_eq!(metrics.has_limited("upload-timeout"), 1),
            }
        }
    }
}
