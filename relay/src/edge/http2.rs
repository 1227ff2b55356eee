//! Visitors that speak HTTP/2, over TLS or from the first byte.

pub mod guard;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use adit_shared::body::h2::{self as body, FromH2};
use adit_shared::hop::Options;
use adit_shared::pace::Pace;
use adit_shared::pump::{H2Sink, pump};
use adit_shared::wire::arrival::Version;
use adit_shared::wire::head;
use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable};
use h2::ext::Protocol;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::header::{
    ACCEPT, ALT_SVC, EXPECT, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Response};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tracing::Instrument as _;

use self::guard::Guard;
use super::answer::Form;
use super::serve::{Asker, Body, Reply, Service, Told, tell};
use crate::forward::{Inbound, Visitor};

/// Serves one connection until it ends, or until the service's tasks are stopped and the requests
/// in flight have ended. Dropping it closes the connection, and cancels its exchanges.
pub async fn serve<T>(io: T, service: Arc<Service>, visitor: Visitor)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (patience, metrics) = (service.patience, service.metrics.clone());
    let io = Guard::new(io, patience.head, patience.download, metrics);
    // Never what binds, or slow uploads would stop the others of a proxy that carries many visitors.
    let connection_window = service.streams.saturating_mul(STREAM_WINDOW);
    let mut builder = Builder::new();
    builder
        .enable_connect_protocol()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(connection_window)
        .max_concurrent_streams(service.streams)
        .max_header_list_size(HEAD)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(Some(MISTAKES));
    match timeout(patience.head, builder.handshake(io)).await {
        Ok(Ok(connection)) => accept(connection, service, Arc::new(visitor)).await,
        Ok(Err(error)) => tracing::debug!(side = "visitor", %error, "http/2 preface failed"),
        Err(_) => {
            service.metrics.limited("head-timeout");
            tracing::debug!(side = "visitor", "http/2 preface timed out");
        }
    }
}

async fn accept<T>(
    mut connection: Connection<T, Bytes>,
    service: Arc<Service>,
    visitor: Arc<Visitor>,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut leaving = false;
    loop {
        let next = tokio::select! {
            biased;
            () = service.tasks.stopped(), if !leaving => {
                leaving = true;
                connection.graceful_shutdown();
                continue;
            }
            next = timeout(service.patience.idle, connection.accept()) => next,
        };
        match next {
            Ok(Some(Ok((request, respond)))) => {
                let (on, visitor) = (service.clone(), visitor.clone());
                let serve = async move { stream(&on, &visitor, request, respond).await };
                service
                    .tasks
                    .spawn(tracing::Span::none(), serve.in_current_span());
            }
            Ok(Some(Err(error))) => {
                return tracing::debug!(side = "visitor", %error, "connection ended");
            }
            Ok(None) => return,
            Err(_) if connection.has_streams() => {}
            Err(_) if leaving => return,
            Err(_) => {
                leaving = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// Serves one stream. Ends early when the visitor resets it.
async fn stream(
    service: &Service,
    visitor: &Visitor,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let (mut parts, recv) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    let protocol = parts.extensions.remove::<Protocol>();
    let protocol = protocol.and_then(|text| HeaderValue::from_str(text.as_str()).ok());
    let body = FromH2::new(recv);
    // An extended CONNECT (RFC 8441) travels as what HTTP/1.1 would have said.
    let (body, raw) = if protocol.is_some() {
        parts.method = Method::GET;
        parts.headers.remove(SEC_WEBSOCKET_KEY);
        (Either::Empty, Some(body))
    } else {
        (Either::Body(body), None)
    };
    let told = forward(service, visitor, &parts, protocol, body, &mut respond).await;
    let result = match told {
        None => return,
        Some(Told::Response(Reply { head, body })) => {
            let alternative = service.alternative(visitor);
            send(&head, body, is_head, &mut respond, (service, alternative)).await
        }
        Some(Told::Switch(head, switched)) => {
            match (respond.send_response(accepted(&head), false), raw) {
                (Ok(send), Some(recv)) => {
                    let left = (recv, H2Sink::new(send));
                    switched.carry(|right| pump(left, right)).await;
                    Ok(())
                }
                (Err(error), _) => Err(error.to_string()),
                (Ok(mut send), None) => {
                    send.send_reset(Reason::INTERNAL_ERROR);
                    Ok(())
                }
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(error, "response not sent to its end");
    }
}

/// A stream that waits for its answer.
struct Stream<'a>(&'a mut SendResponse<Bytes>);

impl Asker for Stream<'_> {
    async fn unless_gone<R: Send>(&mut self, work: impl Future<Output = R> + Send) -> Option<R> {
        tokio::select! {
            biased;
            result = work => Some(result),
            _ = poll_fn(|cx| self.0.poll_reset(cx)) => None,
        }
    }

    async fn interim(&mut self, head: &head::Response) {
        if let Err(error) = self.0.send_informational(response(head)) {
            tracing::debug!(%error, "interim head not sent");
        }
    }
}

/// Forwards a request; tells the visitor what comes back before the response. Nothing when the visitor has
/// reset the stream.
async fn forward(
    service: &Service,
    visitor: &Visitor,
    parts: &Parts,
    protocol: Option<HeaderValue>,
    body: Either,
    respond: &mut SendResponse<Bytes>,
) -> Option<Told> {
    let fields = &parts.headers;
    let accept = fields.get_all(ACCEPT).iter().map(HeaderValue::as_bytes);
    let form = Form::preferred(accept);
    let pairs = fields.iter();
    let pairs: Vec<_> = pairs
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
        .collect();
    let expect = fields.get(EXPECT).map(HeaderValue::as_bytes);
    let inbound = Inbound {
        method: parts.method.clone(),
        target: origin_form(parts.uri.path_and_query()),
        authority: parts.uri.authority().map(Authority::as_str),
        is_http1: false,
        version: Version::Http2,
        // HTTP/2 has no such field (RFC 9113 section 8.2.2).
        options: Options::default(),
        fields: pairs.iter().copied(),
        protocol,
        expects: expect.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")),
        end: body.is_end_stream(),
        window: STREAM_WINDOW,
    };
    let prepared = service.forward.prepare(visitor, inbound);
    drop(pairs);
    tell(service, prepared, form, body, &mut Stream(respond)).await
}

async fn send(
    head: &head::Response,
    mut body: Body,
    is_head: bool,
    respond: &mut SendResponse<Bytes>,
    (service, alternative): (&Service, Option<&HeaderValue>),
) -> Result<(), String> {
    // The relay's own answers have a body even where none may be sent.
    let end = is_head || body.is_end_stream();
    let mut response = response(head);
    if let Some(alternative) = alternative {
        let fields = response.headers_mut();
        fields.entry(ALT_SVC).or_insert_with(|| alternative.clone());
    }
    let mut send = respond
        .send_response(response, end)
        .map_err(|error| error.to_string())?;
    if end {
        return Ok(());
    }
    let (cut, registration) = AbortHandle::new_pair();
    body.watch(&cut);
    let pace = Pace::new(service.patience.download);
    match Abortable::new(body::send(body, &mut send, pace), registration).await {
        Ok(sent) => sent.map(drop).map_err(|error| {
            if matches!(error, body::SendError::Slow) {
                service.metrics.limited("download-timeout");
            }
            error.to_string()
        }),
        Err(_) => Err("it was stalled".to_owned()),
    }
}

fn response(head: &head::Response) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.fields.to_map();
    response
}

/// A switch of protocols as RFC 8441 section 5 has it: success is 200, and there is no accept key.
fn accepted(head: &head::Response) -> Response<()> {
    let mut response = Response::new(());
    *response.headers_mut() = head.fields.to_map();
    response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    response.headers_mut().remove(SEC_WEBSOCKET_VERSION);
    response
}

/// The target as an origin sees it: one without a path asks for `/` (RFC 9113 section 8.3.1).
fn origin_form(target: Option<&PathAndQuery>) -> PathAndQuery {
    let rooted = |target: &PathAndQuery| format!("/{}", target.as_str()).parse();
    match target {
        Some(target) if target.as_str().starts_with('?') => {
            rooted(target).unwrap_or_else(|_| target.clone())
        }
        Some(target) => target.clone(),
        None => PathAndQuery::from_static("/"),
    }
}

/// The body of a request, or none where the stream carries raw bytes.
#[derive(Debug)]
enum Either {
    Body(FromH2),
    Empty,
}

impl http_body::Body for Either {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, h2::Error>>> {
        match &mut *self {
            Self::Body(body) => Pin::new(body).poll_frame(cx),
            Self::Empty => std::task::Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Body(body) => body.is_end_stream(),
            Self::Empty => true,
        }
    }
}

/// Bytes of one upload that may be under way.
const STREAM_WINDOW: u32 = 512 << 10;
/// Bytes of one head; the service's own limit is lower, and answers with a code.
const HEAD: u32 = 128 << 10;
/// Bytes of one response that may wait for the socket.
const SEND_BUFFER: usize = 256 << 10;
/// Streams that a visitor may have reset before we took them (CVE-2023-44487).
const RESETS: usize = 32;
/// Streams that we may have to reset because the visitor broke the rules on them (CVE-2025-8671).
const MISTAKES: usize = 64;
