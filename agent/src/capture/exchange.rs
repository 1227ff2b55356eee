//! One exchange, as far as it has come.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use adit_shared::webhook::Seen;
use adit_shared::wire::arrival::Arrival;
use adit_shared::wire::fields::Fields;
use adit_shared::wire::head;
use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};

use super::kept::Kept;
use super::limits::Budget;
use super::messages::Messages;

/// One exchange. What never changes is here; the rest is in [`state`](Self::state).
#[derive(Debug)]
pub struct Exchange {
    /// Its number, which rises from one to the next, across restarts too if they are on disk.
    pub id: u64,
    /// The label of the tunnel.
    pub tunnel: String,
    /// When it began.
    pub at: SystemTime,
    /// Why there is such an exchange.
    pub cause: Cause,
    /// The round trip to the relay at that moment.
    pub rtt: Option<Duration>,
    /// The request's head, without what is in [`fields`](Self::fields).
    pub head: Head,
    /// The request's header fields.
    pub fields: Fields,
    since: Instant,
    state: Mutex<State>,
    revision: AtomicU64,
    ended: AtomicBool,
    marked: AtomicBool,
    held: AtomicUsize,
    budget: Arc<Budget>,
}

/// What a request asks for, and of whom.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// Whether the visitor came over TLS.
    pub https: bool,
    /// The public authority.
    pub authority: String,
    /// Path and query, byte for byte.
    pub target: String,
    /// The protocol that the visitor wants to switch to.
    pub protocol: Option<String>,
    /// How it came to the relay, if that says so.
    pub arrival: Option<Arrival>,
}

/// Why there is an exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// A visitor sent a request.
    Visitor,
    /// The exchange with this id was sent again.
    Replay(u64),
    /// It comes from a file.
    Import,
}

/// How far an exchange has come.
#[derive(Debug, Default)]
pub struct State {
    /// The request's body.
    pub sent: Kept,
    /// The request's trailers.
    pub request_trailers: Fields,
    /// When the last of the request had come, since the exchange's beginning.
    pub request_took: Option<Duration>,
    /// The response's head.
    pub response: Option<Answer>,
    /// The response's body.
    pub body: Kept,
    /// The response's trailers.
    pub trailers: Fields,
    /// What travelled in a switched connection, or as server-sent events.
    pub messages: Option<Box<Messages>>,
    /// What is known of it as a webhook.
    pub webhook: Option<Hook>,
    /// How it ended, and when since its beginning.
    pub end: Option<End>,
    /// What somebody wrote about it.
    pub comment: String,
}

/// What is known of an exchange as a webhook.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Hook {
    /// The name of its provider.
    pub provider: String,
    /// The type of the event.
    pub event: Option<String>,
    /// What is the same each time that the event is delivered.
    pub id: Option<String>,
    /// Whether its signature holds; nothing when nobody asked for that.
    pub verified: Option<bool>,
    /// Why it does not, as a word for programs.
    pub why: Option<String>,
    /// How often it has come, this time included.
    pub attempt: u32,
}

impl From<&Seen> for Hook {
    fn from(seen: &Seen) -> Self {
        Self {
            provider: seen.provider.to_owned(),
            event: seen.event.clone(),
            id: seen.id.clone(),
            verified: seen.verified,
            why: seen.why.map(str::to_owned),
            attempt: seen.attempt,
        }
    }
}

/// A response's head.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub fields: Fields,
    /// When it came, since the exchange's beginning.
    pub after: Duration,
}

/// How an exchange ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct End {
    /// `done`, `visitor-left`, or the code of a failure such as `origin-refused`.
    pub outcome: Cow<'static, str>,
    /// When, since the exchange's beginning.
    pub after: Duration,
}

impl Exchange {
    pub(super) fn new(
        id: u64,
        head: &head::Request,
        tunnel: &str,
        cause: Cause,
        rtt: Option<Duration>,
        budget: &Arc<Budget>,
    ) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parts = Head {
            method: head.method.clone(),
            https: head.https,
            authority: text(head.authority.as_bytes()),
            target: head.target.as_str().to_owned(),
            protocol: head.protocol.as_ref().map(|value| text(value.as_bytes())),
            arrival: head.arrival,
        };
        // They share memory with everything that was read along with them.
        let fields = head.fields.detached();
        Self::with(
            id,
            tunnel,
            SystemTime::now(),
            cause,
            rtt,
            parts,
            fields,
            State::default(),
            budget,
        )
    }

    /// An exchange from elsewhere.
    #[allow(clippy::too_many_arguments, reason = "they are its parts")]
    pub fn with(
        id: u64,
        tunnel: &str,
        at: SystemTime,
        cause: Cause,
        rtt: Option<Duration>,
        head: Head,
        fields: Fields,
        state: State,
        budget: &Arc<Budget>,
    ) -> Self {
        let heads = fields.encoded_len()
            + state
                .response
                .as_ref()
                .map_or(0, |answer| answer.fields.encoded_len())
            + head.target.len()
            + head.authority.len();
        let messages = state.messages.as_ref().map_or(0, |all| all.held());
        let held =
            OWN + heads + messages + state.sent.len() + state.body.len() + state.comment.len();
        budget.charge(held);
        Self {
            id,
            tunnel: tunnel.to_owned(),
            at,
            cause,
            rtt,
            head,
            fields,
            since: Instant::now(),
            ended: AtomicBool::new(state.end.is_some()),
            state: Mutex::new(state),
            revision: AtomicU64::new(0),
            marked: AtomicBool::new(false),
            held: AtomicUsize::new(held),
            budget: budget.clone(),
        }
    }

    /// How far it has come. Held only for a moment.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole, so what another thread left behind is good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it takes so far, or took.
    pub fn took(&self, state: &State) -> Duration {
        let end = state.end.as_ref().map(|end| end.after);
        end.unwrap_or_else(|| self.since.elapsed())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// The number of its last change.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    pub(super) fn set_revision(&self, revision: u64) {
        self.revision.store(revision, Ordering::Relaxed);
    }

    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub(super) fn set_ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Whether somebody marked it.
    pub fn is_marked(&self) -> bool {
        self.marked.load(Ordering::Relaxed)
    }

    /// Marks it, or takes the mark away.
    pub fn mark(&self, marked: bool) {
        self.marked.store(marked, Ordering::Relaxed);
    }

    /// Bytes that it keeps.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that it keeps from now on, and that are reserved.
    pub(super) fn hold(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that it keeps no longer.
    pub(super) fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.give(bytes);
    }

    /// The first value of a field of the request, which is named in lower case.
    pub fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.fields.get(name).map(String::from_utf8_lossy)
    }

    /// Where the visitor is, as far as the relay knows: its own address, not of proxies before it.
    pub fn visitor(&self) -> Option<String> {
        let field = self.field("x-forwarded-for")?;
        let first = field.split(',').next()?.trim();
        (!first.is_empty()).then(|| first.to_owned())
    }

    /// The public URL that was asked.
    pub fn url(&self) -> String {
        let scheme = if self.head.https { "https" } else { "http" };
        let target = match self.head.target.as_str() {
            "*" => "",
            target => target,
        };
        format!("{scheme}://{}{target}", self.head.authority)
    }

    /// What is kept of the request's and the response's body.
    pub fn bodies(&self) -> (Bytes, Bytes) {
        let state = self.state();
        (state.sent.bytes(), state.body.bytes())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.budget.give(self.held());
    }
}

/// What an exchange takes by itself, in bytes, about.
const OWN: usize = 1 << 10;
