//! The way out of networks that have a proxy: for TCP to the relay, where UDP is blocked.
//!
//! The variables are those that other programs go by. Their values may hold a password, so nothing
//! here shows them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use adit_shared::name;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::is_loopback;

/// A proxy that connects through (`CONNECT`, RFC 9110 section 9.3.6).
#[derive(Clone, Eq, PartialEq)]
pub struct Proxy {
    /// Name or address, the latter without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
}

impl Proxy {
    /// The proxy for connections to `host`, by the variables that `variable` reads.
    ///
    /// # Errors
    ///
    /// [`BadProxy`] when there is one that cannot be used.
    pub fn to(
        host: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, BadProxy> {
        let first = |names: &[&str]| {
            let values = names.iter().filter_map(|name| variable(name));
            values
                .map(|text| text.trim().to_owned())
                .find(|text| !text.is_empty())
        };
        let Some(url) = first(&VARIABLES[..4]) else {
            return Ok(None);
        };
        let except = first(&VARIABLES[4..]).unwrap_or_default();
        if is_loopback(host) || except.split(',').any(|one| covers(one.trim(), host)) {
            return Ok(None);
        }
        url.parse().map(Some)
    }

    /// The value of `Proxy-Authorization`: a secret.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(BadProxy::Scheme),
            None => text,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, name::port(port).ok_or(BadProxy::Place)?)
            }
            _ => (place, DEFAULT_PORT),
        };
        let host = host.trim_matches(['[', ']']);
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) || port == 0 {
            return Err(BadProxy::Place);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            authorization: user.map(basic),
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// Why a proxy cannot be used. It does not repeat what was given.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadProxy {
    /// Not http.
    #[error("only a proxy whose address begins with http:// can be used")]
    Scheme,
    /// No host, or no port.
    #[error("the proxy's address has no proper host and port")]
    Place,
}

/// Credentials as RFC 7617 has them, from how they stand in a URL.
fn basic(user: &str) -> String {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain: Vec<u8> = percent_decode_str(name).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    format!("Basic {}", BASE64_STANDARD.encode(plain))
}

/// Whether an entry of `NO_PROXY` is about `host`: a domain with everything below it, an address, a
/// network, or `*`.
fn covers(entry: &str, host: &str) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        let (network, length) = match entry.split_once('/') {
            Some((network, length)) => (network, length.parse::<u32>().ok()),
            None => (entry, Some(128)),
        };
        let network = network.trim_matches(['[', ']']).parse::<IpAddr>();
        let (Ok(network), Some(length)) = (network, length) else {
            return false;
        };
        return match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - length.min(32);
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - length.min(128);
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        };
    }
    let entry = entry.split(':').next().unwrap_or_default();
    let entry = entry.trim_start_matches("*.").trim_start_matches('.');
    let Some(before) = host.len().checked_sub(entry.len()) else {
        return false;
    };
    !entry.is_empty()
        && host.is_char_boundary(before)
        && host[before..].eq_ignore_ascii_case(entry)
        && (before == 0 || host[..before].ends_with('.'))
}

/// Those that name a proxy for TLS, the strongest first, then those that name exceptions.
pub(super) const VARIABLES: [&str; 6] = [
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// Where proxies listen when nobody says where.
const DEFAULT_PORT: u16 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str, variables: &[(&str, &str)]) -> Result<Option<Proxy>, BadProxy> {
        let value = |name: &str| {
            let found = variables.iter().find(|(one, _)| *one == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Proxy::to(host, value)
    }

    #[test]
    fn the_variables_mean_what_they_mean_elsewhere() {
        let https = ("HTTPS_PROXY", "http://proxy.test:3128");
        let all = ("ALL_PROXY", "proxy.test");
        let found = to("relay.test", &[https, all]).unwrap().unwrap();
        assert_eq!(found.to_string(), "proxy.test:3128");
        let found = to("relay.test", &[("https_proxy", ""), all])
            .unwrap()
            .unwrap();
        assert_eq!(found.to_string(), "proxy.test:80");
        assert_eq!(to("relay.test", &[]), Ok(None));
        assert_eq!(to("localhost", &[https]), Ok(None));
        for except in ["*", "relay.test", ".test", "a, test:443", "*.test"] {
            assert_eq!(
                to("relay.test", &[https, ("NO_PROXY", except)]),
                Ok(None),
                "{except}"
            );
        }
        for except in ["elay.test", "a.relay.test", "", ",", "10.0.0.0/8"] {
            let found = to("relay.test", &[https, ("no_proxy", except)]);
            assert!(found.unwrap().is_some(), "{except}");
        }
    }

    #[test]
    fn networks_are_spared_by_their_addresses() {
        for (except, host, is_spared) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.11", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("[2001:db8::1]", "2001:db8::1", true),
            ("2001:db8::/32", "192.0.2.1", false),
            ("10.0.0.0/x", "10.0.0.1", false),
        ] {
            assert_eq!(covers(except, host), is_spared, "{except} {host}");
        }
    }

    #[test]
    fn credentials_are_sent_and_not_shown() {
        let proxy: Proxy = "http://us%65r:p%40ss@[::1]:8080/".parse().unwrap();
        // user:p@ss
        assert_eq!(proxy.authorization(), Some("Basic dXNlcjpwQHNz"));
        assert_eq!(format!("{proxy} {proxy:?}"), "[::1]:8080 Proxy([::1]:8080)");
    }

    #[test]
    fn what_is_no_proxy_for_us_is_refused() {
        for (text, why) in [
            ("socks5://127.0.0.1:1080", BadProxy::Scheme),
            ("https://proxy.test", BadProxy::Scheme),
            ("http://", BadProxy::Place),
            ("http://a:0", BadProxy::Place),
            ("http://a:b", BadProxy::Place),
            ("http://a:+80", BadProxy::Place),
            ("http://a b", BadProxy::Place),
            ("http://a\r\nb", BadProxy::Place),
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(why), "{text}");
        }
    }
}
