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

/// A request body that tells when it was last asked for more: an origin that still takes the request
/// is not late with its answer.
pub(super) struct Progress {
    body: FromStream,
    taken: Taken,
    reader: Option<Reader>,
}

/// How many frames an origin has taken; nothing is counted of a request without a body.
#[derive(Clone)]
pub(super) struct Taken(Option<Arc<AtomicU64>>);

impl Progress {
    pub(super) fn of(body: FromStream, reader: Option<Reader>) -> (Self, Taken) {
        let taken = Taken((!body.is_end_stream()).then(Arc::default));
        let this = Self {
            body,
            taken: taken.clone(),
            reader,
        };
        (this, taken)
    }
}

impl Taken {
    fn one(&self) {
        if let Some(frames) = &self.0 {
            frames.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends when nothing was taken for `patience`. Safe to drop.
    pub(super) async fn stalled(&self, patience: Duration) {
        let frames = || self.0.as_ref().map(|frames| frames.load(Ordering::Relaxed));
        loop {
            let before = frames();
            tokio::time::sleep(patience).await;
            if frames() == before {
                return;
            }
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
        let left = self.body.left();
        match (&mut self.reader, &frame) {
            (Some(reader), Some(Ok(_))) => reader.took(left),
            _ => self.reader = None,
        }
        self.taken.one();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
