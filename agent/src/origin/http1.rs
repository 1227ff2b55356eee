//! One request and its response over HTTP/1.1.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use adit_shared::hop;
use adit_shared::task::Tasks;
use adit_shared::wire::head;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tracing::Span;

use super::dial::{Dialer, Io};
use super::pool::{self, Kept, Pool};
use super::{InterimHeads, OriginBody, OriginError};

/// The body of a request to the origin, whatever it comes from.
pub type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Begins to speak HTTP/1.1 on a connection.
///
/// # Errors
///
/// [`OriginError::Http1`].
pub async fn handshake(io: Box<dyn Io>, tasks: &Tasks) -> Result<Kept, OriginError> {
    let (sender, connection) = http1::Builder::new()
        .max_headers(MAX_FIELDS)
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(io))
        .await
        .map_err(OriginError::Http1)?;
    // How it ends is known to whoever uses it.
    tasks.spawn(Span::none(), async move { drop(connection.await) });
    Ok(Kept {
        sender,
        used: false,
    })
}

/// Sends a request on `kept`, or on a fresh connection when that one turns out to be closed.
///
/// # Errors
///
/// [`OriginError`].
pub async fn request<B>(
    mut kept: Kept,
    dialer: &Dialer,
    pool: &Pool,
    head: Box<head::Request>,
    body: B,
    interim: InterimHeads,
    tasks: &Tasks,
) -> Result<Response<OriginBody>, OriginError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut request = build(head, body);
    hyper::ext::on_informational(&mut request, move |response| {
        let mut fields = response.headers().clone();
        hop::strip(&mut fields);
        let head = head::Response {
            status: response.status(),
            fields,
            end: false,
        };
        // A visitor does without interim heads that come faster than it takes them.
        drop(interim.try_send(head));
    });
    loop {
        let was_used = kept.used;
        kept.used = true;
        match kept.sender.try_send_request(request).await {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                let keep = pool::keep(&parts.headers);
                hop::strip(&mut parts.headers);
                let body = Pooled::new(body, kept, pool.clone(), keep);
                return Ok(Response::from_parts(parts, OriginBody::Http1(body)));
            }
            // Nothing of the request was sent: the origin had closed a connection that waited.
            Err(mut error) => match error.take_message() {
                Some(unsent) if was_used => {
                    request = unsent;
                    kept = Box::pin(redial(dialer, tasks)).await?;
                }
                _ => return Err(OriginError::Http1(error.into_error())),
            },
        }
    }
}

async fn redial(dialer: &Dialer, tasks: &Tasks) -> Result<Kept, OriginError> {
    handshake(dialer.dial_http1().await?, tasks).await
}

/// The request as HTTP/1.1 says it.
pub(super) fn build<B>(head: Box<head::Request>, body: B) -> Request<RequestBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut request = Request::new(body.map_err(Into::into).boxed_unsync());
    *request.method_mut() = head.method;
    *request.uri_mut() = Uri::from(head.target);
    let fields = request.headers_mut();
    *fields = head.fields;
    fields.insert(HOST, head.authority);
    // The client library sends no body of unknown length with methods that rarely have one, unless
    // it is told to.
    if !head.end && !fields.contains_key(CONTENT_LENGTH) {
        fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    request
}

/// The body of a response, whose connection goes back to the pool at its end.
#[derive(Debug)]
pub struct Pooled<B> {
    body: B,
    connection: Option<Kept>,
    back: Option<(Pool, Duration)>,
}

impl<B: Body> Pooled<B> {
    fn new(body: B, connection: Kept, pool: Pool, keep: Duration) -> Self {
        let mut this = Self {
            body,
            connection: Some(connection),
            back: Some((pool, keep)),
        };
        if this.body.is_end_stream() {
            this.give_back();
        }
        this
    }

    /// A body whose connection is used for nothing else.
    pub(super) fn alone(body: B, sender: SendRequest<RequestBody>) -> Self {
        Self {
            body,
            connection: Some(Kept { sender, used: true }),
            back: None,
        }
    }

    fn give_back(&mut self) {
        if let (Some(connection), Some((pool, keep))) = (self.connection.take(), self.back.take()) {
            pool.give(connection, keep);
        }
    }
}

impl<B: Body + Unpin> Body for Pooled<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.give_back(),
            Some(Ok(_)) if self.body.is_end_stream() => self.give_back(),
            // The connection is of no more use.
            Some(Err(_)) => self.connection = None,
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Fields that a response may have; the protocol's own limit is the same.
const MAX_FIELDS: usize = head::MAX_FIELDS;
/// Bytes that one connection may have buffered. Heads must fit.
const BUFFER: usize = 128 << 10;
