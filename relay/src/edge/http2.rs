//! Visitors that speak HTTP/2, over TLS or from the first byte.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::body::h2::{self as body, FromH2};
use adit_shared::pump::{H2Sink, pump};
use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable};
use h2::ext::Protocol;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::header::{HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::serve::{Interim, Reply, Service};
use crate::forward::{Inbound, Visitor};

/// Serves one connection until it ends, or until the service's tasks are stopped and the requests
/// in flight have ended.
pub async fn serve<T>(io: T, service: Arc<Service>, visitor: Visitor)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = Builder::new();
    builder
        .enable_connect_protocol()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS);
    match timeout(service.head_timeout, builder.handshake(io)).await {
        Ok(Ok(connection)) => accept(connection, service, Arc::new(visitor)).await,
        Ok(Err(error)) => tracing::debug!(side = "visitor", %error, "http/2 preface failed"),
        Err(_) => tracing::debug!(side = "visitor", "http/2 preface timed out"),
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
            next = timeout(IDLE, connection.accept()) => next,
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
    // An extended CONNECT (RFC 8441) travels as what HTTP/1.1 would have said.
    let (inbound, mut recv) = if protocol.is_some() {
        parts.method = Method::GET;
        parts.headers.remove(SEC_WEBSOCKET_KEY);
        let request = Request::from_parts(parts, Either::Empty);
        (
            Inbound {
                request,
                protocol: protocol.clone(),
            },
            Some(FromH2::new(recv)),
        )
    } else {
        let request = Request::from_parts(parts, Either::Body(FromH2::new(recv)));
        (
            Inbound {
                request,
                protocol: None,
            },
            None,
        )
    };
    let (heads, mut interim) = mpsc::channel(1);
    let mut heads = Heads(heads);
    let reply = {
        let mut serve = std::pin::pin!(service.serve(visitor, inbound, &mut heads));
        loop {
            tokio::select! {
                biased;
                Some(head) = interim.recv() => {
                    if let Err(error) = respond.send_informational(head) {
                        tracing::debug!(%error, "interim head not sent");
                    }
                }
                reply = &mut serve => break reply,
                _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
            }
        }
    };
    let result = match reply {
        Reply::Response(response) => {
            let (parts, mut body) = response.into_parts();
            // The relay's own answers have a body even where none may be sent.
            let end = is_head || body.is_end_stream();
            match respond.send_response(Response::from_parts(parts, ()), end) {
                Ok(_) if end => Ok(()),
                Ok(mut send) => {
                    let (cut, registration) = AbortHandle::new_pair();
                    body.watch(&cut);
                    let sent = Abortable::new(body::send(body, &mut send), registration).await;
                    match sent {
                        Ok(sent) => sent.map(drop).map_err(|error| error.to_string()),
                        Err(_) => Err("it was stalled".to_owned()),
                    }
                }
                Err(error) => Err(error.to_string()),
            }
        }
        Reply::Switch(mut head, raw) => {
            // RFC 8441 section 5: success is 200, and there is no accept key.
            *head.status_mut() = StatusCode::OK;
            head.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
            head.headers_mut().remove(SEC_WEBSOCKET_VERSION);
            match (respond.send_response(head, false), recv.take()) {
                (Ok(send), Some(recv)) => {
                    let left = (recv, H2Sink::new(send));
                    raw.carry(|right| pump(left, right)).await;
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

/// Sends interim heads to the task that owns the stream.
#[derive(Debug)]
struct Heads(mpsc::Sender<Response<()>>);

impl Interim for Heads {
    async fn send(&mut self, head: Response<()>) {
        // The stream is gone when nobody receives.
        drop(self.0.send(head).await);
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
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, h2::Error>>> {
        match &mut *self {
            Self::Body(body) => std::pin::Pin::new(body).poll_frame(cx),
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
/// Requests of one visitor at a time.
const STREAMS: u32 = 128;
/// Bytes of all uploads of one visitor that may be under way: never what binds, or slow uploads would
/// stop the others of a proxy that carries many visitors.
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;
/// Bytes of one head; the service's own limit is lower, and answers with a code.
const HEAD: u32 = 128 << 10;
/// Bytes of one response that may wait for the socket.
const SEND_BUFFER: usize = 256 << 10;
/// Streams that a visitor may have reset before we took them (CVE-2023-44487).
const RESETS: usize = 32;
/// A connection without requests is closed after this long.
const IDLE: Duration = Duration::from_secs(120);
