//! What travels inside a switched connection or a stream of events: counted, and the last of it kept.
//!
//! - [`websocket`]: messages of RFC 6455;
//! - [`events`]: server-sent events.

pub mod events;
pub mod websocket;

use std::collections::VecDeque;
use std::time::Duration;

use super::tap::Side;

/// The last messages of one exchange.
#[derive(Debug)]
pub struct Messages {
    /// Whether they are WebSocket's; server-sent events otherwise.
    pub is_websocket: bool,
    /// How many the visitor sent.
    pub from_visitor: u64,
    /// How many the origin sent.
    pub from_origin: u64,
    /// The last of them, with when they ended, since the exchange's beginning.
    pub last: VecDeque<(Duration, Message)>,
    held: usize,
}

/// One message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Who sent it.
    pub side: Side,
    /// What it is.
    pub kind: Kind,
    /// How long all of it is, in bytes.
    pub size: u64,
    /// Its beginning, at most [`MAX_PREVIEW`] bytes.
    pub start: Vec<u8>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Text.
    Text,
    /// Bytes.
    Binary,
    /// What an extension such as `permessage-deflate` made of a message.
    Compressed,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// The end, with its code.
    Close,
    /// A server-sent event.
    Event,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Compressed => "compressed",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Close => "close",
            Self::Event => "event",
        }
    }
}

impl Message {
    pub(super) fn held(&self) -> usize {
        self.start.capacity() + OWN
    }
}

impl Messages {
    pub(super) fn websocket() -> Self {
        Self {
            is_websocket: true,
            from_visitor: 0,
            from_origin: 0,
            last: VecDeque::new(),
            held: 0,
        }
    }

    pub(super) fn events() -> Self {
        Self {
            is_websocket: false,
            ..Self::websocket()
        }
    }

    /// Messages from elsewhere.
    pub(super) fn of(
        is_websocket: bool,
        from_visitor: u64,
        from_origin: u64,
        last: VecDeque<(Duration, Message)>,
    ) -> Self {
        Self {
            is_websocket,
            from_visitor,
            from_origin,
            held: last.iter().map(|(_, message)| message.held()).sum(),
            last,
        }
    }

    /// Bytes that are kept.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.from_visitor + self.from_origin
    }

    /// Counts a message, and keeps it if it `is_kept`, in the place of the oldest. Says how many bytes are
    /// kept no longer.
    pub(super) fn add(
        &mut self,
        message: Message,
        at: Duration,
        is_kept: bool,
        limit: usize,
    ) -> usize {
        match message.side {
            Side::Visitor => self.from_visitor += 1,
            Side::Origin => self.from_origin += 1,
        }
        if !is_kept {
            return 0;
        }
        self.held += message.held();
        self.last.push_back((at, message));
        let mut freed = 0;
        while self.last.len() > MAX_KEPT || self.held > limit {
            let Some((_, gone)) = self.last.pop_front() else {
                break;
            };
            self.held -= gone.held();
            freed += gone.held();
        }
        freed
    }
}

/// The beginning of each message that is kept, in bytes.
pub const MAX_PREVIEW: usize = 4 << 10;
/// The most messages of one exchange that are kept.
pub const MAX_KEPT: usize = 500;
/// What a message takes by itself, in bytes.
const OWN: usize = 64;
