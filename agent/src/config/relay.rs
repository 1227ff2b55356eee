//! Which relay, and how it is trusted when nobody says how.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use adit_shared::name::{Host, port};
use adit_shared::quic::tls::{self, TlsError, Trust};
use etcetera::BaseStrategy as _;
use thiserror::Error;

/// Which relay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RelayAddress {
    /// One that runs in this process.
    Local,
    /// One at an address.
    Remote {
        /// Name or address, the latter without brackets.
        host: String,
        /// Never 0.
        port: u16,
    },
}

impl FromStr for RelayAddress {
    type Err = BadRelay;

    fn from_str(text: &str) -> Result<Self, BadRelay> {
        if text == "local" {
            return Ok(Self::Local);
        }
        if text.contains("://") {
            return Err(BadRelay::Url);
        }
        // An IPv6 address without brackets can have no port behind it.
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self::remote(address.to_string(), DEFAULT_PORT));
        }
        let port = match text.rsplit_once(':') {
            Some((_, digits)) if !text.ends_with(']') => match port(digits) {
                None | Some(0) => return Err(BadRelay::Port),
                Some(port) => port,
            },
            _ => DEFAULT_PORT,
        };
        let host = Host::from_authority(text).map_err(|_| BadRelay::Host)?;
        let host = host.as_str().trim_matches(['[', ']']).to_owned();
        Ok(Self::remote(host, port))
    }
}

impl RelayAddress {
    fn remote(host: String, port: u16) -> Self {
        Self::Remote { host, port }
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Remote { host, port } => {
                if host.contains(':') {
                    write!(f, "[{host}]")?;
                } else {
                    f.write_str(host)?;
                }
                if *port != DEFAULT_PORT {
                    write!(f, ":{port}")?;
                }
                Ok(())
            }
        }
    }
}

/// Why a text names no relay.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadRelay {
    /// A URL was given.
    #[error("a relay is HOST or HOST:PORT, without https://")]
    Url,
    /// No host name or address.
    #[error("a relay is HOST, HOST:PORT or `local`")]
    Host,
    /// No port.
    #[error("a port is a number from 1 to 65535")]
    Port,
}

/// How to trust a relay when neither a pin nor a CA is given: one on this machine by the
/// development CA in its default state directory, if it has one; any other as a browser would.
///
/// # Errors
///
/// [`TlsError`] when that CA cannot be read.
pub fn default_trust(host: &str) -> Result<Trust, TlsError> {
    let ca = default_state_dir("relay").map(|directory| directory.join("ca.pem"));
    match ca.filter(|ca| is_loopback(host) && ca.exists()) {
        Some(ca) => Ok(Trust::Roots(tls::read_certificates(&ca)?)),
        None => Ok(Trust::Platform),
    }
}

/// The state directory of `program` when nobody chooses another: `adit/PROGRAM` in the platform's.
pub fn default_state_dir(program: &str) -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    // Windows has no directory for state.
    let base = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
    Some(base.join("adit").join(program))
}

/// Whether a name or address is this machine, by definition (RFC 6761 section 6.3).
pub fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    ip.map_or_else(
        |_| host == "localhost" || host.ends_with(".localhost"),
        |ip| ip.to_canonical().is_loopback(),
    )
}

const DEFAULT_PORT: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_read_and_shown() {
        for (text, host, port, shown) in [
            (
                "Relay.Example.com",
                "relay.example.com",
                443,
                "relay.example.com",
            ),
            (
                "relay.example.com:443",
                "relay.example.com",
                443,
                "relay.example.com",
            ),
            ("localhost:8443", "localhost", 8443, "localhost:8443"),
            ("127.0.0.1:8443", "127.0.0.1", 8443, "127.0.0.1:8443"),
            ("[::1]:8443", "::1", 8443, "[::1]:8443"),
            ("[::1]", "::1", 443, "[::1]"),
            ("::1", "::1", 443, "[::1]"),
        ] {
            let relay: RelayAddress = text.parse().unwrap();
            assert_eq!(relay, RelayAddress::remote(host.to_owned(), port));
            assert_eq!(relay.to_string(), shown);
        }
        assert_eq!("local".parse(), Ok(RelayAddress::Local));
    }

    #[test]
    fn a_bad_relay_is_told_what_is_wrong() {
        for (text, error) in [
            ("https://relay.example.com", BadRelay::Url),
            ("", BadRelay::Host),
            ("relay/path", BadRelay::Host),
            ("relay:", BadRelay::Port),
            ("relay:0", BadRelay::Port),
            ("relay:70000", BadRelay::Port),
            ("relay:+443", BadRelay::Port),
        ] {
            assert_eq!(text.parse::<RelayAddress>(), Err(error), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in [
            "localhost",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "10.0.0.1",
            "::2",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
