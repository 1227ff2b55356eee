//! A carrier to the relay: TCP, through a proxy if there is one, and TLS on it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use adit_shared::quic::carrier::{Carrier, Line};
use adit_shared::quic::tls::TlsError;
use adit_shared::task::Tasks;
use adit_shared::wire::CARRIER_ALPN;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connect::{self, ConnectError};
use super::peer::Peer;

/// Connects to the relay at `address`, unless there is a proxy, which finds it by its name; QUIC knows it as
/// `remote`. The line's task is one of `tasks`. Safe to drop.
///
/// # Errors
///
/// [`CarryError`].
pub(super) async fn line(
    peer: &Peer,
    address: SocketAddr,
    remote: SocketAddr,
    tasks: &Tasks,
) -> Result<Line, CarryError> {
    match timeout(PATIENCE, carrier(peer, address)).await {
        Ok(carrier) => Ok(Line::new(carrier?, remote, tasks)),
        Err(_) => Err(CarryError::Silent),
    }
}

async fn carrier(peer: &Peer, address: SocketAddr) -> Result<Carrier, CarryError> {
    let name = ServerName::try_from(peer.server_name().to_owned());
    let name = name.map_err(|_| CarryError::Name)?;
    let tcp = match &peer.proxy {
        Some(proxy) => connect::through(proxy, peer.server_name(), peer.port).await?,
        None => TcpStream::connect(address).await.map_err(CarryError::Tcp)?,
    };
    let connector = TlsConnector::from(peer.tls()?.carrier);
    let stream = connector
        .connect(name, tcp)
        .await
        .map_err(CarryError::Tls)?;
    let (tcp, tls) = stream.into_inner();
    // A server that knows nothing of it may agree to nothing and go on.
    if tls.alpn_protocol() != Some(CARRIER_ALPN) {
        return Err(CarryError::Foreign);
    }
    Ok(Carrier::new(tcp, tls))
}

/// Why there is no carrier.
#[derive(Debug, Error)]
pub(super) enum CarryError {
    /// What the relay has to prove cannot be found out.
    #[error(transparent)]
    Trust(#[from] TlsError),
    /// TLS has no word for the relay's name.
    #[error("the relay's name cannot be in a certificate")]
    Name,
    /// No connection.
    #[error("cannot connect: {0}")]
    Tcp(#[source] io::Error),
    /// The proxy does not help.
    #[error(transparent)]
    Proxy(#[from] ConnectError),
    /// No TLS, or not with the relay.
    #[error("no TLS: {0}")]
    Tls(#[source] io::Error),
    /// Who answers takes no agents.
    #[error("who answers there takes no agents over TCP")]
    Foreign,
    /// Nothing came back.
    #[error("no answer")]
    Silent,
}

/// From the first packet to the end of the TLS handshake.
const PATIENCE: Duration = Duration::from_secs(10);
