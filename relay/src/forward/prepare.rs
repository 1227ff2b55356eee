//! What comes before a request is sent: whose it is, whether it is taken, and what of it the origin gets to see.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use adit_shared::body::recv::declared_length;
use adit_shared::hop::Options;
use adit_shared::name::RequestId;
use adit_shared::wire::arrival::Version;
use adit_shared::wire::head;
use http::Method;
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use tokio::sync::oneshot;

use super::body::Access;
use super::headers::{self, Authority, Kind};
use super::notice::Asked;
use super::share::Share;
use super::{Failure, Fault, Forward, ForwardError, Visitor};
use crate::addresses::whole;
use crate::route::Route;

/// The head of a visitor's request, as an edge read it.
#[derive(Debug)]
pub struct Inbound<'a, F> {
    /// The method, as sent.
    pub method: Method,
    /// Path and query byte for byte, or `*`.
    pub target: PathAndQuery,
    /// The host that the target or `:authority` names.
    pub authority: Option<&'a str>,
    /// Whether it came over HTTP/1.1, where the host must be said in a field too.
    pub is_http1: bool,
    /// In which version of HTTP it came.
    pub version: Version,
    /// What the `Connection` fields say.
    pub options: Options<'a>,
    /// Names, in upper or lower case, and values of all fields.
    pub fields: F,
    /// The protocol that the visitor wants to switch to.
    pub protocol: Option<HeaderValue>,
    /// The visitor waits to be asked for the body.
    pub expects: bool,
    /// Whether there is no body.
    pub end: bool,
    /// What of the body may have come before it is wanted, in bytes.
    pub window: u32,
}

impl Forward {
    /// Finds out whose a request is, and makes the head that the origin gets to see.
    ///
    /// # Errors
    ///
    /// [`Failure`], with the request's id.
    pub fn prepare<'a, F>(
        &self,
        visitor: &Visitor,
        inbound: Inbound<'a, F>,
    ) -> Result<Prepared, Box<Failure>>
    where
        F: Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        let id = headers::request_id(inbound.fields.clone());
        let metrics = self.metrics.clone();
        let mut access = Access::start(metrics, id, &inbound.method, inbound.target.path());
        match self.outbound(visitor, inbound, &mut access) {
            Ok(outbound) => Ok(Prepared { outbound, access }),
            Err(error) => Err(Box::new(access.fail(error))),
        }
    }

    fn outbound<'a, F>(
        &self,
        visitor: &Visitor,
        inbound: Inbound<'a, F>,
        access: &mut Access,
    ) -> Result<Box<Outbound>, ForwardError>
    where
        F: Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        let mut share = Share::take(visitor, &self.allowance)?;
        let fields = inbound.fields;
        self.head.check(inbound.target.as_str(), fields.clone())?;
        if inbound.method == Method::CONNECT {
            return Err(ForwardError::Connect);
        }
        // HTTP/1.1 has its own rules for both, and keeps them while it reads.
        if !inbound.is_http1 {
            headers::strict(&inbound.method, inbound.target.as_str(), fields.clone())?;
        }
        let hosts = fields
            .clone()
            .filter(|(name, _)| Kind::of(name) == Kind::Host);
        let hosts = hosts.map(|(_, value)| value);
        let authority = Authority::of(inbound.is_http1, inbound.authority, hosts)?;
        let destination = visitor.destination(authority, &self.routes, access)?;
        share.take_route(&destination.route, self.per_tunnel)?;
        access.share = share;
        if let Some(notice) = self.notice.as_ref().filter(|_| visitor.https)
            && let Some(step) = notice.stop(
                &Asked {
                    method: &inbound.method,
                    target: inbound.target.as_str(),
                    authority: destination.authority.to_str().unwrap_or_default(),
                    host: &destination.route.host,
                },
                fields.clone(),
            )
        {
            return Err(ForwardError::Notice(Box::new(step)));
        }
        let (introduction, trusted) = (&destination.introduction, self.trusts(visitor));
        let fields = headers::outbound(
            &fields,
            &inbound.options,
            introduction,
            trusted,
            access.id(),
            inbound.is_http1,
        );
        let head = head::Request {
            tunnel: 0,
            method: inbound.method,
            https: visitor.https,
            authority: destination.authority.clone(),
            target: inbound.target,
            end: inbound.end && inbound.protocol.is_none(),
            protocol: inbound.protocol,
            arrival: None,
            fields: fields?,
        };
        if declared_length(&head.fields).is_some_and(|length| length > self.body.bytes) {
            return Err(Fault::TooLarge.into());
        }
        Ok(Box::new(Outbound {
            id: access.id().clone(),
            route: destination.route.clone(),
            sender: (!trusted).then(|| whole(visitor.remote.ip())),
            head,
            expects: inbound.expects,
            window: inbound.window,
            watched: None,
            is_last: false,
            version: inbound.version,
            since: access.since(),
        }))
    }

    fn trusts(&self, visitor: &Visitor) -> bool {
        let ip = visitor.remote.ip().to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&ip))
    }
}

/// Bounds of a visitor's request head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimit {
    /// Bytes of target, names and values together.
    pub bytes: usize,
    /// Number of fields.
    pub fields: usize,
}

impl HeadLimit {
    fn check<'a>(
        &self,
        target: &str,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(), ForwardError> {
        let (mut count, mut bytes) = (0, target.len());
        for (name, value) in fields {
            count += 1;
            bytes += name.len() + value.len();
        }
        if bytes > self.bytes {
            return Err(ForwardError::HeadTooLarge);
        }
        if count > self.fields {
            return Err(ForwardError::TooManyFields);
        }
        Ok(())
    }
}

/// A request that may be sent.
#[derive(Debug)]
pub struct Prepared {
    pub(super) outbound: Box<Outbound>,
    pub(super) access: Box<Access>,
}

/// What is sent of a request, but for its body.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) id: RequestId,
    pub(super) route: Arc<Route>,
    /// From where, if that is not a proxy that speaks for many.
    pub(super) sender: Option<IpAddr>,
    pub(super) head: head::Request,
    /// The visitor waits to be asked for the body.
    pub(super) expects: bool,
    /// What of its body may be here and wait for the agent.
    pub(super) window: u32,
    /// What is known of its body, until that is sent.
    pub(super) watched: Option<oneshot::Receiver<Fault>>,
    /// It is not sent once more.
    pub(super) is_last: bool,
    /// In which version of HTTP it came, and when.
    pub(super) version: Version,
    pub(super) since: Instant,
}

impl Outbound {
    /// How many bytes of it may be here while nobody takes it.
    pub(super) fn weight(&self) -> usize {
        let head = &self.head;
        let body = if head.end || head.protocol.is_some() {
            0
        } else {
            let length = declared_length(&head.fields).unwrap_or(u64::MAX);
            length.min(self.window.into()) as usize
        };
        head.target.as_str().len() + head.fields.encoded_len() + body
    }
}
