//! The control messages about inboxes: what an agent wants a relay to keep for it, and what the relay says
//! to that.

use bytes::Bytes;

use super::control::{Payload, TooLong, text};
use super::varint::{self, Malformed};

/// The most patterns of one message.
pub const MAX_PATTERNS: usize = 16;

/// Agent: for the tunnel that I claim next, keep requests that cannot be served now. Those whose agent is
/// away are always kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inbox {
    /// The agent's number for the tunnel.
    pub tunnel: u64,
    /// When else requests are kept.
    pub causes: Causes,
    /// The status with which the relay answers a request that it keeps.
    pub status: u64,
    /// After how long a request is kept and answered though the origin still works on it, in milliseconds;
    /// 0 for never.
    pub ack_within_ms: u64,
    /// How many requests are delivered at once. With 1 they are delivered strictly in order.
    pub parallel: u64,
    /// Which paths are meant.
    pub patterns: Vec<String>,
}

/// What else than an agent that is away lets a request be kept. Bits that nobody knows mean nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Causes(pub u64);

impl Causes {
    /// The origin accepts no connection, or the agent takes no more.
    pub const REFUSED: Self = Self(1);
    /// The origin or the agent was lost, or spoke nonsense.
    pub const RESET: Self = Self(2);
    /// The origin did not answer in time.
    pub const TIMEOUT: Self = Self(4);
    /// The origin answered with a status of 500 to 599.
    pub const SERVER_ERROR: Self = Self(8);

    /// The words for them.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("refused", Self::REFUSED),
        ("reset", Self::RESET),
        ("timeout", Self::TIMEOUT),
        ("5xx", Self::SERVER_ERROR),
    ];

    /// Whether `cause` is among them.
    pub const fn has(self, cause: Self) -> bool {
        self.0 & cause.0 != 0
    }

    /// These and those.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Relay: this is what became of your wish for an inbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InboxState {
    /// The agent's number for the tunnel.
    pub tunnel: u64,
    /// Whether requests are kept.
    pub open: bool,
    /// How many requests wait to be delivered.
    pub waiting: u64,
    /// How many were tried too often and are set aside.
    pub dead: u64,
    /// One sentence for people when it is not open.
    pub message: String,
}

impl Inbox {
    pub(super) fn encode(&self, to: &mut Payload) -> Result<(), TooLong> {
        to.number(self.tunnel);
        to.number(self.causes.0);
        to.number(self.status);
        to.number(self.ack_within_ms);
        to.number(self.parallel);
        put_texts(to, &self.patterns)
    }

    pub(super) fn decode(from: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Self {
            tunnel: varint::get(from)?,
            causes: Causes(varint::get(from)?),
            status: varint::get(from)?,
            ack_within_ms: varint::get(from)?,
            parallel: varint::get(from)?,
            patterns: texts(from)?,
        })
    }
}

impl InboxState {
    pub(super) fn encode(&self, to: &mut Payload) -> Result<(), TooLong> {
        to.number(self.tunnel);
        to.number(self.open.into());
        to.number(self.waiting);
        to.number(self.dead);
        to.text(&self.message)
    }

    pub(super) fn decode(from: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Self {
            tunnel: varint::get(from)?,
            open: match varint::get(from)? {
                0 => false,
                1 => true,
                _ => return Err(Malformed::Invalid("neither open nor closed")),
            },
            waiting: varint::get(from)?,
            dead: varint::get(from)?,
            message: text(from)?,
        })
    }
}

pub(super) fn put_texts(to: &mut Payload, texts: &[String]) -> Result<(), TooLong> {
    if texts.len() > MAX_PATTERNS {
        return Err(TooLong);
    }
    to.number(texts.len() as u64);
    texts.iter().try_for_each(|text| to.text(text))
}

pub(super) fn texts(from: &mut Bytes) -> Result<Vec<String>, Malformed> {
    let count = varint::get(from)?;
    if count > MAX_PATTERNS as u64 {
        return Err(Malformed::Invalid("too many patterns"));
    }
    (0..count).map(|_| text(from)).collect()
}
