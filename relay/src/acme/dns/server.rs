//! Asking a DNS server, over TCP alone (RFC 7766): nobody beside the way can answer in its place, and
//! no answer is cut off.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// The addresses of a server that is given as `HOST` or `HOST:PORT`. Safe to drop.
///
/// # Errors
///
/// Whatever the system says.
pub(super) async fn find(server: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = server.parse::<IpAddr>() {
        return Ok(vec![(address, PORT).into()]);
    }
    let work = async {
        match server.contains(':') {
            true => lookup_host(server).await.map(Vec::from_iter),
            false => lookup_host((server, PORT)).await.map(Vec::from_iter),
        }
    };
    timeout(PATIENCE, work).await?
}

/// Sends a message on a connection of its own and reads the answer to it. Safe to drop.
///
/// # Errors
///
/// Whatever the network says, or that it took too long.
pub(in crate::acme) async fn ask(server: &[SocketAddr], message: &[u8]) -> io::Result<Vec<u8>> {
    let work = async {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(message.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], message].concat();
        stream.write_all(&framed).await?;
        let mut answer = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    timeout(PATIENCE, work).await?
}

const PORT: u16 = 53;
/// A server that has to ask others may take some seconds.
const PATIENCE: Duration = Duration::from_secs(10);
