//! The relay: where it is, how to know it, and in what QUIC may travel to it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use adit_shared::quic::Congestion;
use adit_shared::quic::tls::{self, TlsError, Trust};
use adit_shared::wire;
use rustls::ClientConfig;
use tokio::net::lookup_host;

use crate::config::{Proxy, TransportChoice, default_trust, is_loopback};

/// The relay, and how to know it.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) transport: TransportChoice,
    pub(super) proxy: Option<Proxy>,
    pub(super) congestion: Congestion,
    /// `None` for a relay on this machine whose CA may only appear when it starts.
    tls: Option<Tls>,
}

/// What the relay has to prove, the same in QUIC and under it.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) quic: Arc<ClientConfig>,
    pub(super) carrier: Arc<ClientConfig>,
}

impl Peer {
    /// A relay that must prove itself by `trust`, or else by what is usual for its host.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when the trust cannot be used.
    pub fn new(host: String, port: u16, trust: Option<&Trust>) -> Result<Self, TlsError> {
        let tls = match trust {
            None if is_loopback(&host) => None,
            None => Some(Tls::new(&Trust::Platform)?),
            Some(trust) => Some(Tls::new(trust)?),
        };
        Ok(Self {
            host,
            port,
            transport: TransportChoice::Udp,
            proxy: None,
            congestion: Congestion::default(),
            tls,
        })
    }

    /// A relay that must prove itself as `quic` says, and under it as `carrier` says.
    pub(crate) fn by(
        host: String,
        port: u16,
        quic: Arc<ClientConfig>,
        carrier: Arc<ClientConfig>,
    ) -> Self {
        Self {
            host,
            port,
            transport: TransportChoice::Auto,
            proxy: None,
            congestion: Congestion::default(),
            tls: Some(Tls { quic, carrier }),
        }
    }

    /// One that may be reached over TCP too, through `proxy` if there is one.
    #[must_use]
    pub fn with_transport(self, transport: TransportChoice, proxy: Option<Proxy>) -> Self {
        Self {
            transport,
            proxy,
            ..self
        }
    }

    /// With this congestion control for what is sent to it.
    #[must_use]
    pub fn with_congestion(self, congestion: Congestion) -> Self {
        Self { congestion, ..self }
    }

    pub(super) fn tls(&self) -> Result<Tls, TlsError> {
        match &self.tls {
            Some(tls) => Ok(tls.clone()),
            None => Tls::new(&default_trust(&self.host)?),
        }
    }

    /// What its certificate must name.
    pub(super) fn server_name(&self) -> &str {
        // An address in brackets is for URLs; certificates name it without.
        self.host.trim_matches(['[', ']'])
    }

    /// All its addresses, in the order in which they are tried.
    pub(super) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let found = lookup_host((self.server_name(), self.port)).await?;
        let mut addresses: Vec<_> = found.collect();
        // Where both families lead to the relay, the older one is blocked less often for UDP.
        addresses.sort_by_key(|address| address.is_ipv6());
        Ok(addresses)
    }

    /// Whether it is called by a name, not an address.
    pub(super) fn is_named(&self) -> bool {
        self.server_name().parse::<IpAddr>().is_err()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Tls {
    fn new(trust: &Trust) -> Result<Self, TlsError> {
        Ok(Self {
            quic: Arc::new(tls::client(trust, &[wire::ALPN])?),
            carrier: Arc::new(tls::client(trust, &[wire::CARRIER_ALPN])?),
        })
    }
}
