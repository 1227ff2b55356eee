//! One request, from top to bottom: whose is it, what does the origin get to see, open an exchange,
//! send the request, take the answer. Failures are values; what a visitor sees of them is decided
//! in `edge::answer`.

pub mod body;
pub mod headers;
pub mod introduction;
pub mod pending;
pub mod upload;

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use adit_shared::name::{Host, RequestId};
use adit_shared::task::Tasks;
use adit_shared::wire::head;
use bytes::Bytes;
use http::header::{EXPECT, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Version};
use http_body::Body as HttpBody;
use ipnet::IpNet;
use thiserror::Error;

use self::body::Access;
use self::headers::BadAuthority;
use self::introduction::Introduction;
use self::pending::Begun;
pub use self::pending::{Next, Pending, Raw};
use self::upload::Upload;
use crate::exchange::{self, ExchangeError};
use crate::metrics::Metrics;
use crate::route::{Away, Route, Routes};

/// What forwarding needs to know.
#[derive(Debug)]
pub struct Forward {
    /// Who serves what.
    pub routes: Routes,
    /// Where uploads run.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Visitors whose own `X-Forwarded-*` and `Forwarded` are kept.
    pub trusted_proxies: Vec<IpNet>,
    /// The largest head that is taken from a visitor.
    pub head: HeadLimit,
}

/// Bounds of a visitor's request head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimit {
    /// Bytes of target, names and values together.
    pub bytes: usize,
    /// Number of fields.
    pub fields: usize,
}

/// Who sends the requests of one connection, and how.
#[derive(Debug)]
pub struct Visitor {
    /// Where from.
    pub remote: SocketAddr,
    /// Whether over TLS.
    pub https: bool,
    /// The name that it asked for in the TLS handshake.
    pub server_name: Option<Host>,
    first: OnceLock<Arc<Route>>,
    introduction: OnceLock<Introduction>,
}

impl Visitor {
    /// A visitor who has asked for nothing yet.
    pub fn new(remote: SocketAddr, https: bool, server_name: Option<Host>) -> Self {
        Self {
            remote,
            https,
            server_name,
            first: OnceLock::new(),
            introduction: OnceLock::new(),
        }
    }

    /// Says in `fields` who asks for `authority`. `trusted` are proxies whose own word is kept.
    fn introduce(&self, authority: &HeaderValue, fields: &mut HeaderMap, trusted: bool) {
        let new = || Introduction::new(self.remote.ip(), self.https, authority);
        let first = self.introduction.get_or_init(new);
        if first.is_for(authority) {
            first.write(fields, trusted);
        } else {
            new().write(fields, trusted);
        }
    }

    /// The route of `host`. Nearly all connections ask for one host alone, so that of the first
    /// request is remembered: looking one up in the table writes to memory that all shards share.
    fn route(&self, host: &Host, routes: &Routes) -> Option<Arc<Route>> {
        let is_it = |route: &&Arc<Route>| route.host == *host && !route.is_forgotten();
        if let Some(route) = self.first.get().filter(is_it) {
            return Some(route.clone());
        }
        let route = routes.find(host)?;
        // Nothing happens when it is not the first.
        let _ = self.first.set(route.clone());
        Some(route)
    }
}

/// A visitor's request, as the edge read it.
#[derive(Debug)]
pub struct Inbound<B> {
    /// Head and body.
    pub request: Request<B>,
    /// The protocol that the visitor wants to switch to.
    pub protocol: Option<HeaderValue>,
}

impl Forward {
    /// Sends a request on its way. The answer comes from [`Pending::next`].
    ///
    /// Safe to drop: the exchange is cancelled. So is dropping what it returns.
    ///
    /// # Errors
    ///
    /// [`Failure`], with the request's id.
    pub async fn forward<B>(
        &self,
        visitor: &Visitor,
        inbound: Inbound<B>,
    ) -> Result<Pending, Box<Failure>>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Display + Send,
    {
        let (mut parts, body) = inbound.request.into_parts();
        let id = headers::request_id(&mut parts.headers);
        let mut access = Access::start(self.metrics.clone(), id, &parts.method, parts.uri.path());
        let end = body.is_end_stream();
        let begun = match self.prepare(visitor, parts, inbound.protocol, end, &mut access) {
            Ok(outbound) => self.send(outbound, body).await,
            Err(error) => Err(error),
        };
        match begun {
            Ok(begun) => Ok(Pending::new(begun, access)),
            Err(error) => Err(Box::new(access.fail(error))),
        }
    }

    /// Finds out whose the request is, and makes the head that the origin gets to see. `end` says
    /// that the request has no body.
    fn prepare(
        &self,
        visitor: &Visitor,
        mut parts: http::request::Parts,
        protocol: Option<HeaderValue>,
        end: bool,
        access: &mut Access,
    ) -> Result<Outbound, ForwardError> {
        let fields = &mut parts.headers;
        let target = parts
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str());
        if self.head.is_exceeded(target, fields) {
            return Err(ForwardError::HeadTooLarge);
        }
        if parts.method == Method::CONNECT {
            return Err(ForwardError::Connect);
        }
        let (authority, host) = headers::take_authority(parts.version, &parts.uri, fields)?;
        access.host(&host);
        if visitor
            .server_name
            .as_ref()
            .is_some_and(|name| *name != host)
        {
            return Err(ForwardError::Misdirected);
        }
        let route = visitor.route(&host, &self.routes);
        let route = route.ok_or(ForwardError::Unknown)?;
        headers::strip_hop_by_hop(fields);
        visitor.introduce(&authority, fields, self.trusts(visitor));
        let expects = parts.version >= Version::HTTP_11
            && fields
                .get(EXPECT)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let target = origin_form(parts.uri.into_parts().path_and_query);
        let head = Box::new(head::Request {
            tunnel: 0,
            method: parts.method,
            https: visitor.https,
            authority,
            target,
            end: end && protocol.is_none(),
            protocol,
            fields: parts.headers,
        });
        Ok(Outbound {
            id: access.id().clone(),
            route,
            head,
            expects,
        })
    }

    /// Opens an exchange with whoever serves the host now, and sends the request on it.
    async fn send<B>(&self, outbound: Outbound, body: B) -> Result<Begun, ForwardError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Display + Send,
    {
        let Outbound {
            id,
            route,
            mut head,
            expects,
        } = outbound;
        let mut serving = self.routes.serving(&route).await?;
        let exchange = match serving.session.open().await {
            // Nothing was sent: whoever serves the host next may have it.
            Err(ExchangeError::Lost(_)) => {
                serving = self.routes.next(&route, serving.session.id).await?;
                serving.session.open().await?
            }
            opened => opened?,
        };
        head.tunnel = serving.tunnel;
        let mut bytes = exchange::encode(&head)?;
        let (mut send, response) = exchange.split();
        let mut begun = Begun {
            response,
            upload: None,
            send: None,
            method: head.method,
        };
        if head.end || head.protocol.is_some() || expects {
            let mut head = [bytes.split().freeze()];
            send.write(&mut head).await.map_err(ExchangeError::from)?;
        }
        if head.end {
            send.finish();
        } else if head.protocol.is_some() {
            begun.send = Some(send);
        } else {
            // What is left of the head leaves together with the first of the body.
            begun.upload = Some(Upload::start(self, id, bytes, body, send, expects));
        }
        Ok(begun)
    }

    fn trusts(&self, visitor: &Visitor) -> bool {
        let ip = visitor.remote.ip().to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&ip))
    }
}

/// The target as an origin sees it: an absolute one without a path asks for `/`
/// (RFC 9112 section 3.2.1).
fn origin_form(target: Option<PathAndQuery>) -> PathAndQuery {
    let rooted = |target: &PathAndQuery| format!("/{}", target.as_str()).parse();
    match target {
        Some(target) if target.as_str().starts_with('?') => rooted(&target).unwrap_or(target),
        Some(target) => target,
        None => PathAndQuery::from_static("/"),
    }
}

impl HeadLimit {
    fn is_exceeded(&self, target: &str, fields: &HeaderMap) -> bool {
        let size =
            |(name, value): (&http::HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        fields.len() > self.fields
            || target.len() + fields.iter().map(size).sum::<usize>() > self.bytes
    }
}

/// A request that may be sent.
struct Outbound {
    id: RequestId,
    route: Arc<Route>,
    head: Box<head::Request>,
    /// The visitor waits to be asked for the body.
    expects: bool,
}

/// A request that got no response from the origin.
#[derive(Debug)]
pub struct Failure {
    /// The request's id.
    pub id: RequestId,
    /// Why.
    pub error: ForwardError,
    /// When the request came, for the log.
    pub since: Instant,
}

/// Why a request got no response from the origin.
#[derive(Debug, Error)]
pub enum ForwardError {
    /// It does not say for whom it is.
    #[error(transparent)]
    Authority(#[from] BadAuthority),
    /// It is for another host than the connection.
    #[error("the request is for another host than its connection")]
    Misdirected,
    /// Its head is too large.
    #[error("the request's head is too large")]
    HeadTooLarge,
    /// It wants the relay to be a forward proxy.
    #[error("CONNECT is not for a reverse proxy")]
    Connect,
    /// Nobody has ever served its host here.
    #[error("no agent serves this host")]
    Unknown,
    /// The agent of its host is away.
    #[error(transparent)]
    Away(#[from] Away),
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}
