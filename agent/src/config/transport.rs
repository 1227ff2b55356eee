//! In what QUIC may travel.

use std::str::FromStr;

use thiserror::Error;

/// In what QUIC may travel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TransportChoice {
    /// UDP, and TLS over TCP for as long as UDP does not get through.
    #[default]
    Auto,
    /// UDP only.
    Udp,
    /// TLS over TCP only.
    Tcp,
}

impl FromStr for TransportChoice {
    type Err = BadTransport;

    fn from_str(text: &str) -> Result<Self, BadTransport> {
        match text {
            "auto" => Ok(Self::Auto),
            "udp" => Ok(Self::Udp),
            "tcp" => Ok(Self::Tcp),
            _ => Err(BadTransport),
        }
    }
}

/// The text is none of them.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("this is none of auto, udp and tcp")]
pub struct BadTransport;
