//! One request and its response over HTTP/1.1: a client of our own, since this is the hot path of every
//! agent, and a library's costs twice as much.
//!
//! - [`connection`]: a connection, and what was read from it;
//! - [`request`]: heads of requests;
//! - [`response`]: heads of responses, and how their bodies are framed;
//! - `upload`: a request on its way;
//! - [`body`]: the body of a response.
//!
//! One task does it all: it sends the request, and reads the response meanwhile. It is strict
//! (RFC 9112 sections 6.3 and 7.1): what two readers might read in two ways is an error, and a connection
//! on which anything was odd is not used again.

pub mod body;
pub mod connection;
pub mod request;
pub mod response;
mod upload;

use std::future::poll_fn;
use std::io;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use adit_shared::intake::Intake;
use adit_shared::task::Tasks;
use adit_shared::wire::frame::is_interim;
use adit_shared::wire::head::{self, Request};
use bytes::Bytes;
use futures_util::future::Abortable;
use http::header::HeaderValue;
use http::{Method, StatusCode};
use http_body::Body;
use tokio::time::timeout;
use tracing::Span;

use self::body::{Incoming, Sending};
use self::connection::{Connection, Source};
use self::request::{RequestFraming, put_request};
use self::response::{Framing, Head};
use self::upload::{Upload, UploadError};
use super::dial::{Dialer, Io};
use super::pool::Pool;
use super::{Next, OriginBody, OriginError, Response};

/// A request that is on its way.
#[derive(Debug)]
pub struct Pending<B> {
    connection: Option<Box<Connection>>,
    upload: Upload<B>,
    sent: bool,
    method: Method,
    /// Kept while the request may be sent again without harm.
    again: Option<Box<Request>>,
    /// How much of the head was looked at.
    seen: usize,
}

/// What stays the same for all requests to one origin.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Makes new connections.
    pub dialer: &'a Dialer,
    /// Keeps those that wait.
    pub pool: &'a Pool,
    /// Where the rest of a request is sent from when the response has begun before.
    pub tasks: &'a Tasks,
}

impl<B> Pending<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// A request on a connection. Nothing is sent yet. With `protocol` it asks for a switch to that.
    ///
    /// # Errors
    ///
    /// [`OriginError::Request`] for a head that says two things.
    pub fn new(
        mut connection: Box<Connection>,
        request: Box<Request>,
        protocol: Option<&HeaderValue>,
        body: Option<B>,
    ) -> Result<Self, OriginError> {
        connection.out.clear();
        let framing = put_request(&request, protocol, connection.out.small());
        let framing = framing.map_err(|error| {
            tracing::debug!(side = "visitor", error, "request not sent to the origin");
            OriginError::Request
        })?;
        let declared = match framing {
            RequestFraming::Chunked => None,
            RequestFraming::Empty => Some(0),
            RequestFraming::Length(length) => Some(length),
        };
        let body = body.filter(|_| framing != RequestFraming::Empty);
        let harmless = connection.used && body.is_none() && request.method.is_safe();
        Ok(Self {
            connection: Some(connection),
            upload: Upload::new(body, declared),
            sent: false,
            method: request.method.clone(),
            again: harmless.then_some(request),
            seen: 0,
        })
    }

    /// The next head. After the final one there is nothing more. Safe to drop: the connection is closed.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub async fn next(&mut self, origin: Origin<'_>) -> Result<Next, OriginError> {
        let head = self.head(origin).await?;
        if is_interim(head.status) {
            return Ok(Next::Interim(interim(head)));
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(OriginError::Invalid(
                "the origin switches protocols unasked",
            ));
        }
        self.response(head, origin).map(Next::Response)
    }

    /// The next head, a 101 too. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub async fn head(&mut self, origin: Origin<'_>) -> Result<Head, OriginError> {
        loop {
            match poll_fn(|cx| self.poll_head(cx)).await {
                // The origin had closed a connection that waited.
                Err(OriginError::Http1(_)) if self.may_begin_again() => {
                    Box::pin(self.begin_again(origin.dialer)).await?;
                }
                result => return result,
            }
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, OriginError>> {
        let Some(connection) = self.connection.as_deref_mut() else {
            return Poll::Ready(Err(OriginError::Request));
        };
        if !self.sent {
            let Connection { io, out, .. } = connection;
            match self.upload.poll(cx, io, out) {
                Poll::Ready(Ok(())) => self.sent = true,
                Poll::Ready(Err(UploadError::Body)) => {
                    return Poll::Ready(Err(OriginError::Request));
                }
                Poll::Ready(Err(UploadError::Write(error))) if self.upload.written == 0 => {
                    return Poll::Ready(Err(OriginError::Http1(error)));
                }
                // It may have answered before it stopped reading.
                Poll::Ready(Err(UploadError::Write(_))) | Poll::Pending => {}
            }
        }
        loop {
            let intake = &mut connection.intake;
            let fields = &mut connection.fields;
            let head = response::take_response(&mut intake.bytes, &mut self.seen, fields);
            if let Some(head) = head.map_err(OriginError::Invalid)? {
                return Poll::Ready(Ok(head));
            }
            let read = ready!(intake.poll_fill(cx, &mut connection.io));
            if read.map_err(OriginError::Http1)? == 0 {
                let error = io::ErrorKind::UnexpectedEof.into();
                return Poll::Ready(Err(OriginError::Http1(error)));
            }
        }
    }

    /// Whether the connection was closed before the origin can have acted on the request
    /// (RFC 9112 section 9.3.1): nothing was sent, or it does no harm twice; and nothing was answered.
    fn may_begin_again(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| {
            let unsent = self.upload.written == 0;
            connection.used
                && connection.intake.bytes.is_empty()
                && (unsent || self.again.is_some())
        })
    }

    async fn begin_again(&mut self, dialer: &Dialer) -> Result<(), OriginError> {
        let mut fresh = Connection::new(dialer.dial_http1().await?);
        let old = self.connection.take();
        if let Some(request) = self.again.take() {
            // It had no problem the first time.
            let _ = put_request(&request, None, fresh.out.small());
        } else if let Some(old) = old {
            fresh.out = old.out;
        }
        self.upload.written = 0;
        self.sent = false;
        self.connection = Some(fresh);
        Ok(())
    }

    /// The response with this final head.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub fn response(&mut self, head: Head, origin: Origin<'_>) -> Result<Response, OriginError> {
        let framing = head.framing(&self.method).map_err(OriginError::Invalid)?;
        let Some(mut connection) = self.connection.take() else {
            return Err(OriginError::Request);
        };
        connection.used = true;
        let body = if self.sent {
            let keep = head.keep.filter(|keep| !keep.is_zero());
            let keep = keep.filter(|_| framing != Framing::Close);
            let back = keep.map(|keep| (origin.pool.clone(), keep));
            Incoming::new(Source::Whole(connection), framing, back, None)
        } else {
            let (source, sending) = self.send_beside(*connection, origin.tasks);
            Incoming::new(source, framing, None, Some(sending))
        };
        let head = head::Response {
            status: head.status,
            fields: head.fields,
            end: body.is_end_stream(),
        };
        let body = OriginBody::Http1(body);
        Ok(Response { head, body })
    }

    /// Sends the rest of the request in a task of its own: the response has begun before its end, and
    /// neither may wait for the other.
    fn send_beside(&mut self, connection: Connection, tasks: &Tasks) -> (Source, Sending) {
        let (source, mut to, mut out) = Source::split(connection);
        let mut upload = std::mem::replace(&mut self.upload, Upload::new(None, Some(0)));
        let (sending, registration, answered) = Sending::new();
        let work = async move {
            loop {
                let before = upload.written;
                let sent = poll_fn(|cx| upload.poll(cx, &mut to, &mut out));
                if timeout(PATIENCE, sent).await.is_ok() {
                    return;
                }
                // Nobody waits for the answer any more, so nobody would give up an origin that stopped
                // reading.
                let stuck = upload.written == before && !out.is_empty();
                if stuck && answered.load(Ordering::Relaxed) {
                    return;
                }
            }
        };
        let work = Abortable::new(work, registration);
        tasks.spawn(Span::none(), async move {
            // Given up or not, there is nobody to tell.
            let _ = work.await;
        });
        (source, sending)
    }

    /// The raw bytes behind a 101: the connection, and what was read from it.
    pub fn into_raw(self) -> Option<(Box<dyn Io>, Intake)> {
        self.connection
            .map(|connection| (connection.io, connection.intake))
    }
}

fn interim(head: Head) -> head::Response {
    head::Response {
        status: head.status,
        fields: head.fields,
        end: false,
    }
}

/// How long an origin that has answered may take none of the rest of the request.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
