//! An exchange in a few words: a row of a list.

use std::time::{Duration, SystemTime};

use adit_shared::wire::fields::Fields;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::exchange::{Cause, Exchange, Hook, State};

/// An exchange in a few words, in the shape that the API shows.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its number.
    pub id: u64,
    /// The number of its last change.
    pub revision: u64,
    /// Its `X-Request-Id`.
    pub request_id: Option<String>,
    /// The label of the tunnel.
    pub tunnel: String,
    /// When it began.
    #[serde(serialize_with = "time")]
    pub at: SystemTime,
    /// The method.
    pub method: String,
    /// The public URL.
    pub url: String,
    /// Path and query.
    pub target: String,
    /// The status of the response, once it has begun.
    pub status: Option<u16>,
    /// `http`, `websocket`, `upgrade`, `events` or `grpc`.
    pub kind: &'static str,
    /// Where the visitor is, as the relay says.
    pub visitor: Option<String>,
    /// In which version of HTTP it came to the relay, if that says so.
    pub version: Option<&'static str>,
    /// Whether it goes on.
    pub pending: bool,
    /// `done`, `visitor-left`, or the code of a failure; nothing while it goes on.
    pub outcome: Option<String>,
    /// How long it took, or takes so far.
    #[serde(rename = "ms")]
    pub took: f64,
    /// Where the time went.
    pub phases: Phases,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
    /// What the response's body is.
    pub content_type: Option<String>,
    /// The status of a gRPC call.
    pub grpc_status: Option<String>,
    /// How many messages were inside.
    pub messages: u64,
    /// What is known of it as a webhook.
    pub webhook: Option<Hook>,
    /// Of which exchange it is a replay.
    pub replay_of: Option<u64>,
    /// Whether it comes from a file.
    pub imported: bool,
    /// Whether somebody marked it.
    pub marked: bool,
    /// What somebody wrote about it.
    pub comment: String,
}

/// Where the time of an exchange went, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Phases {
    /// How long it waited at the relay before it was sent here, if that says so.
    pub relay: Option<f64>,
    /// A round trip between agent and relay, which is under neither of the others.
    pub tunnel: Option<f64>,
    /// Until all of the request had come.
    pub request: Option<f64>,
    /// Until the origin's response began.
    pub first_byte: Option<f64>,
    /// From there to the end.
    pub body: Option<f64>,
}

impl Summary {
    /// How `exchange` stands.
    pub fn of(exchange: &Exchange) -> Self {
        let state = exchange.state();
        let answer = state.response.as_ref();
        let after = answer.map(|answer| answer.after);
        let end = state.end.as_ref();
        let body = end.and_then(|end| Some(end.after.saturating_sub(after?)));
        let ms = |took: Option<Duration>| took.map(milliseconds);
        let field = |name| answer.and_then(|answer| text(&answer.fields, name));
        Self {
            id: exchange.id,
            revision: exchange.revision(),
            request_id: text(&exchange.fields, "x-request-id"),
            tunnel: exchange.tunnel.clone(),
            at: exchange.at,
            method: exchange.head.method.to_string(),
            url: exchange.url(),
            target: exchange.head.target.clone(),
            status: answer.map(|answer| answer.status),
            kind: kind(exchange, &state),
            visitor: exchange.visitor(),
            version: exchange.head.arrival.map(|arrival| arrival.version.name()),
            pending: end.is_none(),
            outcome: end.map(|end| end.outcome.to_string()),
            took: milliseconds(exchange.took(&state)),
            phases: Phases {
                relay: ms(exchange.head.arrival.map(|arrival| arrival.waited)),
                tunnel: ms(exchange.rtt),
                request: ms(state.request_took),
                first_byte: ms(after),
                body: ms(body),
            },
            received: state.sent.size(),
            sent: state.body.size(),
            content_type: field("content-type"),
            grpc_status: text(&state.trailers, "grpc-status").or_else(|| field("grpc-status")),
            messages: state.messages.as_ref().map_or(0, |all| all.count()),
            webhook: state.webhook.clone(),
            replay_of: match exchange.cause {
                Cause::Replay(of) => Some(of),
                Cause::Visitor | Cause::Import => None,
            },
            imported: exchange.cause == Cause::Import,
            marked: exchange.is_marked(),
            comment: state.comment.clone(),
        }
    }

    /// Whether it failed on this side.
    pub fn is_failed(&self) -> bool {
        let outcome = self.outcome.as_deref();
        outcome.is_some_and(|outcome| !["done", "visitor-left", "imported"].contains(&outcome))
    }
}

/// A time as RFC 3339 in UTC, to the millisecond.
fn time<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    let at = Timestamp::try_from(*at).unwrap_or_default();
    to.collect_str(&format_args!("{at:.3}"))
}

/// Milliseconds, to the microsecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

fn text(fields: &Fields, name: &str) -> Option<String> {
    let value = fields.get(name)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn kind(exchange: &Exchange, state: &State) -> &'static str {
    if exchange.head.protocol.is_some() {
        let is_websocket = exchange.head.protocol.as_deref();
        return match is_websocket {
            Some(name) if name.eq_ignore_ascii_case("websocket") => "websocket",
            _ => "upgrade",
        };
    }
    let kind = exchange.field("content-type").unwrap_or_default();
    if kind.starts_with("application/grpc") {
        "grpc"
    } else if state.messages.is_some() {
        "events"
    } else {
        "http"
    }
}
