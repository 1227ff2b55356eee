//! Networks, as people type them.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_a_network_too() {
        let read = |text: &str| text.parse().map(|Network(net)| net.to_string());
        assert_eq!(read("10.0.0.0/8").unwrap(), "10.0.0.0/8");
        assert_eq!(read("192.0.2.1").unwrap(), "192.0.2.1/32");
        assert_eq!(read("::1").unwrap(), "::1/128");
        assert_eq!(read("10.0.0.0/33"), Err(BadNetwork));
    }
}
