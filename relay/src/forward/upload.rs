//! A request's body on its way to the agent, beside the answer.

use std::fmt::Display;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use adit_shared::body::send::{self, SendError};
use adit_shared::name::RequestId;
use adit_shared::stall::Reader;
use adit_shared::stream::SendHalf;
use adit_shared::wire::code::Reset;
use bytes::{Bytes, BytesMut};
use futures_util::future::{AbortHandle, Abortable};
use http_body::Body as HttpBody;
use http_body::Frame;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::Forward;
use super::body::limit;
use crate::exchange::Slot;
use crate::metrics::Metrics;

/// A request body that is being sent. Dropped, it is given up; see [`Upload::let_go`].
#[derive(Debug)]
pub struct Upload {
    go: Option<oneshot::Sender<Wish>>,
    abort: AbortHandle,
    armed: bool,
    declined: bool,
}

/// What is needed to send a request's body.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) id: RequestId,
    /// What of the request's head was not sent yet.
    pub(super) head: BytesMut,
    pub(super) send: SendHalf,
    /// It begins only when told to: a visitor that expects `100 Continue` is not asked for its body before
    /// the origin wants it.
    pub(super) wait: bool,
    /// What of the body may be here and wait for the agent, if it is worth the watching.
    pub(super) window: Option<u32>,
}

/// What the origin wants of a body that waits to be asked for.
#[derive(Debug)]
enum Wish {
    Body,
    None,
}

impl Start {
    /// Sends the request's `body` beside the answer, on an exchange that has this `slot`.
    pub(super) fn begin<B>(self, forward: &Forward, body: B, slot: &Slot) -> Upload
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Display + Send,
    {
        let Self {
            id,
            head,
            mut send,
            wait,
            window,
        } = self;
        let (go, gone) = oneshot::channel();
        let metrics = forward.metrics.clone();
        let (abort, registration) = AbortHandle::new_pair();
        let reader = window.and_then(|window| slot.watch_upload(window, &abort));
        let body = Taken {
            body: Box::pin(body),
            reader,
            metrics: metrics.clone(),
        };
        let work = async move {
            // An origin that does not know the expectation waits for the body (RFC 9110 section
            // 10.1.1): so it comes after a while in any case.
            if wait
                && matches!(
                    timeout(EXPECT_AT_MOST, gone).await,
                    Ok(Ok(Wish::None) | Err(_))
                )
            {
                // A reset now would break off the request, and the answer with it. So nothing is
                // said until the answer has ended.
                std::future::pending::<()>().await;
            }
            match send::send(head, pin!(body), &mut send).await {
                Ok(sent) => metrics.request_bytes(sent),
                Err(SendError::Body(error)) => {
                    tracing::debug!(%id, side = "visitor", %error, "request body ended too early");
                    send.reset(Reset::VisitorReset);
                }
                // The agent wants no more of it, and says more in its answer.
                Err(SendError::Write(error)) => {
                    tracing::trace!(%id, %error, "request body not wanted")
                }
                Err(SendError::Trailers(error)) => {
                    tracing::debug!(%id, side = "visitor", %error, "trailers refused");
                    send.reset(Reset::HeadTooLarge);
                }
            }
        };
        let work = Abortable::new(work.in_current_span(), registration);
        forward.tasks.spawn(tracing::Span::none(), async move {
            // Given up or not, there is nobody to tell.
            let _ = work.await;
        });
        Upload {
            go: wait.then_some(go),
            abort,
            armed: true,
            declined: false,
        }
    }
}

/// A body that tells whether the agent takes it.
struct Taken<B> {
    body: Pin<Box<B>>,
    reader: Option<Reader>,
    metrics: Arc<Metrics>,
}

impl<B> Drop for Taken<B> {
    fn drop(&mut self) {
        if let Some(over) = self.reader.as_ref().and_then(Reader::is_over) {
            self.metrics.limited(limit(over));
            tracing::debug!(side = "agent", "upload given up: stalled for longest");
        }
    }
}

impl<B: HttpBody<Data = Bytes>> HttpBody for Taken<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = self.body.as_mut().poll_frame(cx);
        if let Some(reader) = &mut self.reader {
            match &polled {
                Poll::Ready(Some(Ok(_))) => reader.took(None),
                Poll::Ready(_) => self.reader = None,
                Poll::Pending => reader.waits(),
            }
        }
        polled
    }
}

impl Upload {
    /// The origin asks for the body, or may read it.
    pub(super) fn go(&mut self) {
        if let Some(go) = self.go.take() {
            // Nobody waits when the upload has failed meanwhile.
            let _ = go.send(Wish::Body);
        }
    }

    /// The origin has answered and does not want the body: one that waits is never asked for.
    pub(super) fn decline(&mut self) {
        if let Some(go) = self.go.take() {
            // Too late when it has begun by itself.
            self.declined = go.send(Wish::None).is_ok();
        }
    }

    /// The answer is whole: what the origin still reads of the request may go on, and what it
    /// declined is given up.
    pub fn let_go(mut self) {
        self.armed = self.declined;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.armed {
            self.abort.abort();
        }
    }
}

/// How long a body waits for the origin to ask for it: as long as common clients do.
const EXPECT_AT_MOST: Duration = Duration::from_secs(1);
