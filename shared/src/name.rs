//! The names of things, as newtypes that are made only by parsing.
//!
//! What holds after parsing: a [`Name`] is one lower-case DNS label, a [`Host`] is a lower-case
//! host without port. Everything behind the border compares and hashes them as plain text.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::HeaderValue;
use thiserror::Error;

/// A public host name or address literal: lower case, without port and without trailing dot.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Host(Arc<str>);

impl Host {
    /// Parses the value of a `Host` field or `:authority`, which may carry a port
    /// (RFC 9110 section 7.2). User information and paths are refused.
    ///
    /// # Errors
    ///
    /// [`BadHost`] when the text is not `host` or `host:port`.
    pub fn from_authority(text: &str) -> Result<Self, BadHost> {
        let (host, port) = match text.rfind(':') {
            Some(at) if !text.ends_with(']') => (&text[..at], Some(&text[at + 1..])),
            _ => (text, None),
        };
        // A colon may have no port behind it.
        let digits = port.filter(|digits| !digits.is_empty());
        if digits.is_some_and(|digits| self::port(digits).is_none()) {
            return Err(BadHost);
        }
        host.parse()
    }

    /// The host as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label in front of `domain`, when this host is `label.domain`.
    pub fn label_under(&self, domain: &Self) -> Option<&str> {
        let label = self.0.strip_suffix(domain.as_str())?.strip_suffix('.')?;
        (!label.is_empty() && !label.contains('.')).then_some(label)
    }
}

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        if text.starts_with('[') {
            let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
            let address = inner.and_then(|t| t.parse::<std::net::Ipv6Addr>().ok());
            return address
                .map(|address| Self(format!("[{address}]").into()))
                .ok_or(BadHost);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > MAX_HOST || !text.split('.').all(is_label) {
            return Err(BadHost);
        }
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a host name.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a host name")]
pub struct BadHost;

/// The port that `text` names, which stands behind a colon in an authority (RFC 3986 section 3.2.3): digits alone,
/// where the parser of numbers would take a sign. None at all is no port here.
pub fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The name of an http tunnel: the one label in front of the relay's domain.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The public host of this name under a relay's domain.
    ///
    /// # Errors
    ///
    /// [`BadHost`] when both together are longer than DNS allows.
    pub fn under(&self, domain: &Host) -> Result<Host, BadHost> {
        format!("{}.{domain}", self.0).parse()
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let lower = text.to_ascii_lowercase();
        if lower.is_empty() || lower.len() > MAX_LABEL {
            return Err(BadName::Length);
        }
        if !lower
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(BadName::Character);
        }
        // Labels with hyphens in the third and fourth place are encodings (RFC 5891 section
        // 4.2.3.1): they would let one name look like another.
        if lower.starts_with('-') || lower.ends_with('-') || lower.get(2..4) == Some("--") {
            return Err(BadName::Hyphen);
        }
        Ok(Self(lower.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a tunnel name.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadName {
    /// Empty, or longer than a DNS label.
    #[error("a name has 1 to 63 characters")]
    Length,
    /// A character that a label may not have.
    #[error("a name is made of letters, digits and hyphens")]
    Character,
    /// A hyphen where a label may not have one.
    #[error("a name has no hyphen at its ends, nor two at its third and fourth place")]
    Hyphen,
}

/// The relay's number for one session, unique while the relay runs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(u64);

impl SessionId {
    /// The next number.
    pub fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl From<SessionId> for u64 {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// What one request is called in logs, in answers and at the origin.
///
/// Made here (a random start for the process, then counted) unless the visitor brought a usable
/// `X-Request-Id`. Unique, not secret.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// A fresh id.
    pub fn fresh() -> Self {
        static START: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| {
            let mut bytes = [0; 8];
            // Without system randomness ids are merely easier to guess.
            let _ = aws_lc_rs::rand::fill(&mut bytes);
            u64::from_ne_bytes(bytes)
        });
        static BLOCKS: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            static NEXT: Cell<u64> = const { Cell::new(0) };
        }
        // A thread takes a block of numbers at a time, and shares nothing while that lasts.
        let count = NEXT.with(|next| {
            let mut count = next.get();
            if count.is_multiple_of(BLOCK) {
                count = BLOCKS.fetch_add(BLOCK, Ordering::Relaxed);
            }
            next.set(count + 1);
            count
        });
        // By hand, since every request has one made: formatting would cost more than all the rest.
        let number = u64::from(*START as u32) << 32 | u64::from(count as u32);
        let digit = |place: u32| b"0123456789abcdef"[(number >> (60 - 4 * place)) as usize & 15];
        let text: [u8; 16] = std::array::from_fn(|place| digit(place as u32));
        // Digits are fit for a field.
        Self(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0")))
    }

    /// The id that a visitor brought, if it is fit to be one.
    pub fn brought(value: &HeaderValue) -> Option<Self> {
        let text = value.as_bytes();
        let fits = (1..=128).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        fits.then(|| Self(value.clone()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // It has only characters of ASCII.
        self.0.to_str().unwrap_or_default()
    }

    /// The id as the value of a field.
    pub fn value(&self) -> &HeaderValue {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = BadRequestId;

    fn from_str(text: &str) -> Result<Self, BadRequestId> {
        let value = HeaderValue::from_str(text).map_err(|_| BadRequestId)?;
        Self::brought(&value).ok_or(BadRequestId)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is empty, too long, or has characters that are not fit for a log.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a request id")]
pub struct BadRequestId;

fn is_label(label: &str) -> bool {
    // The underscore is no host name character, yet names with it exist and resolve.
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(fits)
}

/// Numbers of requests that a thread takes at a time.
const BLOCK: u64 = 4096;

/// RFC 1035 section 2.3.4.
const MAX_LABEL: usize = 63;
const MAX_HOST: usize = 253;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn host_is_lower_case_and_without_port() {
        for (text, host) in [
            ("App.Example.COM:8080", "app.example.com"),
            ("localhost", "localhost"),
            ("example.com.", "example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:8080", "[::1]"),
            ("[0:0::1]", "[::1]"),
        ] {
            assert_eq!(Host::from_authority(text).unwrap().as_str(), host);
        }
    }

    #[test]
    fn host_refuses_what_could_be_read_two_ways() {
        for text in [
            "",
            ":80",
            "a@b.c",
            "a.b/c",
            "a b",
            "a..b",
            "a.b:80:90",
            "a.b:x",
            "::1",
            "[::1",
            "a,b",
            "a.b:123456",
            "a.b:65536",
            "a.b:+80",
            "é.com",
        ] {
            assert_eq!(Host::from_authority(text), Err(BadHost), "{text}");
        }
    }

    #[test]
    fn a_port_is_digits_alone() {
        for (text, read) in [("0", 0), ("80", 80), ("0080", 80), ("65535", 65535)] {
            assert_eq!(port(text), Some(read), "{text}");
        }
        for text in ["", "+80", "-0", " 80", "80 ", "0x50", "65536", "٨٠"] {
            assert_eq!(port(text), None, "{text}");
        }
    }

    #[test]
    fn label_is_exactly_one_label_deep() {
        let domain: Host = "relay.example.com".parse().unwrap();
        let label = |h: &str| {
            let host: Host = h.parse().unwrap();
            host.label_under(&domain).map(str::to_owned)
        };
        assert_eq!(label("app.relay.example.com").as_deref(), Some("app"));
        assert_eq!(label("a.b.relay.example.com"), None);
        assert_eq!(label("xrelay.example.com"), None);
        assert_eq!(label("relay.example.com"), None);
    }

    #[test]
    fn name_refuses_look_alikes_and_bad_labels() {
        assert_eq!("My-App".parse::<Name>().unwrap().as_str(), "my-app");
        assert_eq!("xn--80ak6aa92e".parse::<Name>(), Err(BadName::Hyphen));
        assert_eq!("-a".parse::<Name>(), Err(BadName::Hyphen));
        assert_eq!("a.b".parse::<Name>(), Err(BadName::Character));
        assert_eq!("".parse::<Name>(), Err(BadName::Length));
        assert_eq!("a".repeat(64).parse::<Name>(), Err(BadName::Length));
    }

    #[test]
    fn request_ids_differ_and_refuse_what_would_break_a_log() {
        let some = || (0..2 * BLOCK).map(|_| RequestId::fresh().to_string());
        let there = std::thread::spawn(move || some().collect::<Vec<_>>());
        let mut all: HashSet<_> = some().collect();
        all.extend(there.join().unwrap());
        assert_eq!(all.len() as u64, 4 * BLOCK, "no two are alike");
        assert!("a\nb".parse::<RequestId>().is_err());
        assert!("".parse::<RequestId>().is_err());
    }
}
