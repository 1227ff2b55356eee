//! How the body of a request gets on towards its origin.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use adit_shared::body::recv::{BodyError, FromStream};
use adit_shared::stall::Reader;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::capture::tap::Maybe;
use crate::capture::{Side, Tap};

/// A request body that tells when it was last asked for more: an origin that still takes the request
/// is not late with its answer.
pub(super) struct Progress {
    body: Maybe<FromStream>,
    taken: Taken,
    reader: Option<Reader>,
}

/// How many frames an origin has taken.
#[derive(Clone, Default)]
pub(super) struct Taken(Arc<AtomicU64>);

impl Taken {
    /// One more was taken.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Progress {
    pub(super) fn of(
        body: FromStream,
        reader: Option<Reader>,
        tap: Option<&Tap>,
    ) -> (Box<Self>, Taken) {
        let taken = Taken::default();
        let body = Maybe::new(body, tap, Side::Visitor);
        let this = Self {
            body,
            taken: taken.clone(),
            reader,
        };
        (Box::new(this), taken)
    }
}

/// Ends when nothing was taken of the request for `patience`, if it has a body. Safe to drop.
pub(super) async fn stalled(taken: Option<Taken>, patience: Duration) {
    let frames = || taken.as_ref().map(|taken| taken.0.load(Ordering::Relaxed));
    loop {
        let before = frames();
        tokio::time::sleep(patience).await;
        if frames() == before {
            return;
        }
    }
}

impl Body for Progress {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            if let Some(reader) = &mut self.reader {
                reader.waits();
            }
            return Poll::Pending;
        };
        let left = self.body.body().left();
        match (&mut self.reader, &frame) {
            (Some(reader), Some(Ok(_))) => reader.took(left),
            _ => self.reader = None,
        }
        self.taken.count();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
