//! A QUIC connection to the relay.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use adit_shared::quic::endpoint::{self, Dialer, EndpointError};
use adit_shared::quic::tls::{self, TlsError, Trust};
use adit_shared::quic::tuning::Window;
use adit_shared::quic::{Connection, Lost};
use adit_shared::wire;
use thiserror::Error;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::config::{default_trust, is_loopback};

/// The relay, and how to know it.
#[derive(Clone, Debug)]
pub struct Peer {
    host: String,
    port: u16,
    /// `None` for a relay on this machine whose CA may only appear when it starts.
    tls: Option<Arc<rustls::ClientConfig>>,
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
            None => Some(client(&Trust::Platform)?),
            Some(trust) => Some(client(trust)?),
        };
        Ok(Self { host, port, tls })
    }

    fn tls(&self) -> Result<Arc<rustls::ClientConfig>, TlsError> {
        match &self.tls {
            Some(tls) => Ok(tls.clone()),
            None => client(&default_trust(&self.host)?),
        }
    }
}

fn client(trust: &Trust) -> Result<Arc<rustls::ClientConfig>, TlsError> {
    Ok(Arc::new(tls::client(trust, &[wire::ALPN])?))
}

/// Dials every address of the relay in turn until one answers. Safe to drop.
///
/// # Errors
///
/// [`DialError`] of the last address.
pub(super) async fn dial(peer: &Peer, window: Window) -> Result<(Dialer, Connection), DialError> {
    let Peer { host, port, .. } = peer;
    let tls = peer.tls()?;
    let found = lookup_host((host.as_str(), *port)).await;
    let mut addresses: Vec<_> = found
        .map_err(|error| DialError::Resolve(host.clone(), error))?
        .collect();
    // Where both families lead to the relay, the older one is blocked less often for UDP.
    addresses.sort_by_key(|address| address.is_ipv6());
    let mut last = DialError::NoAddress(host.clone());
    for address in addresses {
        match dial_one(host, address, window, &tls).await {
            Ok(dialled) => return Ok(dialled),
            Err(error @ DialError::Refused(_)) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn dial_one(
    host: &str,
    address: SocketAddr,
    window: Window,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<(Dialer, Connection), DialError> {
    let dialer = Dialer::bind(address)?.with_window(window);
    // An address in brackets is for URLs; certificates name it without.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    match timeout(ATTEMPT, dialer.dial(address, name, tls.clone())).await {
        Ok(Ok(connection)) => Ok((dialer, connection)),
        Ok(Err(error)) => Err(explain(error, host, address)),
        Err(_) => Err(DialError::Silent(address)),
    }
}

/// What a failed handshake means for the user.
fn explain(error: endpoint::DialError, host: &str, address: SocketAddr) -> DialError {
    let endpoint::DialError::Lost(lost) = error else {
        return DialError::Start(error.to_string());
    };
    match lost {
        Lost::TimedOut => DialError::Silent(address),
        Lost::Closed { code, reason } if code.is_final() => DialError::Refused(reason),
        // Verifying a certificate is tried again when its owner may have mended it.
        Lost::Transport(text) if text.contains("certificate") || text.contains("pinned") => {
            let by_name = host.parse::<IpAddr>().is_err();
            DialError::Untrusted { text, by_name }
        }
        lost => DialError::Lost(lost),
    }
}

/// Why there is no connection to the relay.
#[derive(Debug, Error)]
pub(super) enum DialError {
    /// Its name is not known.
    #[error("cannot find {0}: {1}")]
    Resolve(String, #[source] io::Error),
    /// Its name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// What it has to prove cannot be found out.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no socket.
    #[error(transparent)]
    Socket(#[from] EndpointError),
    /// The attempt could not begin.
    #[error("{0}")]
    Start(String),
    /// Nothing came back.
    #[error("no answer from {0} over UDP; is the relay running there, and UDP allowed on the way?")]
    Silent(SocketAddr),
    /// It could not prove that it is the relay that was meant.
    #[error("the relay could not prove who it is: {text}{}", hint(*.by_name))]
    Untrusted {
        /// What was wrong.
        text: String,
        /// Whether it was called by a name.
        by_name: bool,
    },
    /// The handshake failed otherwise.
    #[error(transparent)]
    Lost(Lost),
    /// It does not want this agent.
    #[error("{0}")]
    Refused(String),
}

fn hint(by_name: bool) -> &'static str {
    if by_name {
        "; a relay with a certificate of its own prints the --pin to use"
    } else {
        "; a relay that is called by its address needs --pin or --relay-ca"
    }
}

/// How long one address may take to answer.
const ATTEMPT: Duration = Duration::from_secs(5);
