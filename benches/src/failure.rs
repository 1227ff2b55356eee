//! How a request failed: the classes that errors are counted by.

use std::fmt;
use std::io;

use http::Response;

/// Why a request is not counted as answered.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Failure {
    /// There was no connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// It took longer than it may.
    Timeout,
    /// The connection or the stream ended early.
    Reset,
    /// What came is not the protocol.
    Protocol,
    /// The body is shorter than declared, or not the echo of what was sent.
    Body,
    /// An answer of 400 or above.
    Status(u16),
    /// The relay of a tunnel answered in place of the origin, with this code.
    Adit(Box<str>),
}

impl Failure {
    /// Whether the next request on a fresh connection would fail in the same way at once.
    pub(crate) fn is_at_once(&self) -> bool {
        match self {
            Self::Connect | Self::Tls => true,
            Self::Timeout
            | Self::Reset
            | Self::Protocol
            | Self::Body
            | Self::Status(_)
            | Self::Adit(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Body => "body",
            Self::Status(status) => return write!(f, "status-{status}"),
            Self::Adit(code) => return write!(f, "adit:{code}"),
        })
    }
}

impl From<io::Error> for Failure {
    /// Of a connection that is in use.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // TLS reports alerts and garbage so.
            io::ErrorKind::InvalidData => Self::Protocol,
            _ => Self::Reset,
        }
    }
}

/// An answer whose end was seen.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// What its `adit-error` field says.
    pub(crate) refusal: Option<Box<str>>,
}

impl Answer {
    pub(crate) fn new(response: &Response<()>) -> Self {
        let code = response.headers().get(REFUSAL);
        Self {
            status: response.status().as_u16(),
            refusal: code.and_then(|code| refusal(code.as_bytes())),
        }
    }

    /// Its status, unless it is the echo of a message: that has none of its own.
    pub(crate) fn counted(&self) -> Option<u16> {
        (self.status != 101).then_some(self.status)
    }

    /// Whether it is what was asked for.
    pub(crate) fn verdict(self) -> Result<(), Failure> {
        match self.refusal {
            Some(code) => Err(Failure::Adit(code)),
            None if self.status >= 400 => Err(Failure::Status(self.status)),
            None => Ok(()),
        }
    }
}

/// The code in an `adit-error` field, if it looks like one: it becomes a name in a result.
pub(crate) fn refusal(value: &[u8]) -> Option<Box<str>> {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let code = std::str::from_utf8(value).ok()?;
    (!value.is_empty() && value.len() <= 40 && value.iter().all(is_word)).then(|| code.into())
}

/// The field by which a relay says that the answer is its own.
pub(crate) const REFUSAL: &str = "adit-error";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_stable_names() {
        for (failure, name) in [
            (Failure::Connect, "connect"),
            (Failure::Status(503), "status-503"),
            (Failure::Adit("agent-away".into()), "adit:agent-away"),
        ] {
            assert_eq!(failure.to_string(), name);
        }
    }

    #[test]
    fn only_a_code_becomes_a_name() {
        assert_eq!(refusal(b"agent-away").as_deref(), Some("agent-away"));
        for value in ["", "Agent", "a b", "a\u{1b}[2J", &"a".repeat(41)] {
            assert_eq!(refusal(value.as_bytes()), None, "{value:?}");
        }
    }
}
