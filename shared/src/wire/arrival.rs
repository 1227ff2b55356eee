//! How a request came to the relay: a field that the relay adds for agents that asked for it (`VISITORS`).

use std::time::Duration;

use super::fields::{BadField, Fields, FieldsMut};

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
    /// Adds it to `fields`, in the place of what they say.
    ///
    /// # Errors
    ///
    /// [`BadField`] when there is no room.
    pub fn put(self, fields: &Fields) -> Result<Fields, BadField> {
        let mut others = fields.clone();
        if others.get(VISITOR).is_some() {
            others.remove(VISITOR);
        }
        let mut fields = FieldsMut::from(&others);
        let text = format!("{};wait={}", self.version.token(), self.waited.as_micros());
        fields.push(VISITOR.as_bytes(), text.as_bytes())?;
        Ok(fields.take())
    }

    /// What `fields` say, if they do.
    pub fn of(fields: &Fields) -> Option<Self> {
        let text = str::from_utf8(fields.get(VISITOR)?).ok()?;
        let (token, wait) = text.split_once(";wait=")?;
        Some(Self {
            version: Version::of(token)?,
            waited: Duration::from_micros(wait.parse().ok()?),
        })
    }
}

/// The name of the field. No visitor can send it, and no origin sees it.
pub const VISITOR: &str = "adit-visitor";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_once() {
        let fields = Fields::from_pairs([("a", "b"), (VISITOR, "h2;wait=1")]).unwrap();
        for version in [Version::Http1, Version::Http2, Version::Http3] {
            let arrival = Arrival {
                version,
                waited: Duration::from_micros(1234),
            };
            let put = arrival.put(&fields).unwrap();
            assert_eq!(Arrival::of(&put), Some(arrival));
            assert_eq!(put.get_all(VISITOR).count(), 1);
            assert_eq!(put.get("a"), Some(&b"b"[..]));
        }
        for bad in ["", "h2", "h4;wait=1", "h2;wait=", "h2;wait=-1"] {
            let fields = Fields::from_pairs([(VISITOR, bad)]).unwrap();
            assert_eq!(Arrival::of(&fields), None, "{bad}");
        }
    }
}
