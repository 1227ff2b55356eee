//! Visitors that speak HTTP/1.1.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use adit_shared::intake::Intake;
use adit_shared::pump::{SocketSink, SocketSource, pump};
use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable};
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{HeaderMap, Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::Span;

use super::interim::{Http1Interim, InterimIo, Slot};
use super::serve::{Body, Reply, Service};
use crate::forward::{Inbound, Raw, Visitor};

/// Serves one connection until it ends, or until the service's tasks are stopped and the request
/// in flight has ended.
pub async fn serve<T>(io: T, service: Arc<Service>, visitor: Visitor)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (io, slot) = InterimIo::new(TokioIo::new(io));
    let (stop, head_timeout) = (service.tasks.clone(), service.head_timeout);
    let visitor = Arc::new(visitor);
    // A response that is cut ends its connection: there is no other way to say so.
    let (cut, registration) = AbortHandle::new_pair();
    let handle = service_fn(move |request| {
        let (service, visitor, slot) = (service.clone(), visitor.clone(), slot.clone());
        let cut = cut.clone();
        // Boxed, since the server moves the future about: a pointer is cheaper.
        Box::pin(async move {
            let mut response = request_on::<T>(&service, &visitor, slot, request).await;
            response.body_mut().watch(&cut);
            Ok::<_, Infallible>(response)
        })
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_headers(MAX_FIELDS)
        .max_buf_size(BUFFER)
        .auto_date_header(false)
        .serve_connection(io, handle)
        .with_upgrades();
    let mut connection = pin!(connection);
    let serving = async {
        tokio::select! {
            biased;
            () = stop.stopped() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            result = connection.as_mut() => result,
        }
    };
    match Abortable::new(serving, registration).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(side = "visitor", %error, "connection ended"),
        Err(_) => tracing::debug!(side = "visitor", "connection cut: its response stalled"),
    }
}

/// Serves one request on a connection that is a `T` underneath.
async fn request_on<T>(
    service: &Service,
    visitor: &Visitor,
    slot: Slot,
    mut request: Request<Incoming>,
) -> Response<Body>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let protocol = upgrade_wanted(&request);
    let upgraded = protocol.as_ref().map(|_| hyper::upgrade::on(&mut request));
    let mut interim = Http1Interim::new(slot, request.version());
    let inbound = Inbound {
        request,
        protocol: protocol.clone(),
    };
    match service.serve(visitor, inbound, &mut interim).await {
        Reply::Response(response) => response,
        Reply::Switch(mut head, raw) => {
            if let (Some(upgraded), Some(protocol)) = (upgraded, protocol) {
                let fields = head.headers_mut();
                fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                fields.insert(UPGRADE, protocol);
                service
                    .tasks
                    .spawn(Span::current(), switch::<T>(upgraded, *raw));
            }
            head.map(|()| Body::own(Bytes::new()))
        }
    }
}

/// Carries raw bytes after a 101.
async fn switch<T>(upgraded: OnUpgrade, raw: Raw)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let upgraded = match upgraded.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "visitor left before the upgrade"),
    };
    // The server is done with it: nothing need stand between the pump and the socket.
    let Ok(parts) = upgraded.downcast::<InterimIo<TokioIo<T>>>() else {
        return tracing::error!("a connection is another one after its upgrade");
    };
    let (read, write) = tokio::io::split(parts.io.into_inner().into_inner());
    let early = Intake::with(parts.read_buf);
    let left = (SocketSource::new(early, read), SocketSink::new(write));
    raw.carry(|right| pump(left, right)).await;
}

/// The protocol that a request asks to switch to. Not HTTP/2: a visitor that speaks it can say so
/// from the start, and the offer is for this hop only. Not with a body either: what would follow a
/// 101 could not be told from it.
fn upgrade_wanted(request: &Request<Incoming>) -> Option<HeaderValue> {
    use http_body::Body as _;
    let fields = request.headers();
    let protocol = fields.get(UPGRADE)?;
    let plain = request.version() == Version::HTTP_11 && request.body().is_end_stream();
    let h2c = protocol.as_bytes().eq_ignore_ascii_case(b"h2c");
    (plain && !h2c && lists(fields, b"upgrade")).then(|| protocol.clone())
}

fn lists(fields: &HeaderMap, option: &[u8]) -> bool {
    fields.get_all(CONNECTION).iter().any(|value| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|one| one.trim_ascii().eq_ignore_ascii_case(option))
    })
}

/// Fields that the parser takes; the service's own limit is lower, and answers with a code.
const MAX_FIELDS: usize = 256;
/// Bytes that one connection may have buffered in each direction. Heads must fit.
const BUFFER: usize = 128 << 10;
