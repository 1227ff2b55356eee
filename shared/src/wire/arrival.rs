//! How a request came to the relay, which the relay says in its head to agents that asked for it (`VISITORS`).

use std::time::Duration;

use super::varint;

/// How a request came to the relay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Arrival {
    /// In which version of HTTP.
    pub version: Version,
    /// How long it waited there until it was sent to an agent.
    pub waited: Duration,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// HTTP/1.1, or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Version {
    /// Its ALPN identifier (RFC 7301 section 6).
    pub fn token(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
            Self::Http3 => "h3",
        }
    }

    /// The version of this identifier.
    pub fn of(token: &str) -> Option<Self> {
        let mut all = [Self::Http1, Self::Http2, Self::Http3].into_iter();
        all.find(|version| version.token() == token)
    }

    /// As it travels.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Http1 => 1,
            Self::Http2 => 2,
            Self::Http3 => 3,
        }
    }

    pub(super) fn of_code(code: u8) -> Option<Self> {
        let mut all = [Self::Http1, Self::Http2, Self::Http3].into_iter();
        all.find(|version| version.code() == code)
    }

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Http3 => "HTTP/3",
        }
    }
}

impl Arrival {
    /// The wait in microseconds, as it travels.
    pub(super) fn waited_us(self) -> u64 {
        u64::try_from(self.waited.as_micros()).map_or(varint::MAX, |us| us.min(varint::MAX))
    }
}
