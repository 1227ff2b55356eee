//! The way from the agent to the server beside it.
//!
//! - [`dial`]: a connection to it: TCP, a Unix socket, TLS;
//! - [`pool`]: HTTP/1.1 connections that wait for the next request;
//! - [`http1`], [`http2`]: one request and its response;
//! - [`upgrade`]: a switch of protocols;
//! - [`echo`]: the built-in origin.

mod addresses;
pub mod dial;
pub mod echo;
pub mod http1;
pub mod http2;
pub mod pool;
pub mod upgrade;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use adit_shared::task::Tasks;
use adit_shared::wire::code::Reset;
use adit_shared::wire::fields::HeadTooLarge;
use adit_shared::wire::head;
use bytes::Bytes;
use http::header::HeaderValue;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use self::dial::Dialer;
use self::http1::Origin;
use self::http1::connection::Connection;
use self::http2::Shared;
use self::pool::Pool;
use crate::config::{self, HostHeader, Scheme};

/// Where the requests of one tunnel go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    host_header: Option<HeaderValue>,
    tasks: Tasks,
}

#[derive(Debug)]
enum Kind {
    Echo,
    Server {
        dialer: Dialer,
        pool: Pool,
        shared: Shared,
        always_h2: bool,
    },
}

impl Upstream {
    /// The way to the origin of `tunnel`; what it starts runs on `tasks`.
    ///
    /// # Errors
    ///
    /// [`OriginError::Tls`] when the machine's trust store is unusable.
    pub fn new(tunnel: &config::Tunnel, tasks: Tasks) -> Result<Self, OriginError> {
        let kind = match &tunnel.origin {
            config::Origin::Echo => Kind::Echo,
            server => Kind::Server {
                dialer: Dialer::new(server)?,
                pool: Pool::new(&tasks),
                shared: Shared::default(),
                always_h2: matches!(
                    server,
                    config::Origin::Tcp {
                        scheme: Scheme::H2c,
                        ..
                    }
                ),
            },
        };
        let host_header = match &tunnel.host_header {
            HostHeader::Keep => None,
            HostHeader::Rewrite => HeaderValue::from_str(&tunnel.origin.authority()).ok(),
            HostHeader::Value(value) => Some(value.clone()),
        };
        Ok(Self(Arc::new(Inner {
            kind,
            host_header,
            tasks,
        })))
    }

    /// Begins a request; one whose head says that nothing follows it has no `body`. What comes back is told by
    /// [`Pending::next`].
    ///
    /// What happens rarely is boxed, so that the future of every request stays small: it is moved
    /// several times until it runs.
    ///
    /// Safe to drop: the request is cancelled.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub async fn request<B>(
        &self,
        mut head: Box<head::Request>,
        body: Option<B>,
    ) -> Result<Pending<'_, B>, OriginError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let inner = &*self.0;
        if let Some(host) = &inner.host_header {
            head.authority = host.clone();
        }
        let Kind::Server {
            dialer,
            pool,
            shared,
            always_h2,
        } = &inner.kind
        else {
            return Ok(Pending::Echo(Some(echo::answer(&head, body)?)));
        };
        let origin = Origin {
            dialer,
            pool,
            tasks: &inner.tasks,
        };
        if *always_h2 || shared.is_open() {
            let sender = Box::pin(shared.sender(dialer, &inner.tasks)).await?;
            return http2::Pending::send(sender, &head, body, &inner.tasks).map(Pending::Http2);
        }
        if let Some(kept) = pool.take() {
            let pending = http1::Pending::new(kept, head, None, body)?;
            return Ok(Pending::Http1(pending, origin));
        }
        let fresh = Box::pin(dialer.dial()).await?;
        if fresh.is_h2 {
            let sender = Box::pin(shared.adopt(fresh.io, &inner.tasks)).await?;
            return http2::Pending::send(sender, &head, body, &inner.tasks).map(Pending::Http2);
        }
        let fresh = Connection::new(fresh.io);
        let pending = http1::Pending::new(fresh, head, None, body)?;
        Ok(Pending::Http1(pending, origin))
    }

    /// Asks the origin to switch to `head.protocol`.
    ///
    /// Safe to drop: the request is cancelled.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub async fn upgrade(
        &self,
        mut head: Box<head::Request>,
    ) -> Result<upgrade::Answer, OriginError> {
        let inner = &*self.0;
        if let Some(host) = &inner.host_header {
            head.authority = host.clone();
        }
        match &inner.kind {
            Kind::Server {
                dialer,
                shared,
                always_h2: true,
                ..
            } => {
                let sender = Box::pin(shared.sender(dialer, &inner.tasks)).await?;
                upgrade::over_h2(sender, head).await
            }
            Kind::Server { dialer, pool, .. } => {
                let origin = Origin {
                    dialer,
                    pool,
                    tasks: &inner.tasks,
                };
                upgrade::over_h1(origin, head).await
            }
            Kind::Echo => {
                head.protocol = None;
                let response = echo::answer(&head, None::<http_body_util::Empty<Bytes>>)?;
                Ok(upgrade::Answer::Response(response))
            }
        }
    }

    /// Whether the origin accepts connections now. Safe to drop.
    pub async fn is_up(&self) -> bool {
        match &self.0.kind {
            Kind::Echo => true,
            Kind::Server { dialer, .. } => dialer.probe().await,
        }
    }
}

/// A request that is on its way to the origin.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it stays where it is made, and the large one is the usual one"
)]
pub enum Pending<'a, B> {
    /// Over HTTP/1.1.
    Http1(http1::Pending<B>, Origin<'a>),
    /// Over HTTP/2.
    Http2(http2::Pending),
    /// To the built-in origin, which has answered.
    Echo(Option<Response>),
}

/// What an origin says next.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is made and taken apart once per head"
)]
pub enum Next {
    /// A 1xx head; more comes.
    Interim(head::Response),
    /// The response; nothing comes after it.
    Response(Response),
}

impl<B> Pending<'_, B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// Waits for the next head. Safe to drop: the request is cancelled.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub async fn next(&mut self) -> Result<Next, OriginError> {
        match self {
            Self::Http1(pending, origin) => pending.next(*origin).await,
            Self::Http2(pending) => pending.next().await,
            Self::Echo(answer) => answer
                .take()
                .map(Next::Response)
                .ok_or(OriginError::Invalid("the built-in origin answers once")),
        }
    }
}

/// An origin's response.
#[derive(Debug)]
pub struct Response {
    /// Its head, as it travels on.
    pub head: head::Response,
    /// Its body.
    pub body: OriginBody,
}

/// The body of an origin's response.
#[derive(Debug)]
pub enum OriginBody {
    /// Over HTTP/1.1. The connection goes back to the pool at its end.
    Http1(http1::body::Incoming),
    /// Over HTTP/2.
    Http2(http2::Streamed),
    /// From the built-in origin.
    Echo(echo::Echo),
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        match &mut *self {
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(OriginError::Http2))),
            Self::Echo(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|_| OriginError::Request))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Echo(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Echo(body) => body.size_hint(),
        }
    }
}

/// Why an origin gave no response, or not all of it.
#[derive(Debug, Error)]
pub enum OriginError {
    /// It accepts no connection.
    #[error("cannot connect to the origin")]
    Connect(#[source] io::Error),
    /// It accepts no TLS.
    #[error("cannot speak TLS with the origin")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// HTTP/1.1 with it failed.
    #[error("HTTP/1.1 with the origin failed")]
    Http1(#[source] io::Error),
    /// HTTP/2 with it failed.
    #[error("HTTP/2 with the origin failed")]
    Http2(#[source] h2::Error),
    /// It sent no head in time.
    #[error("the origin did not answer in time")]
    Timeout,
    /// It answered something that HTTP does not allow.
    #[error("{0}")]
    Invalid(&'static str),
    /// Its head or trailers are above the protocol's limits.
    #[error("the origin's head is too large for the tunnel")]
    Head(#[from] HeadTooLarge),
    /// The visitor's request ended too early.
    #[error("the request ended too early")]
    Request,
}

impl OriginError {
    /// What the relay is told.
    pub fn code(&self) -> Reset {
        match self {
            Self::Connect(_) => Reset::OriginRefused,
            Self::Tls(_) | Self::Invalid(_) | Self::Head(_) => Reset::OriginInvalid,
            Self::Timeout => Reset::OriginTimeout,
            Self::Request => Reset::VisitorReset,
            Self::Http1(_) => Reset::OriginReset,
            Self::Http2(error) if error.is_remote() || error.is_io() => Reset::OriginReset,
            Self::Http2(_) => Reset::OriginInvalid,
        }
    }

    /// The word of the contract for it.
    pub fn word(&self) -> &'static str {
        match self.code() {
            Reset::OriginRefused => "origin-refused",
            Reset::OriginInvalid => "origin-invalid",
            Reset::OriginTimeout => "origin-timeout",
            Reset::VisitorReset => "request-incomplete",
            _ => "origin-reset",
        }
    }
}
