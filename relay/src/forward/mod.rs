//! One request, from top to bottom: whose is it, what does the origin get to see, open an exchange,
//! send the request, take the answer. Failures are values; what a visitor sees of them is decided
//! in `edge::answer`.

pub mod body;
pub mod headers;

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_shared::body::recv::declared_length;
use adit_shared::body::send::{self, SendError};
use adit_shared::name::{Host, RequestId};
use adit_shared::pump::QuicSource;
use adit_shared::stream::SendHalf;
use adit_shared::task::Tasks;
use adit_shared::wire::code::Reset;
use adit_shared::wire::frame::{FrameError, is_interim};
use adit_shared::wire::head;
use adit_shared::wire::varint::Malformed;
use bytes::{Bytes, BytesMut};
use futures_util::future::{AbortHandle, Abortable};
use http::header::{CONTENT_LENGTH, EXPECT, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use ipnet::IpNet;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;
use tracing::Instrument as _;

use self::body::{Access, ResponseBody};
use self::headers::{BadAuthority, Visit};
use crate::exchange::{self, ExchangeError};
use crate::metrics::{Metrics, Outcome};
use crate::route::{Away, Route, Routes};

/// What forwarding needs to know. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Who serves what.
    pub routes: Routes,
    /// Where uploads run.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Visitors whose own `X-Forwarded-*` and `Forwarded` are kept.
    pub trusted_proxies: Arc<[IpNet]>,
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

/// Who sent a request, and how.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Where from.
    pub remote: SocketAddr,
    /// Whether over TLS.
    pub https: bool,
    /// The name that it asked for in the TLS handshake.
    pub server_name: Option<Host>,
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
            Ok(begun) => Ok(Pending {
                begun: Box::new(begun),
                access,
            }),
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
        let route = self.routes.find(&host).ok_or(ForwardError::Unknown)?;
        headers::strip_hop_by_hop(fields);
        let visit = Visit {
            ip: visitor.remote.ip(),
            https: visitor.https,
            authority: &authority,
            trusted: self.trusts(visitor),
        };
        headers::set_forwarded(fields, visit);
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
            begun.upload = Some(self.upload(bytes, body, send, expects));
        }
        Ok(begun)
    }

    /// Sends the request's body beside the answer. With `wait` it begins only when told to: a
    /// visitor that expects `100 Continue` is not asked for its body before the origin wants it.
    fn upload<B>(&self, head: BytesMut, body: B, mut send: SendHalf, wait: bool) -> Upload
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Display + Send,
    {
        let (go, gone) = oneshot::channel();
        let metrics = self.metrics.clone();
        let (abort, registration) = AbortHandle::new_pair();
        let work = async move {
            // An origin that does not know the expectation waits for the body (RFC 9110 section
            // 10.1.1): so it comes after a while in any case.
            if wait && matches!(timeout(EXPECT_AT_MOST, gone).await, Ok(Err(_))) {
                return;
            }
            match send::send(head, body, &mut send).await {
                Ok(sent) => metrics.request_bytes(sent),
                Err(SendError::Body(error)) => {
                    tracing::debug!(side = "visitor", %error, "request body ended too early");
                    send.reset(Reset::VisitorReset);
                }
                // The agent wants no more of it, and says more in its answer.
                Err(SendError::Write(error)) => tracing::trace!(%error, "request body not wanted"),
                Err(SendError::Trailers(error)) => {
                    tracing::debug!(side = "visitor", %error, "trailers refused");
                    send.reset(Reset::HeadTooLarge);
                }
            }
        };
        let work = Abortable::new(work.in_current_span(), registration);
        self.tasks.spawn(tracing::Span::none(), async move {
            // Given up or not, there is nobody to tell.
            let _ = work.await;
        });
        Upload {
            go: wait.then_some(go),
            abort,
            armed: true,
        }
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

/// How long a body waits for the origin to ask for it: as long as common clients do.
const EXPECT_AT_MOST: Duration = Duration::from_secs(1);

/// A request that may be sent.
struct Outbound {
    route: Arc<Route>,
    head: Box<head::Request>,
    /// The visitor waits to be asked for the body.
    expects: bool,
}

/// A request that was sent, or is being sent.
#[derive(Debug)]
struct Begun {
    response: exchange::Response,
    upload: Option<Upload>,
    /// Kept for raw bytes, if the origin switches protocols.
    send: Option<SendHalf>,
    method: Method,
}

/// A request that is on its way.
#[derive(Debug)]
pub struct Pending {
    begun: Box<Begun>,
    access: Box<Access>,
}

/// What comes back next.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is made and taken apart once per head"
)]
pub enum Next {
    /// An interim response; more comes.
    Interim(Response<()>, Pending),
    /// The response.
    Response(Response<ResponseBody>),
    /// The origin switches protocols: raw bytes both ways.
    Switch(Response<()>, Raw),
}

/// The agent's end of a switched exchange.
#[derive(Debug)]
pub struct Raw {
    /// From the origin.
    pub source: QuicSource,
    /// To the origin.
    pub sink: SendHalf,
    /// Held while it lasts.
    pub slot: OwnedSemaphorePermit,
    /// Logs the end.
    pub access: Box<Access>,
}

impl Raw {
    /// Carries raw bytes between the agent and the visitor with `pump` until both directions have
    /// ended.
    pub async fn carry<F>(mut self, pump: impl FnOnce((QuicSource, SendHalf)) -> F)
    where
        F: Future<Output = io::Result<(u64, u64)>>,
    {
        match pump((self.source, self.sink)).await {
            Ok((_, sent)) => {
                self.access.sent = sent;
                self.access.outcome = Outcome::Done;
            }
            Err(error) => tracing::debug!(%error, "switched exchange was cut"),
        }
        drop(self.slot);
    }
}

impl Pending {
    /// Waits for the next head. Safe to drop: the exchange is cancelled.
    ///
    /// # Errors
    ///
    /// [`Failure`], with the request's id.
    pub async fn next(mut self) -> Result<Next, Box<Failure>> {
        let mut head = match self.begun.response.head().await {
            Ok(head) => head,
            Err(error) => return Err(Box::new(self.access.fail(error.into()))),
        };
        headers::strip_response(&mut head.fields);
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        if is_interim(head.status) {
            if head.status == StatusCode::CONTINUE {
                self.begin_upload();
            }
            // An interim response has no body to declare (RFC 9110 section 8.6).
            head.fields.remove(CONTENT_LENGTH);
            *response.headers_mut() = head.fields;
            return Ok(Next::Interim(response, self));
        }
        if !headers::settle_length(&mut head.fields) || self.lacks_body(&head) {
            let what = Malformed::Invalid("a declared length that cannot be");
            let error = ExchangeError::Protocol(FrameError::Head(what));
            return Err(Box::new(self.access.fail(error.into())));
        }
        self.access.status(head.status);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(sink) = self.begun.send else {
                let error = ExchangeError::Reset(Reset::OriginInvalid);
                return Err(Box::new(self.access.fail(error.into())));
            };
            *response.headers_mut() = head.fields;
            let (source, slot) = self.begun.response.raw();
            return Ok(Next::Switch(
                response,
                Raw {
                    source,
                    sink,
                    slot,
                    access: self.access,
                },
            ));
        }
        // An origin that takes the request without asking for its body may still read it.
        if head.status.is_success() {
            self.begin_upload();
        }
        let Begun {
            response: rest,
            upload,
            method,
            ..
        } = *self.begun;
        let body = rest.body(&head, &method);
        *response.headers_mut() = head.fields;
        Ok(Next::Response(
            response.map(|()| ResponseBody::new(body, upload, self.access)),
        ))
    }

    /// Whether a head that says to be all declares a body nevertheless.
    fn lacks_body(&self, head: &head::Response) -> bool {
        let bodiless = self.begun.method == Method::HEAD
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        let declared = declared_length(&head.fields);
        head.end && !bodiless && declared.is_some_and(|length| length > 0)
    }

    fn begin_upload(&mut self) {
        if let Some(go) = self
            .begun
            .upload
            .as_mut()
            .and_then(|upload| upload.go.take())
        {
            // Nobody waits when the upload has failed meanwhile.
            let _ = go.send(());
        }
    }
}

/// A request body that is being sent. Dropped, it is given up; see [`Upload::let_go`].
#[derive(Debug)]
pub struct Upload {
    go: Option<oneshot::Sender<()>>,
    abort: AbortHandle,
    armed: bool,
}

impl Upload {
    /// The answer is whole: what the origin still reads of the request may go on.
    pub fn let_go(mut self) {
        self.armed = false;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.armed {
            self.abort.abort();
        }
    }
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
