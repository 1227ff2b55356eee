//! The body of a response on its way to the visitor, and the one log line of its request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use adit_shared::body::recv::BodyError;
use adit_shared::name::{Host, RequestId};
use adit_shared::stall::{Over, Reader};
use bytes::Bytes;
use futures_util::future::AbortHandle;
use http::{Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::share::Share;
use super::{Failure, Fault, ForwardError, Upload};
use crate::exchange;
use crate::metrics::{Metrics, Outcome};

/// The body of a response.
///
/// Dropped before its end, the visitor has left: the agent is told, and the upload given up.
#[derive(Debug)]
pub struct ResponseBody {
    body: Option<exchange::Body>,
    upload: Option<Upload>,
    /// Tells that something is wrong with the request's body.
    fault: Option<oneshot::Receiver<Fault>>,
    reader: Option<Reader>,
    access: Box<Access>,
}

impl ResponseBody {
    pub(super) fn new(
        body: exchange::Body,
        upload: Option<Upload>,
        fault: Option<oneshot::Receiver<Fault>>,
        access: Box<Access>,
    ) -> Self {
        let mut this = Self {
            body: Some(body),
            upload,
            fault,
            reader: None,
            access,
        };
        if this.is_end_stream() {
            this.end();
        }
        this
    }

    /// Whoever sends this to a visitor must let `cut` end that: the visitor may take no more, and
    /// what it holds up be needed for others.
    pub fn watch(&mut self, cut: &AbortHandle) {
        if let Some(body) = &self.body {
            self.reader = body.slot.watch(body.stream.left(), cut);
        }
    }

    /// All of it was taken: gives the slot back, and lets the upload go on by itself.
    fn end(&mut self) {
        self.access.outcome = Outcome::Done;
        (self.body, self.reader, self.fault) = (None, None, None);
        if let Some(upload) = self.upload.take() {
            upload.let_go();
        }
    }

    /// Ready when the request's body came too slowly or is too large: an origin that answers at once does not
    /// make its visitor's trickle last.
    fn poll_fault(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let Some(fault) = &mut self.fault else {
            return Poll::Pending;
        };
        let told = ready!(Pin::new(fault).poll(cx));
        self.fault = None;
        match told {
            Ok(fault) => {
                self.access.metrics.limited(fault.limit());
                Poll::Ready(BodyError::Request)
            }
            // Without a word it was whole.
            Err(_) => Poll::Pending,
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A server that knows the length does not ask for the end.
        if self
            .body
            .as_ref()
            .is_some_and(|body| body.stream.is_whole())
        {
            self.end();
        }
        if let Some(over) = self.reader.as_ref().and_then(Reader::is_over) {
            self.access.over_budget(over);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = Pin::new(&mut body.stream).poll_frame(cx) else {
            if let Some(reader) = &mut self.reader {
                reader.waits();
            }
            let error = ready!(self.poll_fault(cx));
            self.access.cut(&error);
            (self.body, self.reader) = (None, None);
            return Poll::Ready(Some(Err(error)));
        };
        let left = body.stream.left();
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.access.sent += data.len() as u64;
                }
                if let Some(reader) = &mut self.reader {
                    reader.took(left);
                }
                if self.is_end_stream() {
                    self.end();
                }
            }
            Some(Err(error)) => {
                self.access.cut(error);
                (self.body, self.reader) = (None, None);
            }
            None => self.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(|body| body.stream.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |body| body.stream.size_hint())
    }
}

/// What the bound is called above which an exchange was held up for longest.
pub(super) const fn limit(over: Over) -> &'static str {
    match over {
        Over::Account => "stalled-per-agent",
        Over::All => "stalled",
        Over::Room => "exchanges-per-agent",
    }
}

/// The life of one request, for the log and the metrics: counted and logged when dropped.
#[derive(Debug)]
pub struct Access {
    metrics: Arc<Metrics>,
    id: RequestId,
    method: Method,
    path: String,
    host: Option<Host>,
    status: Option<StatusCode>,
    since: Instant,
    /// Bytes of the response's body so far.
    pub sent: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Of what all requests have together.
    pub(super) share: Share,
}

impl Access {
    pub(super) fn start(
        metrics: Arc<Metrics>,
        id: RequestId,
        method: &Method,
        path: &str,
    ) -> Box<Self> {
        metrics.exchanges.inc();
        // The path is kept only where the log wants it.
        let wanted = tracing::enabled!(tracing::Level::DEBUG);
        Box::new(Self {
            metrics,
            id,
            method: method.clone(),
            path: if wanted {
                path.to_owned()
            } else {
                String::new()
            },
            host: None,
            status: None,
            since: Instant::now(),
            sent: 0,
            outcome: Outcome::VisitorLeft,
            share: Share::default(),
        })
    }

    pub(super) fn id(&self) -> &RequestId {
        &self.id
    }

    pub(super) fn host(&mut self, host: &Host) {
        self.host = Some(host.clone());
    }

    /// The host that it is for.
    pub(super) fn named(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    pub(super) fn status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// When the request came.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn fail(&mut self, error: ForwardError) -> Failure {
        self.outcome = Outcome::Failed;
        if let Some(limit) = error.limit() {
            self.metrics.limited(limit);
        }
        if let ForwardError::Exchange(error) = &error {
            let side = error.side();
            tracing::debug!(id = %self.id, ?side, %error, "no response from the origin");
        }
        Failure {
            id: self.id.clone(),
            error,
            since: self.since,
        }
    }

    /// The visitor took no more, and what it held up was needed for others.
    pub(super) fn over_budget(&mut self, over: Over) {
        self.outcome = Outcome::OverBudget;
        self.metrics.limited(limit(over));
        tracing::debug!(id = %self.id, side = "visitor", "response cut: stalled for longest");
    }

    fn cut(&mut self, error: &BodyError) {
        self.outcome = Outcome::Cut;
        tracing::debug!(id = %self.id, %error, "response cut after its head");
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.metrics.exchanges.dec();
        self.metrics
            .request(self.status, self.outcome, self.sent, self.since.elapsed());
        tracing::debug!(
            id = %self.id,
            host = self.host.as_ref().map(Host::as_str),
            method = %self.method,
            path = self.path,
            status = self.status.map(|status| status.as_u16()),
            sent = self.sent,
            took = ?self.since.elapsed(),
            outcome = ?self.outcome,
            "request"
        );
    }
}
