//! What a tunnel forwards to, and the `Host` it sees.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use adit_shared::name::{self, Host};
use http::HeaderValue;
use thiserror::Error;

/// What a tunnel forwards to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The built-in origin.
    Echo,
    /// A server on a TCP port.
    Tcp {
        /// What it speaks.
        scheme: Scheme,
        /// Name or address, the latter without brackets.
        host: String,
        /// Never 0.
        port: u16,
        /// Whether any certificate will do; only with [`Scheme::Https`].
        insecure: bool,
    },
    /// A server on a Unix socket; speaks HTTP/1.1.
    Unix {
        /// The socket.
        path: PathBuf,
    },
}

/// What an origin speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// HTTP/1.1 in the clear.
    Http1,
    /// HTTP over TLS.
    Https,
    /// HTTP/2 in the clear, without an upgrade.
    H2c,
}

impl Scheme {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Http1 => "http://",
            Self::Https => "https://",
            Self::H2c => "h2c://",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http1 | Self::H2c => 80,
            Self::Https => 443,
        }
    }
}

impl Origin {
    /// `http://localhost:PORT`.
    ///
    /// # Errors
    ///
    /// [`BadOrigin::Port`] when the text is no port.
    pub fn from_port(text: &str) -> Result<Self, BadOrigin> {
        Ok(Self::Tcp {
            scheme: Scheme::Http1,
            host: "localhost".to_owned(),
            port: port(text)?,
            insecure: false,
        })
    }

    /// The origin as a URL, which is also the default label of its tunnel.
    pub fn url(&self) -> String {
        match self {
            Self::Tcp { scheme, .. } => format!("{}{}", scheme.prefix(), self.host_and_port()),
            Self::Echo | Self::Unix { .. } => self.to_string(),
        }
    }

    /// The value of `Host` that is the origin's own: the port is left out when it is the scheme's.
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp {
                scheme, host, port, ..
            } if *port == scheme.default_port() => bracketed(host),
            Self::Tcp { .. } => self.host_and_port(),
            Self::Echo | Self::Unix { .. } => "localhost".to_owned(),
        }
    }

    fn host_and_port(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } => format!("{}:{port}", bracketed(host)),
            Self::Echo | Self::Unix { .. } => String::new(),
        }
    }
}

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() || path.contains('\0') {
                return Err(BadOrigin::Socket);
            }
            return Ok(Self::Unix { path: path.into() });
        }
        let found = [Scheme::Http1, Scheme::Https, Scheme::H2c]
            .into_iter()
            .find_map(|scheme| Some((scheme, strip_prefix(text, scheme.prefix())?)));
        let Some((scheme, rest)) = found else {
            return Err(BadOrigin::Scheme);
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(BadOrigin::Path);
        }
        let (host, digits) = match authority.rfind(':') {
            Some(at) if !authority.ends_with(']') => (&authority[..at], Some(&authority[at + 1..])),
            _ => (authority, None),
        };
        let host: Host = host.parse().map_err(|_| BadOrigin::Host)?;
        Ok(Self::Tcp {
            scheme,
            host: host.as_str().trim_matches(['[', ']']).to_owned(),
            port: digits.map_or_else(|| Ok(scheme.default_port()), port)?,
            insecure: false,
        })
    }
}

impl fmt::Display for Origin {
    /// Short, for people: plain HTTP is what they expect, so it is not named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo => f.write_str("echo"),
            Self::Tcp {
                scheme: Scheme::Http1,
                ..
            } => f.write_str(&self.host_and_port()),
            Self::Tcp { .. } => f.write_str(&self.url()),
            Self::Unix { path } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Which `Host` an origin sees.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum HostHeader {
    /// The one that the visitor sent.
    #[default]
    Keep,
    /// The origin's own, see [`Origin::authority`].
    Rewrite,
    /// This one.
    Value(HeaderValue),
}

impl FromStr for HostHeader {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if text == "rewrite" {
            return Ok(Self::Rewrite);
        }
        Host::from_authority(text).map_err(|_| BadOrigin::HostHeader)?;
        let value = HeaderValue::from_str(text).map_err(|_| BadOrigin::HostHeader)?;
        Ok(Self::Value(value))
    }
}

/// Why a text names no origin.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadOrigin {
    /// No scheme, or another one.
    #[error(
        "an origin begins with http://, https://, h2c:// or unix:, as in http://localhost:3000"
    )]
    Scheme,
    /// A path, query or fragment.
    #[error("an origin has no path or query: requests keep the path that the visitor asked for")]
    Path,
    /// No host name or address.
    #[error("this is no host name or address")]
    Host,
    /// No port.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// No path of a socket.
    #[error("unix: is followed by the path of a socket")]
    Socket,
    /// No value for `Host`.
    #[error("this is neither `rewrite` nor a host name")]
    HostHeader,
}

fn port(text: &str) -> Result<u16, BadOrigin> {
    let port = name::port(text).filter(|port| *port != 0);
    port.ok_or(BadOrigin::Port)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// Schemes are compared without regard to case (RFC 3986 section 3.1).
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_shown_short_labelled_in_full_and_named_by_its_authority() {
        for (text, shown, url, authority) in [
            (
                "http://localhost:3000",
                "localhost:3000",
                "http://localhost:3000",
                "localhost:3000",
            ),
            (
                "HTTP://LocalHost",
                "localhost:80",
                "http://localhost:80",
                "localhost",
            ),
            (
                "https://app.test/",
                "https://app.test:443",
                "https://app.test:443",
                "app.test",
            ),
            (
                "h2c://[::1]:50051",
                "h2c://[::1]:50051",
                "h2c://[::1]:50051",
                "[::1]:50051",
            ),
            (
                "unix:/run/app.sock",
                "unix:/run/app.sock",
                "unix:/run/app.sock",
                "localhost",
            ),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(origin.to_string(), shown);
            assert_eq!(origin.url(), url);
            assert_eq!(origin.authority(), authority);
        }
        assert_eq!(
            Origin::from_port("3000").unwrap(),
            "http://localhost:3000".parse().unwrap()
        );
    }

    #[test]
    fn a_bad_origin_is_told_what_is_wrong() {
        for (text, error) in [
            ("localhost:3000", BadOrigin::Scheme),
            ("ftp://a", BadOrigin::Scheme),
            ("", BadOrigin::Scheme),
            ("http://localhost:3000/app", BadOrigin::Path),
            ("http://localhost?a", BadOrigin::Path),
            ("http://a:b@localhost", BadOrigin::Port),
            ("http://a@localhost", BadOrigin::Host),
            ("http://", BadOrigin::Host),
            ("http://localhost:0", BadOrigin::Port),
            ("http://localhost:", BadOrigin::Port),
            ("http://localhost:70000", BadOrigin::Port),
            ("http://localhost:+80", BadOrigin::Port),
            ("unix:", BadOrigin::Socket),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(error), "{text}");
        }
        assert_eq!(Origin::from_port("0"), Err(BadOrigin::Port));
    }

    #[test]
    fn a_host_header_is_a_word_or_a_host() {
        assert_eq!("rewrite".parse(), Ok(HostHeader::Rewrite));
        let value = HeaderValue::from_static("app.test:3000");
        assert_eq!("app.test:3000".parse(), Ok(HostHeader::Value(value)));
        for bad in ["", "a b", "http://a", "a\r\nb"] {
            assert_eq!(bad.parse::<HostHeader>(), Err(BadOrigin::HostHeader));
        }
    }
}
