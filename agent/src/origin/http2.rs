//! One request and its response over HTTP/2, on a connection that all requests share.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use adit_shared::body::h2::{self as body, FromH2};
use adit_shared::hop;
use adit_shared::pace::{Least, Pace};
use adit_shared::task::Tasks;
use adit_shared::wire::fields::{Fields, MAX_HEAD};
use adit_shared::wire::head;
use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable};
use h2::Ping;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::uri::{Authority, Scheme, Uri};
use http::{Request, Version};
use http_body::Body;
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use super::dial::{Dialer, Io};
use super::{Next, OriginBody, OriginError, Response};

/// The one connection that requests share, once there is one.
#[derive(Debug, Default)]
pub struct Shared {
    kept: Arc<Mutex<Kept>>,
    /// Held while dialling, so that requests that come at once do not each dial.
    dialling: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    sender: Option<SendRequest<Bytes>>,
    /// Counts connections: one that ends later than it was replaced takes nothing with it.
    generation: u64,
}

impl Shared {
    /// Whether there is a connection, as far as is known.
    pub fn is_open(&self) -> bool {
        lock(&self.kept).sender.is_some()
    }

    /// The connection, when it takes another request; a fresh one if it is gone. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub async fn sender(
        &self,
        dialer: &Dialer,
        tasks: &Tasks,
    ) -> Result<SendRequest<Bytes>, OriginError> {
        if let Some(ready) = self.ready().await {
            return Ok(ready);
        }
        let _dialling = self.dialling.lock().await;
        if let Some(ready) = self.ready().await {
            return Ok(ready);
        }
        let fresh = dialer.dial().await?;
        if dialer.is_tls() && !fresh.is_h2 {
            lock(&self.kept).sender = None;
            return Err(OriginError::Invalid("the origin speaks HTTP/2 no more"));
        }
        self.adopt(fresh.io, tasks).await
    }

    async fn ready(&self) -> Option<SendRequest<Bytes>> {
        let kept = lock(&self.kept).sender.clone();
        kept?.ready().await.ok()
    }

    /// Begins to speak HTTP/2 on a connection, which requests share from now on, and which `tasks` keep
    /// going. Safe to drop: the connection is closed.
    ///
    /// # Errors
    ///
    /// [`OriginError::Http2`].
    pub async fn adopt(
        &self,
        io: Box<dyn Io>,
        tasks: &Tasks,
    ) -> Result<SendRequest<Bytes>, OriginError> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD as u32)
            .max_send_buffer_size(SEND_BUFFER);
        let (sender, mut connection) = match timeout(HANDSHAKE, builder.handshake(io)).await {
            Ok(handshake) => handshake.map_err(OriginError::Http2)?,
            Err(_) => return Err(OriginError::Timeout),
        };
        let generation = {
            let mut kept = lock(&self.kept);
            kept.sender = Some(sender.clone());
            kept.generation += 1;
            kept.generation
        };
        let (ping, kept) = (connection.ping_pong(), self.kept.clone());
        let stop = tasks.clone();
        tasks.spawn(Span::none(), async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                biased;
                ended = &mut connection => Some(ended),
                () = stop.stopped() => None,
            };
            // The origin may speak otherwise when it is back. And what is kept keeps the connection,
            // which ends by itself once the requests in flight have.
            lock(&kept).forget(generation);
            let ended = match ended {
                Some(ended) => ended,
                None => connection.await,
            };
            if let Err(error) = ended {
                tracing::debug!(side = "origin", %error, "connection ended");
            }
        });
        // What the origin allows is known once it has answered anything.
        if let Some(mut ping) = ping {
            drop(timeout(HANDSHAKE, ping.ping(Ping::opaque())).await);
        }
        sender.ready().await.map_err(OriginError::Http2)
    }
}

impl Kept {
    /// Gives up the connection with this number, if it is still the one.
    fn forget(&mut self, generation: u64) {
        if self.generation == generation {
            self.sender = None;
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that is on its way. Dropped, the stream is reset.
#[derive(Debug)]
pub struct Pending {
    response: ResponseFuture,
    upload: Option<Upload>,
}

impl Pending {
    /// Sends a request; its body is sent on `tasks`.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub fn send<B>(
        mut sender: SendRequest<Bytes>,
        head: &head::Request,
        body: Option<B>,
        tasks: &Tasks,
    ) -> Result<Self, OriginError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        let (response, mut send) = sender
            .send_request(build(head)?, body.is_none())
            .map_err(OriginError::Http2)?;
        let upload = body.map(|body| {
            let (abort, registration) = AbortHandle::new_pair();
            let work =
                async move { drop(body::send(body, &mut send, Pace::new(Least::NOTHING)).await) };
            let work = Abortable::new(work.in_current_span(), registration);
            tasks.spawn(Span::none(), async move {
                // Given up or not, there is nobody to tell.
                let _ = work.await;
            });
            Upload(abort)
        });
        Ok(Self { response, upload })
    }

    /// The next head. After the final one there is nothing more. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub async fn next(&mut self) -> Result<Next, OriginError> {
        let next = poll_fn(|cx| {
            if let Poll::Ready(Some(Ok(head))) = self.response.poll_informational(cx) {
                let (parts, ()) = head.into_parts();
                return Poll::Ready(Ok(Err(parts)));
            }
            std::pin::Pin::new(&mut self.response).poll(cx).map_ok(Ok)
        });
        let response = match next.await.map_err(OriginError::Http2)? {
            Ok(response) => response,
            Err(parts) => return Ok(Next::Interim(head_of(parts, false)?)),
        };
        let (parts, recv) = response.into_parts();
        let body = Streamed {
            body: FromH2::new(recv),
            _upload: self.upload.take(),
        };
        let head = head_of(parts, body.is_end_stream())?;
        let body = OriginBody::Http2(body);
        Ok(Next::Response(Response { head, body }))
    }
}

/// The head of a response as it travels on.
pub(super) fn head_of(
    mut parts: http::response::Parts,
    end: bool,
) -> Result<head::Response, OriginError> {
    hop::strip(&mut parts.headers);
    Ok(head::Response {
        status: parts.status,
        fields: Fields::try_from(&parts.headers)?,
        end,
    })
}

/// The request as HTTP/2 says it.
pub(super) fn build(head: &head::Request) -> Result<Request<()>, OriginError> {
    let authority = Authority::from_maybe_shared(Bytes::copy_from_slice(head.authority.as_bytes()));
    let authority = authority.map_err(|_| OriginError::Request)?;
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if head.https {
        Scheme::HTTPS
    } else {
        Scheme::HTTP
    });
    uri.authority = Some(authority);
    uri.path_and_query = Some(head.target.clone());
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| OriginError::Request)?;
    *request.headers_mut() = head.fields.to_map();
    Ok(request)
}

/// The body of a response. Dropped before its end, the request's upload is given up too.
#[derive(Debug)]
pub struct Streamed {
    body: FromH2,
    /// Held until the response ends.
    _upload: Option<Upload>,
}

impl Streamed {
    /// A body whose request had none.
    pub(super) fn alone(body: FromH2) -> Self {
        Self {
            body,
            _upload: None,
        }
    }
}

/// A request body that is being sent; given up when dropped.
#[derive(Debug)]
struct Upload(AbortHandle);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, h2::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of one download that may be under way.
const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes of all downloads: never what binds, or one that stalls would stop the others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Bytes of one upload that may wait for the socket.
const SEND_BUFFER: usize = 256 << 10;
/// How long the origin may take to begin.
const HANDSHAKE: Duration = Duration::from_secs(5);
