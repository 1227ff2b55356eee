//! Connections that a load balancer in front of the relay passes on: it says first from where they
//! come, by the PROXY protocol.
//!
//! Only configured networks are believed, and from those the header must come: whoever could leave it
//! out or write it could pass for anybody (proxy-protocol.txt, sections 2 and 5). Bytes that look like
//! a header from elsewhere are a bad request.

pub mod header;

use std::io;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use self::header::{Malformed, Step};

/// Networks of which every connection begins with a header of the PROXY protocol.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// These.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether a connection from `ip` begins with a header.
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// Takes the header off a connection, and nothing after it. Says where the connection comes from,
/// unless it is the proxy's own. Dropped before its end, the connection is of no use.
///
/// # Errors
///
/// [`NotProxied`].
pub(super) async fn source(stream: &mut TcpStream) -> Result<Option<SocketAddr>, NotProxied> {
    let mut bytes = vec![0; header::MAX];
    let mut read = 0;
    loop {
        let seen = read + stream.peek(&mut bytes[read..]).await?;
        if seen == read {
            return Err(NotProxied::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        match header::parse(&bytes[..seen])? {
            // All of it belongs to the header. Read, so that more is awaited the next time.
            Step::More => {
                stream.read_exact(&mut bytes[read..seen]).await?;
                read = seen;
            }
            Step::Whole { source, length } => {
                stream.read_exact(&mut bytes[read..length]).await?;
                return Ok(source);
            }
        }
    }
}

/// A connection that does not begin as one of a proxy must.
#[derive(Debug, Error)]
pub(super) enum NotProxied {
    /// It does not begin with a header, or with one that breaks the rules.
    #[error("bad PROXY header: {0}")]
    Header(#[from] Malformed),
    /// It failed before.
    #[error("lost before its PROXY header: {0}")]
    Lost(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_know_addresses_in_either_form() {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap());
        let proxies = Proxies::new(networks.to_vec());
        for (ip, is_one) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::1", true),
            ("11.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(proxies.contain(ip.parse().unwrap()), is_one, "{ip}");
        }
        assert!(!Proxies::default().contain("10.0.0.1".parse().unwrap()));
    }
}
