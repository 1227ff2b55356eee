//! Durations, sizes and networks, as people type them.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use thiserror::Error;

/// A duration, such as `500ms`, `10s`, `1h30m`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        // A bare zero has no unit to forget.
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let signed: jiff::SignedDuration = text.parse().map_err(|_| BadSpan)?;
        signed.try_into().map(Self).map_err(|_| BadSpan)
    }
}

/// The text is no duration.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a duration is a number with its unit, such as 500ms, 10s, 5m or 24h")]
pub struct BadSpan;

/// A number of bytes, such as `32KiB` or `65536`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size(pub usize);

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let unit: usize = match unit.trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(BadSize),
        };
        let number: usize = number.parse().map_err(|_| BadSize)?;
        number.checked_mul(unit).map(Self).ok_or(BadSize)
    }
}

/// The text is no size.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a size is a number of bytes, such as 65536, 64KiB or 1MiB")]
pub struct BadSize;

/// A network, such as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.into()));
        }
        text.parse().map(Self).map_err(|_| BadNetwork)
    }
}

/// The text is no network.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a network is an address and a prefix length, such as 10.0.0.0/8 or fd00::/8")]
pub struct BadNetwork;

/// A limit by its name, such as `visitors=100`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limit {
    /// The name.
    pub key: String,
    /// What it is to be.
    pub value: String,
}

impl FromStr for Limit {
    type Err = BadLimit;

    fn from_str(text: &str) -> Result<Self, BadLimit> {
        let (key, value) = text.split_once('=').ok_or(BadLimit)?;
        Ok(Self {
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
        })
    }
}

/// The text is no limit.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a limit is its name and a value, such as visitors=100 or head-timeout=5s")]
pub struct BadLimit;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1m 30s", 90_000),
            ("24h", 86_400_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))));
        }
        for text in ["", "10", "-1s", "1 fortnight", "s"] {
            assert_eq!(text.parse::<Span>(), Err(BadSpan), "{text}");
        }
    }

    #[test]
    fn sizes_are_binary_and_do_not_overflow() {
        assert_eq!("65536".parse(), Ok(Size(65536)));
        assert_eq!("64KiB".parse(), Ok(Size(65536)));
        assert_eq!("1 MiB".parse(), Ok(Size(1 << 20)));
        for text in ["", "KiB", "-1", "1.5MiB", "1KB", "99999999999999GiB"] {
            assert_eq!(text.parse::<Size>(), Err(BadSize), "{text}");
        }
    }

    #[test]
    fn one_address_is_a_network_too() {
        let read = |text: &str| text.parse().map(|Network(net)| net.to_string());
        assert_eq!(read("10.0.0.0/8").unwrap(), "10.0.0.0/8");
        assert_eq!(read("192.0.2.1").unwrap(), "192.0.2.1/32");
        assert_eq!(read("::1").unwrap(), "::1/128");
        assert_eq!(read("10.0.0.0/33"), Err(BadNetwork));
    }
}
