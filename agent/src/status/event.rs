//! What happens to an agent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_shared::quic::Transport;
use adit_shared::webhook::Seen;
use http::Method;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// With one of several relays, something that happens with each alone. With a single relay the event
    /// stands by itself.
    At(Arc<str>, Box<Self>),
    /// The relay serves a tunnel from now on.
    Online {
        /// The label of the tunnel.
        tunnel: String,
        /// Where visitors reach it.
        url: String,
        /// All the URLs where they do; the first is `url`.
        urls: Vec<String>,
        /// The relay's name for the session.
        session: String,
    },
    /// There is no session any more.
    Offline {
        /// Why, in words for people.
        reason: String,
        /// When the next attempt is; `None` when there is none.
        retry_in: Option<Duration>,
    },
    /// The relay does not serve a tunnel.
    Refused {
        /// The label of the tunnel; empty when the whole session was refused.
        tunnel: String,
        /// Why, as a word for programs.
        reason: &'static str,
        /// Why, in words for people, with what they can do.
        message: String,
    },
    /// What the relay keeps of a tunnel while nobody can serve it.
    Inbox {
        /// The label of the tunnel.
        tunnel: String,
        /// Whether it keeps anything.
        open: bool,
        /// How many requests wait to be delivered.
        waiting: u64,
        /// How many were tried too often.
        dead: u64,
        /// Why it keeps nothing, in words for people.
        message: String,
    },
    /// The session goes on from another address of ours.
    Migrated {
        /// Our address until now.
        from: SocketAddr,
        /// Our address from now on.
        to: SocketAddr,
        /// How long nothing came through meanwhile.
        stalled: Duration,
        /// How many exchanges were cut meanwhile.
        lost: u64,
    },
    /// The relay does not answer any more; exchanges wait.
    Silent,
    /// The relay is heard again on the same connection, and exchanges go on.
    Resumed {
        /// How long nothing came through.
        stalled: Duration,
        /// How many exchanges were cut meanwhile.
        lost: u64,
    },
    /// A connection was lost with exchanges on it.
    Lost {
        /// How many they were.
        exchanges: u64,
    },
    /// The session goes over another transport, or began over TCP.
    Transport {
        /// Which it is now.
        transport: Transport,
        /// Whether it was another before.
        moved: bool,
        /// Whether UDP does get through, but loses so much that TCP is tried.
        strangled: bool,
    },
    /// An exchange ended.
    Request(Request),
    /// The agent was asked to stop; what is in flight may finish.
    Draining,
    /// The relay is going away; the session moves to a new connection.
    RelayDraining,
    /// An origin cannot be connected to.
    OriginDown {
        /// The label of the tunnel.
        tunnel: String,
        /// The origin, in words for people.
        origin: String,
    },
    /// An origin that could not be connected to can be again.
    OriginUp {
        /// The label of the tunnel.
        tunnel: String,
        /// The origin, in words for people.
        origin: String,
    },
}

impl Event {
    /// The event itself, and with which of several relays it happened.
    pub fn parts(&self) -> (Option<&str>, &Self) {
        match self {
            Self::At(relay, event) => (Some(relay), event),
            event => (None, event),
        }
    }

    /// Whether a session with a relay that comes after it is another one.
    pub(crate) fn may_end_session(&self) -> bool {
        matches!(
            self,
            Self::Offline { .. } | Self::RelayDraining | Self::Silent
        )
    }

    /// Whether it happens with each relay alone.
    pub(super) fn is_of_a_relay(&self) -> bool {
        !matches!(
            self,
            Self::At(..)
                | Self::Request(_)
                | Self::Draining
                | Self::OriginDown { .. }
                | Self::OriginUp { .. }
        )
    }
}

/// One exchange, after its end.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its `X-Request-Id`.
    pub id: String,
    /// The label of the tunnel.
    pub tunnel: String,
    /// When it began.
    pub at: SystemTime,
    /// The method.
    pub method: Method,
    /// The path, without the query: that may hold secrets.
    pub path: String,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// From its beginning to its end.
    pub took: Duration,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What is known of it as a webhook, if it is one.
    pub webhook: Option<Seen>,
}

impl Request {
    /// Cuts what a visitor may have made long: many requests are kept, and kept memory is bounded.
    pub(super) fn shorten(&mut self) {
        if self.path.len() > MAX_PATH {
            let is_end = |at: &usize| self.path.is_char_boundary(*at);
            let end = (0..=MAX_PATH).rev().find(is_end).unwrap_or(0);
            self.path.truncate(end);
            self.path.push('…');
            self.path.shrink_to_fit();
        }
        let method = self.method.as_str();
        if method.len() > MAX_METHOD
            && let Ok(short) = Method::from_bytes(&method.as_bytes()[..MAX_METHOD])
        {
            self.method = short;
        }
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Both messages are whole.
    Done,
    /// They are, and the response is an error of the agent's own, with its code, such as `webhook-unverified`.
    Answered(&'static str),
    /// The visitor gave it up.
    VisitorLeft,
    /// It failed on this side, with the code that the visitor sees, such as `origin-refused`.
    Failed(&'static str),
}

impl Outcome {
    /// `done`, `visitor-left`, or the code of the error.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::VisitorLeft => "visitor-left",
            Self::Answered(code) | Self::Failed(code) => code,
        }
    }
}

/// In bytes.
const MAX_PATH: usize = 1 << 10;
/// In bytes. The longest that is registered has 17.
const MAX_METHOD: usize = 24;
