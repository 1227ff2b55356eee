//! Where requests go: a URL, the address to dial, and whom to trust there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;
use rustls::pki_types::ServerName;
use thiserror::Error;

/// A URL, taken apart.
#[derive(Clone, Debug)]
pub struct Target {
    /// As it was given.
    pub url: String,
    /// Whether TLS is spoken.
    pub https: bool,
    /// Host and port as the Host field has them.
    pub authority: Authority,
    /// Path and query, byte for byte.
    pub path: String,
    /// Host and port to dial.
    dial: (String, u16),
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let uri: Uri = text.parse().map_err(|_| BadTarget::Url)?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadTarget::Scheme),
        };
        let authority = uri.authority().ok_or(BadTarget::Url)?;
        // What is in a result is for others to read.
        if authority.as_str().contains('@') {
            return Err(BadTarget::Password);
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            // What follows the host is no port.
            None if authority.as_str() != authority.host() => return Err(BadTarget::Url),
            None if https => 443,
            None => 80,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            url: text.to_owned(),
            https,
            authority: authority.clone(),
            path,
            dial: (bare(authority.host()).to_owned(), port),
        })
    }
}

impl Target {
    /// Dials `place`, a host and port, instead of what the URL says.
    ///
    /// # Errors
    ///
    /// [`BadTarget::Place`].
    pub fn at(mut self, place: &str) -> Result<Self, BadTarget> {
        let place: Authority = place.parse().map_err(|_| BadTarget::Place)?;
        let port = place.port_u16().ok_or(BadTarget::Place)?;
        if place.host().is_empty() {
            return Err(BadTarget::Place);
        }
        self.dial = (bare(place.host()).to_owned(), port);
        Ok(self)
    }

    /// The name that a certificate must have.
    ///
    /// # Errors
    ///
    /// [`BadTarget::Url`].
    pub fn server_name(&self) -> Result<ServerName<'static>, BadTarget> {
        let host = bare(self.authority.host()).to_owned();
        host.try_into().map_err(|_| BadTarget::Url)
    }

    /// The address of everything that is dialled without asking a name server, if it is on loopback.
    pub fn is_loopback(&self) -> bool {
        match self.dial.0.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => is_localhost(&self.dial.0),
        }
    }

    /// The addresses to dial.
    ///
    /// # Errors
    ///
    /// What the name server said.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = (self.dial.0.as_str(), self.dial.1);
        // Not every system resolves names below localhost; RFC 6761 says what they are.
        if is_localhost(host) {
            let here: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(here.map(|ip| SocketAddr::new(ip, port)).to_vec());
        }
        let found: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
        if found.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(found)
    }

    /// The host that is dialled, for messages.
    pub fn place(&self) -> String {
        format!("{}:{}", self.dial.0, self.dial.1)
    }
}

/// An IPv6 address of a URL without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Why there is nothing to request.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadTarget {
    /// It does not parse.
    #[error("this is no URL, such as https://app.example.com/path")]
    Url,
    /// Another scheme, or none.
    #[error("a URL begins with http:// or https://")]
    Scheme,
    /// A user in front of the host.
    #[error("a URL with a password ends up in results: use --header 'Authorization: …'")]
    Password,
    /// Not a host with a port.
    #[error("--connect is a host and a port, such as 127.0.0.1:8443")]
    Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, https, authority, path, place) in [
            ("http://a", false, "a", "/", "a:80"),
            ("https://a/b?c=%2F", true, "a", "/b?c=%2F", "a:443"),
            ("https://a.b:8443?q", true, "a.b:8443", "/?q", "a.b:8443"),
            ("http://[::1]:3000/x", false, "[::1]:3000", "/x", "::1:3000"),
        ] {
            let target: Target = text.parse().unwrap();
            let seen = (target.https, target.authority.as_str(), &*target.path);
            assert_eq!(seen, (https, authority, path));
            assert_eq!(target.place(), place);
        }
        for (text, bad) in [
            ("", BadTarget::Url),
            ("a.example", BadTarget::Scheme),
            ("ftp://a", BadTarget::Scheme),
            ("http://", BadTarget::Url),
            ("http://u:p@a/", BadTarget::Password),
            ("http://a:99999/", BadTarget::Url),
        ] {
            assert_eq!(text.parse::<Target>().map(|_| ()), Err(bad), "{text}");
        }
    }

    #[tokio::test]
    async fn names_below_localhost_are_loopback() {
        let resolve = async |text: &str| text.parse::<Target>().unwrap().resolve().await.unwrap();
        let found = resolve("https://app.localhost:8443/").await;
        assert_eq!(found[0], "127.0.0.1:8443".parse().unwrap());
        assert_eq!(resolve("http://[::1]").await, ["[::1]:80".parse().unwrap()]);
    }

    #[test]
    fn what_is_dialled_decides_what_loopback_is() {
        let is = |text: &str| text.parse::<Target>().unwrap().is_loopback();
        assert!(is("https://localhost") && is("https://a.localhost") && is("https://127.9.9.9"));
        assert!(is("https://[::1]") && is("https://[::ffff:127.0.0.1]"));
        assert!(!is("https://localhost.example") && !is("https://10.0.0.1"));
        let far: Target = "https://a.example".parse().unwrap();
        assert!(far.clone().at("127.0.0.1:1").unwrap().is_loopback());
        assert!(far.clone().at("127.0.0.1").is_err() && far.at(":1").is_err());
    }
}
