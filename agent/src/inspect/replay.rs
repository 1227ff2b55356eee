//! An exchange once more: the same request, or an edited one, to the same origin or another.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_shared::hop::is_hop_by_hop;
use adit_shared::task::Tasks;
use adit_shared::webhook::judge::{judge, signer, url};
use adit_shared::webhook::{Message, Seen, recognise};
use adit_shared::wire::fields::Fields;
use adit_shared::wire::head;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::timeout;

use crate::capture::summary::Summary;
use crate::capture::tap::Tapped;
use crate::capture::{Capture, Cause, Exchange, Open, Side};
use crate::config::Tunnel;
use crate::origin::{Next, OriginError, Upstream};
use crate::status::{Event, Outcome, Request, Status};
use crate::webhook::anew::{sign_anew, with};

/// What to change of a request before it is sent once more; nothing by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edits {
    /// How often it is sent, one after the other.
    pub times: Option<u32>,
    /// Whether to answer only when all responses have come.
    pub wait: bool,
    /// Whether a webhook is signed anew, if that is possible here; it is unless this says otherwise.
    pub sign: Option<bool>,
    /// Another tunnel's origin.
    pub tunnel: Option<String>,
    /// Another method.
    pub method: Option<String>,
    /// Another path and query.
    pub target: Option<String>,
    /// All header fields, in place of those that were.
    pub headers: Option<Vec<(String, String)>>,
    /// Another body, as text.
    pub body: Option<String>,
    /// Another body, in Base64.
    pub body_base64: Option<String>,
}

/// Why a request cannot be sent once more.
#[derive(Debug, Error)]
pub enum BadReplay {
    /// The tunnel is not one of this agent's.
    #[error("there is no tunnel {0:?} here; name one of those that there are")]
    Tunnel(String),
    /// It would be another request.
    #[error("only the beginning of the body was kept; give a body, or raise --inspect-body")]
    Cut,
    /// A connection that switched protocols is more than a request.
    #[error("a switched connection cannot be replayed")]
    Switched,
    /// It has not ended.
    #[error("the request has not come to its end yet")]
    Pending,
    /// An edit is not valid.
    #[error("{0}")]
    Edit(&'static str),
}

/// The way to an origin, and which tunnel's it is.
pub(super) type Way = (Tunnel, Upstream);

/// A request that can be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    of: u64,
    pub(super) signing: Signing,
    head: head::Request,
    body: Bytes,
    tunnel: Tunnel,
    upstream: Upstream,
    pub(super) times: u32,
    capture: Capture,
    status: Status,
}

/// What became of the signature of a webhook.
#[derive(Clone, Debug, Default)]
pub(super) struct Signing {
    /// What is known of it, when it was signed anew.
    seen: Option<Seen>,
    /// Why it is sent as it was, when it is one.
    pub(super) unsigned: Option<String>,
}

impl Signing {
    /// Whose secret has signed it.
    pub(super) fn signer(&self) -> Option<&'static str> {
        self.seen.as_ref().map(|seen| seen.provider)
    }
}

/// Checks everything, and sends nothing yet.
pub(super) fn prepare(
    of: &Exchange,
    edits: &Edits,
    ways: &[Way],
    capture: &Capture,
    status: &Status,
) -> Result<Prepared, BadReplay> {
    let label = edits.tunnel.as_ref().unwrap_or(&of.tunnel);
    let way = ways.iter().find(|(tunnel, _)| tunnel.label == *label);
    // What comes from a file, or from before a change of the port, has only one place to go.
    let only = || (ways.len() == 1 && edits.tunnel.is_none()).then(|| &ways[0]);
    let Some((tunnel, upstream)) = way.or_else(only).cloned() else {
        return Err(BadReplay::Tunnel(label.clone()));
    };
    if of.head.protocol.is_some() {
        return Err(BadReplay::Switched);
    }
    let mut body = body(of, edits)?;
    let is_edited = edits.body.is_some() || edits.body_base64.is_some();
    let method = match &edits.method {
        None => of.head.method.clone(),
        Some(text) => {
            Method::from_bytes(text.as_bytes()).map_err(|_| BadReplay::Edit("this is no method"))?
        }
    };
    let target = edits.target.as_ref().unwrap_or(&of.head.target);
    if !target.starts_with('/') && target != "*" {
        return Err(BadReplay::Edit("a path begins with /"));
    }
    let target = target.parse();
    let target = target.map_err(|_| BadReplay::Edit("this is no path and query"))?;
    let mut authority = of.head.authority.as_str();
    let mut fields = of.fields.clone();
    if let Some(pairs) = &edits.headers {
        if let Some((_, host)) = pairs
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            authority = host;
        }
        let kept = pairs.iter().filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name != "host" && !is_hop_by_hop(name.as_bytes())
        });
        let kept = kept.map(|(name, value)| (name.trim(), value.trim()));
        fields =
            Fields::from_pairs(kept).map_err(|_| BadReplay::Edit("this is no header field"))?;
    }
    if is_edited || edits.headers.is_some() {
        let length = body.len().to_string();
        let others: Vec<_> = fields
            .iter()
            .filter(|(name, _)| *name != b"content-length")
            .collect();
        let length = (!body.is_empty()).then_some((&b"content-length"[..], length.as_bytes()));
        fields = Fields::from_pairs(others.into_iter().chain(length))
            .map_err(|_| BadReplay::Edit("this is too much of a head"))?;
    }
    let authority = HeaderValue::from_str(authority);
    // What the agent said of the first delivery is not true of this one.
    fields.remove("adit-webhook-verified");
    let head = head::Request {
        tunnel: tunnel.id,
        method,
        https: of.head.https,
        authority: authority.map_err(|_| BadReplay::Edit("this is no host"))?,
        target,
        protocol: None,
        arrival: None,
        fields,
        end: body.is_empty(),
    };
    let mut head = head;
    let signing = if edits.sign == Some(false) {
        Signing::default()
    } else {
        sign(&mut head, &mut body, &tunnel)
    };
    Ok(Prepared {
        of: of.id,
        signing,
        head,
        body,
        tunnel,
        upstream,
        times: edits.times.unwrap_or(1).clamp(1, MAX_TIMES),
        capture: capture.clone(),
        status: status.clone(),
    })
}

/// Signs a webhook with a fresh time, so that the origin's own check passes, if its secret is here. What cannot
/// be signed is sent as it is.
fn sign(head: &mut head::Request, body: &mut Bytes, tunnel: &Tunnel) -> Signing {
    let hooks = &tunnel.webhooks;
    let Some(provider) = recognise(&head.fields) else {
        return Signing::default();
    };
    if let Err(why) = sign_anew(head, body, provider, hooks, SystemTime::now()) {
        return Signing {
            unsigned: Some(why.to_string()),
            ..Signing::default()
        };
    }
    head.end = body.is_empty();
    let url = url(head);
    let message = Message::new(head.method.as_str(), &url, &head.fields, body);
    let judged = judge(
        &hooks.rules,
        head.target.path(),
        &message,
        true,
        SystemTime::now(),
    );
    let is_genuine = matches!(judged.verdict, Some(Ok(signer)) if signer.name == provider.name);
    let seen = Seen {
        event: provider.event(&message),
        id: provider.id(&message),
        verified: is_genuine.then_some(true),
        ..Seen::new(provider)
    };
    let word = signer(provider.name, seen.event.as_deref(), seen.id.as_deref());
    // The field is for requests that a rule is about; without room for it, there is none.
    let told = is_genuine.then(|| with(&head.fields, "adit-webhook-verified", &word));
    if let Some(Ok(told)) = told {
        head.fields = told;
    }
    Signing {
        seen: Some(seen),
        unsigned: None,
    }
}

fn body(of: &Exchange, edits: &Edits) -> Result<Bytes, BadReplay> {
    match (&edits.body, &edits.body_base64) {
        (Some(_), Some(_)) => Err(BadReplay::Edit("give body or body_base64, not both")),
        (Some(text), None) => Ok(text.clone().into()),
        (None, Some(text)) => {
            let decoded = BASE64.decode(text);
            decoded
                .map(Bytes::from)
                .map_err(|_| BadReplay::Edit("body_base64 is no Base64"))
        }
        (None, None) => {
            let state = of.state();
            if state.sent.is_cut() {
                return Err(BadReplay::Cut);
            }
            if state.end.is_none() && state.request_took.is_none() && !state.sent.is_empty() {
                return Err(BadReplay::Pending);
            }
            Ok(state.sent.bytes())
        }
    }
}

impl Prepared {
    /// Sends it as often as asked, one after the other, and returns what came of it. Dropped, it gives up
    /// what is under way.
    pub(super) async fn send(self) -> Vec<Arc<Exchange>> {
        let mut done = Vec::new();
        for _ in 0..self.times {
            done.push(self.once().await);
        }
        done
    }

    async fn once(&self) -> Arc<Exchange> {
        let cause = Cause::Replay(self.of);
        let open = self
            .capture
            .follow(&self.head, &self.tunnel.label, cause, None);
        if let Some(seen) = &self.signing.seen {
            open.tap().webhook(seen);
        }
        let result = timeout(LONGEST, self.exchange(&open)).await;
        let outcome = match result {
            Ok(Ok(())) => Outcome::Done,
            Ok(Err(error)) => Outcome::Failed(error.word()),
            Err(_) => Outcome::Failed("origin-timeout"),
        };
        open.end(outcome.word());
        let exchange = open.tap().exchange().clone();
        self.tell(&exchange, outcome);
        exchange
    }

    async fn exchange(&self, open: &Open) -> Result<(), OriginError> {
        let body = (!self.body.is_empty()).then(|| {
            let body = Full::new(self.body.clone());
            Tapped::new(body, open.tap().clone(), Side::Visitor)
        });
        let head = Box::new(self.head.clone());
        let answered = async {
            let mut pending = self.upstream.request(head, body).await?;
            loop {
                if let Next::Response(response) = pending.next().await? {
                    return Ok::<_, OriginError>(response);
                }
            }
        };
        let answered = timeout(self.tunnel.origin_timeout, answered).await;
        let response = answered.map_err(|_| OriginError::Timeout)??;
        if response.head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(OriginError::Invalid(
                "the origin switches protocols unasked",
            ));
        }
        open.tap().response(&response.head);
        if response.body.is_end_stream() {
            return Ok(());
        }
        let mut body = Tapped::new(response.body, open.tap().clone(), Side::Origin);
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(())
    }

    fn tell(&self, exchange: &Exchange, outcome: Outcome) {
        let summary = Summary::of(exchange);
        self.status.emit(Event::Request(Request {
            id: summary.request_id.unwrap_or_default(),
            tunnel: self.tunnel.label.clone(),
            at: SystemTime::now(),
            method: self.head.method.clone(),
            path: self.head.target.path().to_owned(),
            status: summary.status,
            took: Duration::from_secs_f64(summary.took / 1000.0),
            received: summary.received,
            sent: summary.sent,
            outcome,
            webhook: self.signing.seen.clone(),
        }));
    }
}

/// Sends on a task of `tasks`; the receiver learns what came of it.
pub(super) fn spawn(
    prepared: Prepared,
    tasks: &Tasks,
) -> tokio::sync::oneshot::Receiver<Vec<Arc<Exchange>>> {
    let (done, result) = tokio::sync::oneshot::channel();
    let stop = tasks.clone();
    tasks.spawn(tracing::debug_span!("replay"), async move {
        tokio::select! {
            biased;
            () = stop.stopped() => {}
            // Whoever asked may have gone.
            sent = prepared.send() => drop(done.send(sent)),
        }
    });
    result
}

/// How often one request is sent at most.
const MAX_TIMES: u32 = 1000;
/// An answer that never ends is no longer read after this.
const LONGEST: Duration = Duration::from_secs(300);
