//! What all HTTP versions share: the way to agents, and what a visitor is told.

use std::fmt::Display;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use adit_shared::body::recv::BodyError;
use adit_shared::name::RequestId;
use adit_shared::pace::Least;
use adit_shared::task::Tasks;
use adit_shared::wire::head;
use bytes::Bytes;
use futures_util::future::AbortHandle;
use http::HeaderValue;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::answer::{Answer, Form, challenge};
use super::carrier::Door;
use super::http1::BadRequest;
use super::neighbours::Neighbours;
use super::notice;
use super::proxied::Proxies;
use super::tls::issued::Issued;
use crate::addresses::Addresses;
use crate::forward::body::ResponseBody;
use crate::forward::{Failure, Forward, ForwardError, Next, Prepared, Raw, Visitor};
use crate::metrics::Metrics;

/// What serves requests, on any connection of one shard.
#[derive(Debug)]
pub struct Service {
    /// The way to agents.
    pub forward: Forward,
    /// Where connections and what they start run.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who says for others where their connections come from.
    pub proxies: Proxies,
    /// Where connections go that are for another shard.
    pub neighbours: Neighbours,
    /// Where agents go that come over TCP, if there are agents here.
    pub door: Option<Door>,
    /// What an authority issued, and what it is answered; none when there is no authority.
    pub issued: Option<Arc<Issued>>,
    /// What each address has.
    pub addresses: Addresses,
    /// Where visitors over TLS may come instead: HTTP/3, if that is served (RFC 7838).
    pub alternative: Option<HeaderValue>,
    /// How long visitors are waited for.
    pub patience: Patience,
    /// Requests of one connection at once, over HTTP/2 and HTTP/3.
    pub streams: u32,
}

/// How long visitors are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the connection to the end of its TLS handshake, or to the first byte without TLS.
    pub handshake: Duration,
    /// A request's head.
    pub head: Duration,
    /// The next request.
    pub idle: Duration,
    /// Taking a response.
    pub download: Least,
}

impl Service {
    /// What a visitor is told of where else it may come.
    pub fn alternative(&self, visitor: &Visitor) -> Option<&HeaderValue> {
        self.alternative.as_ref().filter(|_| visitor.https)
    }

    /// What a visitor is told of a request that got no response, in the form that it accepts.
    pub fn answer(&self, failure: &Failure, form: Form) -> Reply {
        if let ForwardError::Notice(step) = &failure.error {
            self.metrics.notices.inc();
            let (head, body) = notice::response(step, &failure.id);
            return Reply {
                head: Box::new(head),
                body: Body::own(body),
            };
        }
        if let ForwardError::Challenge(answer) = &failure.error {
            let (head, body) = challenge(answer, &failure.id);
            return Reply {
                head: Box::new(head),
                body: Body::own(body),
            };
        }
        let answer = Answer::from(&failure.error);
        if let ForwardError::Kept(receipt) = &failure.error {
            let (head, body) = answer.receipt(receipt, form, &failure.id);
            return Reply {
                head: Box::new(head),
                body: Body::own(body),
            };
        }
        self.say(answer, form, &failure.id)
    }

    /// What a visitor is told of something that is no request.
    pub fn refuse(&self, error: &BadRequest) -> Reply {
        if let Some(limit) = error.limit() {
            self.metrics.limited(limit);
        }
        self.say(Answer::from(error), Form::Text, &RequestId::fresh())
    }

    /// Counts a connection over `limit`.
    pub(super) fn refuse_visitor(&self, limit: &'static str) {
        self.metrics.visitors_refused.inc();
        self.metrics.limited(limit);
    }

    /// Counts a connection that a proxy did not pass on as agreed.
    pub(super) fn not_proxied(&self, why: &dyn Display) {
        self.metrics.proxy_headers_refused.inc();
        tracing::debug!(side = "visitor", %why, "connection refused");
    }

    fn say(&self, answer: Answer, form: Form, id: &RequestId) -> Reply {
        self.metrics.answer(answer.code);
        let (head, body) = answer.response(form, id);
        Reply {
            head: Box::new(head),
            body: Body::own(body),
        }
    }
}

/// What a visitor is told.
#[derive(Debug)]
pub struct Reply {
    /// Status and fields.
    pub head: Box<head::Response>,
    /// The rest of it.
    pub body: Body,
}

/// What a visitor is told at last.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is made and taken apart once per request"
)]
pub(super) enum Told {
    /// A response.
    Response(Reply),
    /// A switch of protocols.
    Switch(Box<head::Response>, Raw),
}

/// A visitor that waits on a stream of HTTP/2 or HTTP/3.
pub(super) trait Asker {
    /// Does `work` unless the visitor leaves before it has ended.
    fn unless_gone<R: Send>(
        &mut self,
        work: impl Future<Output = R> + Send,
    ) -> impl Future<Output = Option<R>> + Send;

    /// Tells the visitor an interim head.
    fn interim(&mut self, head: &head::Response) -> impl Future<Output = ()> + Send;
}

/// Forwards a request; tells the visitor what comes back before the response, and says what comes then.
/// Nothing when the visitor left.
pub(super) async fn tell<B>(
    service: &Service,
    prepared: Result<Prepared, Box<Failure>>,
    form: Form,
    body: B,
    asker: &mut impl Asker,
) -> Option<Told>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Display + Send,
{
    let fail = |failure: &Failure| Some(Told::Response(service.answer(failure, form)));
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return fail(&failure),
    };
    // What is under way is pinned here, and not moved into what waits for it.
    let begun = {
        let begun = pin!(service.forward.send(prepared, body));
        asker.unless_gone(begun).await?
    };
    let mut pending = match begun {
        Ok(pending) => pending,
        Err(failure) => return fail(&failure),
    };
    loop {
        let next = {
            let next = pin!(service.forward.next(pending));
            asker.unless_gone(next).await?
        };
        match next {
            Ok(Next::Interim(head, rest)) => {
                asker.interim(&head).await;
                pending = rest;
            }
            Ok(Next::Response(head, body)) => {
                let body = Body::Forwarded(Box::new(body));
                return Some(Told::Response(Reply { head, body }));
            }
            Ok(Next::Switch(head, raw)) => return Some(Told::Switch(head, raw)),
            Err(failure) => return fail(&failure),
        }
    }
}

/// The body of what a visitor is told.
#[derive(Debug)]
pub enum Body {
    /// The relay's own words.
    Own(Option<Bytes>),
    /// The origin's.
    Forwarded(Box<ResponseBody>),
}

impl Body {
    /// See [`ResponseBody::watch`].
    pub fn watch(&mut self, cut: &AbortHandle) {
        if let Self::Forwarded(body) = self {
            body.watch(cut);
        }
    }

    /// A body of the relay's own.
    pub fn own(bytes: Bytes) -> Self {
        Self::Own(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Forwarded(body) => Pin::new(&mut **body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Forwarded(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Forwarded(body) => body.size_hint(),
        }
    }
}
