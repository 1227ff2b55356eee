//! A relay inside this process, for trying things with no server: loopback only, no token.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use adit_relay::config::{Config, ConfigError};
use adit_relay::{Relay, StartError};
use adit_shared::quic::tls::{TlsError, Trust, read_certificates};
use thiserror::Error;

use crate::config::{self, Origin, default_state_dir};

/// A relay of our own, and how to dial it.
#[derive(Debug)]
pub struct Local {
    /// The relay.
    pub relay: Relay,
    /// Its address.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
    /// How it proves itself.
    pub trust: Trust,
}

/// Starts a relay at the usual ports of local mode, or at free ones when they are in use or are
/// where an origin of `config` is: it would be forwarded to itself. Not safe to drop, as
/// [`adit_relay::start`] is not.
///
/// # Errors
///
/// [`LocalError`].
pub async fn start(config: &config::Config) -> Result<Local, LocalError> {
    let [http, https] = [HTTP, HTTPS].map(|port| {
        let is_origins = config.tunnels.iter().any(
            |tunnel| matches!(&tunnel.origin, Origin::Tcp { port: origin, .. } if *origin == port),
        );
        free_or_usual(port, is_origins)
    });
    let state_dir = state_dir(config)?;
    let relay = adit_relay::start(Config::local_for_agent(state_dir, http, https)).await?;
    let ready = relay.ready();
    let trust = match (&ready.ca, ready.pin) {
        (Some(ca), _) => Trust::Roots(read_certificates(ca)?),
        (None, Some(pin)) => Trust::Pin(pin),
        (None, None) => Trust::Platform,
    };
    let port = ready.quic.map_or(0, |address| address.port());
    Ok(Local {
        relay,
        host: Ipv4Addr::LOCALHOST.to_string(),
        port,
        trust,
    })
}

/// Beside the agent's state where that was chosen, else where a relay on this machine has it.
fn state_dir(config: &config::Config) -> Result<PathBuf, LocalError> {
    if default_state_dir("agent").as_ref() == Some(&config.state_dir) {
        return Ok(adit_relay::config::local_state_dir()?);
    }
    Ok(config.state_dir.join("relay"))
}

/// The usual port on loopback, or port 0 when somebody has it or is to have it.
fn free_or_usual(port: u16, is_origins: bool) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if !is_origins && std::net::TcpListener::bind(usual).is_ok() {
        return usual;
    }
    (Ipv4Addr::LOCALHOST, 0).into()
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
