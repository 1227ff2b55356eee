//! A relay inside this process, for trying things with no server: loopback only, no token.

use std::net::{Ipv4Addr, SocketAddr};

use adit_relay::config::{Config, ConfigError};
use adit_relay::{Relay, StartError};
use adit_shared::quic::tls::{TlsError, Trust, read_certificates};
use thiserror::Error;

use crate::link::Peer;

/// A relay of our own, and how to dial it.
#[derive(Debug)]
pub struct Local {
    /// The relay.
    pub relay: Relay,
    /// Where it is.
    pub peer: Peer,
}

/// Starts a relay at the usual ports of local mode, or at free ones when they are in use.
///
/// # Errors
///
/// [`LocalError`].
pub async fn start() -> Result<Local, LocalError> {
    let state_dir = adit_relay::config::local_state_dir()?;
    let http = free_or_usual(HTTP);
    let https = free_or_usual(HTTPS);
    let relay = adit_relay::start(Config::local_for_agent(state_dir, http, https)).await?;
    let ready = relay.ready();
    let trust = match (&ready.ca, ready.pin) {
        (Some(ca), _) => Trust::Roots(read_certificates(ca)?),
        (None, pin) => Trust::Pin(pin),
    };
    let port = ready.quic.map_or(0, |address| address.port());
    let peer = Peer::new(Ipv4Addr::LOCALHOST.to_string(), port, Some(&trust))?;
    Ok(Local { relay, peer })
}

/// The usual port on loopback, or port 0 when somebody has it.
fn free_or_usual(port: u16) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match std::net::TcpListener::bind(usual) {
        Ok(_) => usual,
        Err(_) => (Ipv4Addr::LOCALHOST, 0).into(),
    }
}

/// Why there is no relay in this process.
#[derive(Debug, Error)]
pub enum LocalError {
    /// It has no place for its state.
    #[error(transparent)]
    StateDir(#[from] ConfigError),
    /// It did not start.
    #[error("it does not start")]
    Start(#[from] StartError),
    /// Its own certificate cannot be used.
    #[error("its certificate cannot be used")]
    Tls(#[from] TlsError),
}

const HTTP: u16 = 8080;
const HTTPS: u16 = 8443;
