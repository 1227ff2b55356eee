//! Where to listen, as people type it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use adit_shared::name;
use thiserror::Error;

/// An address to listen on, or `off`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listen {
    /// Do not listen.
    Off,
    /// Listen here; port 0 takes a free one.
    At(SocketAddr),
}

impl Listen {
    /// The address, if there is one.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl FromStr for Listen {
    type Err = BadListen;

    /// `IP:PORT`, `localhost:PORT`, `PORT` or `:PORT` for all interfaces, or `off`.
    fn from_str(text: &str) -> Result<Self, BadListen> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::At(address));
        }
        let (ip, port) = match text.rsplit_once(':') {
            None | Some(("", _)) => (Ipv6Addr::UNSPECIFIED.into(), text.trim_start_matches(':')),
            Some(("localhost", port)) => (Ipv4Addr::LOCALHOST.into(), port),
            Some(_) => return Err(BadListen),
        };
        let port = name::port(port).ok_or(BadListen)?;
        Ok(Self::At(SocketAddr::new(ip, port)))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// The text says no place to listen.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("write IP:PORT such as 127.0.0.1:8443 or [::]:443, a PORT for all interfaces, or `off`")]
pub struct BadListen;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_every_usual_form() {
        for (text, read) in [
            ("127.0.0.1:8443", "127.0.0.1:8443"),
            ("[::1]:0", "[::1]:0"),
            ("localhost:80", "127.0.0.1:80"),
            (":8080", "[::]:8080"),
            ("8080", "[::]:8080"),
            ("OFF", "off"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), read);
        }
        for text in [
            "",
            ":",
            "::",
            "::1",
            "127.0.0.1",
            "example.com:80",
            "70000",
            "+80",
            "on",
        ] {
            assert_eq!(text.parse::<Listen>(), Err(BadListen), "{text}");
        }
    }
}
