//! QUIC without UDP: datagrams inside TLS over TCP, for networks that let nothing else through.
//!
//! A [`Carrier`] is one such TLS connection. A task of its own, the `pump`, moves bytes between it
//! and two bounded `queues`; under QUIC, a socket takes datagrams from the one and puts them into
//! the other. At the agent that socket is a `line`, which is one carrier; at the relay it is a
//! `hub`, which is the UDP socket and all carriers of a shard. Nothing above a socket knows the
//! difference: a session that changes from UDP to a carrier, or back, migrates.
//!
//! TLS here hides what goes through from those who let no UDP through, and lets them see a relay with
//! its usual certificate; that agent and relay are who they say is proved inside, by QUIC, as ever.

mod hub;
mod inbox;
mod line;
mod pump;
mod queues;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;
use tokio::net::TcpStream;

use super::steer;
use crate::wire::carrier;

pub use self::hub::Carriers;
pub(super) use self::hub::Hub;
pub use self::line::Line;

/// A TLS connection over TCP after its handshake, which carries datagrams from now on.
pub struct Carrier {
    tcp: TcpStream,
    tls: rustls::Connection,
    /// What was decrypted of it and not taken yet.
    read: Vec<u8>,
}

impl Carrier {
    /// On a connection whose TLS handshake has agreed on the protocol of carriers.
    pub fn new(tcp: TcpStream, tls: impl Into<rustls::Connection>) -> Self {
        // Datagrams must not wait for the acknowledgement of others.
        drop(tcp.set_nodelay(true));
        drop(SockRef::from(&tcp).set_tcp_keepalive(&KEEP_ALIVE));
        // What the kernel has is out of QUIC's hands: it can send nothing before it.
        #[cfg(target_os = "linux")]
        drop(SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT));
        let mut tls = tls.into();
        let read = pump::decrypted(&mut tls);
        Self { tcp, tls, read }
    }

    /// Which of `of` shards the first datagram is for; `None` when that is for none of them more than
    /// for another, such as one that begins a connection. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Ended`] when there is none.
    pub async fn shard(&mut self, of: u16) -> Result<Option<u16>, Ended> {
        loop {
            if let Some(datagram) = pump::first(&self.read)? {
                return Ok(steer::shard(datagram, of));
            }
            self.tcp.readable().await.map_err(Ended::Tcp)?;
            pump::read(&self.tcp, &mut self.tls, carrier::MAX, &mut self.read)?;
        }
    }

    /// Takes it off the current runtime.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn leave(self) -> io::Result<Parked> {
        Ok(Parked {
            tcp: self.tcp.into_std()?,
            tls: self.tls,
            read: self.read,
        })
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier")
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}

/// A carrier on its way from one runtime to another.
pub struct Parked {
    tcp: std::net::TcpStream,
    tls: rustls::Connection,
    read: Vec<u8>,
}

impl Parked {
    /// Puts it on the current runtime.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn arrive(self) -> io::Result<Carrier> {
        Ok(Carrier {
            tcp: TcpStream::from_std(self.tcp)?,
            tls: self.tls,
            read: self.read,
        })
    }
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked")
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}

/// Why a carrier carries no more.
#[derive(Debug, Error)]
pub enum Ended {
    /// This end closed it.
    #[error("it was closed here")]
    Here,
    /// The peer closed it.
    #[error("the peer closed it")]
    Peer,
    /// Nothing came for too long.
    #[error("nothing came for too long")]
    Silent,
    /// The peer takes nothing.
    #[error("the peer takes nothing")]
    Stuck,
    /// No session used it.
    #[error("no session uses it")]
    Unused,
    /// The connection failed.
    #[error("the connection failed")]
    Tcp(#[source] io::Error),
    /// TLS failed.
    #[error("TLS failed")]
    Tls(#[source] rustls::Error),
    /// The peer sent something else than datagrams.
    #[error(transparent)]
    Malformed(#[from] carrier::TooLong),
}

/// Bytes that may wait in the kernel to be sent.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// After half a minute of silence, then every five seconds.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(5));
