//! The only place that names the QUIC library: its settings, its certificates, its endpoints and
//! its errors as the rest of the program sees them.

pub mod capacity;
pub mod carrier;
mod congestion;
pub mod endpoint;
mod gate;
pub mod keys;
pub mod route;
mod socket;
pub mod steer;
pub mod tls;
pub mod tuning;
mod visitor;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use quinn::VarInt;
use thiserror::Error;

pub use quinn::{RecvStream, SendStream};

pub use self::congestion::{BadCongestion, Congestion};
pub use self::steer::MAX_SHARDS;
pub use self::visitor::{HTTP3, stream_number};

use self::carrier::Carriers;
use self::gate::Gate;
use crate::wire::code::{Close, Reset};

/// One QUIC connection. Cheap to clone; the connection goes on until it is closed or every clone
/// and every stream of it is gone.
#[derive(Clone, Debug)]
pub struct Connection {
    quic: quinn::Connection,
    window: u32,
    gate: Gate,
    /// Those that the peer may be behind, at the end that listens.
    carriers: Option<Carriers>,
}

impl Connection {
    fn new(quic: quinn::Connection, window: u32, gate: Gate, carriers: Option<Carriers>) -> Self {
        Self {
            quic,
            window,
            gate,
            carriers,
        }
    }

    /// Opens a bidirectional stream; waits while the peer permits no further one. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Lost`] when the connection ended.
    pub async fn open(&self) -> Result<(SendStream, RecvStream), Lost> {
        self.quic.open_bi().await.map_err(Lost::from)
    }

    /// The next bidirectional stream that the peer opened. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Lost`] when the connection ended.
    pub async fn accept(&self) -> Result<(SendStream, RecvStream), Lost> {
        self.quic.accept_bi().await.map_err(Lost::from)
    }

    /// Ends the connection at once: what is not delivered is lost, so drain streams first.
    pub fn close(&self, code: Close, reason: &str) {
        self.gate.close_connection();
        self.quic
            .close(VarInt::from_u32(code.number()), reason.as_bytes());
    }

    /// Ends when the connection has ended, and says why. Safe to drop.
    pub async fn closed(&self) -> Lost {
        self.quic.closed().await.into()
    }

    /// Keying material that only the two ends of this connection know (RFC 8446 section 7.5);
    /// nothing when TLS gives none.
    pub fn export(&self, label: &[u8]) -> Option<[u8; 32]> {
        let mut material = [0; 32];
        let exported = self.quic.export_keying_material(&mut material, label, &[]);
        exported.ok().map(|()| material)
    }

    /// Why the connection ended, if it has.
    pub fn close_reason(&self) -> Option<Lost> {
        self.quic.close_reason().map(Lost::from)
    }

    /// Where the peer is now; it changes when the peer migrates. For one behind a carrier, the other
    /// end of its TCP connection.
    pub fn remote(&self) -> SocketAddr {
        let address = self.quic.remote_address();
        self.peer_of_carrier(address).unwrap_or(address)
    }

    /// How the peer is reached now, as the end that listens sees it; the other end knows what it
    /// dialled.
    pub fn transport(&self) -> Transport {
        match self.peer_of_carrier(self.quic.remote_address()) {
            Some(_) => Transport::Tcp,
            None => Transport::Udp,
        }
    }

    /// Keeps the carrier that is in use, if one is; see [`Carriers::sweep`].
    pub fn keep_carrier(&self) {
        if let Some(carriers) = &self.carriers {
            carriers.note_use(self.quic.remote_address());
        }
    }

    fn peer_of_carrier(&self, address: SocketAddr) -> Option<SocketAddr> {
        self.carriers.as_ref()?.peer(address)
    }

    /// The smoothed round-trip time of the path in use.
    pub fn rtt(&self) -> Duration {
        self.quic.rtt()
    }

    /// What is known of the path in use.
    pub fn path(&self) -> Path {
        let stats = self.quic.stats();
        Path {
            received: stats.udp_rx.datagrams,
            rtt: stats.path.rtt,
            sent: stats.path.sent_packets,
            lost: stats.path.lost_packets,
            bytes: stats.udp_tx.bytes,
        }
    }

    /// What packets have found out about the path in use.
    pub fn packets(&self) -> Packets {
        let stats = self.quic.stats();
        Packets {
            largest: stats.path.current_mtu,
            probes: stats.path.sent_plpmtud_probes,
            challenges: stats.frame_rx.path_challenge,
        }
    }

    /// Whether the peer takes datagrams (RFC 9221).
    pub fn takes_datagrams(&self) -> bool {
        self.quic.max_datagram_size().is_some()
    }

    /// Sends a datagram at once, past a full congestion window; a few packets of what else waits to
    /// be sent go with it. It may get lost, as when the peer takes none.
    pub fn knock(&self, datagram: Bytes) {
        self.gate.open_once();
        if let Err(error) = self.quic.send_datagram(datagram) {
            tracing::trace!(%error, "no datagram sent");
        }
    }

    /// The next datagram that the peer sent. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Lost`] when the connection ended.
    pub async fn datagram(&self) -> Result<Bytes, Lost> {
        self.quic.read_datagram().await.map_err(Lost::from)
    }

    /// How many bytes one stream may hold here that nobody reads.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// After the handshake with a peer that proved itself: lets it use as much of the connection
    /// as its streams allow. The connection's window must never be what binds, or one exchange
    /// that stalls stops all of them.
    pub fn lift_connection_window(&self) {
        self.quic.set_receive_window(VarInt::MAX);
    }
}

/// What QUIC's datagrams travel in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transport {
    /// UDP, as QUIC is meant.
    Udp,
    /// A carrier: TLS over TCP, where UDP is blocked.
    Tcp,
}

impl Transport {
    /// As a word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// What is known of the path in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// UDP datagrams of the peer that came so far, on this path and on those before.
    pub received: u64,
    /// The smoothed round-trip time.
    pub rtt: Duration,
    /// Packets that were sent, on this path and on those before.
    pub sent: u64,
    /// Those of them that did not arrive, as far as is known.
    pub lost: u64,
    /// Bytes in those that were sent.
    pub bytes: u64,
}

/// Why a connection ended.
#[derive(Clone, Debug, Error)]
pub enum Lost {
    /// The peer closed it and said why.
    #[error("the peer closed the connection: {code}{}", reason_suffix(.reason))]
    Closed {
        /// The code of the application.
        code: Close,
        /// A sentence for people; may be empty.
        reason: String,
    },
    /// We closed it.
    #[error("the connection was closed here")]
    Local,
    /// Nothing was heard for too long.
    #[error("nothing was heard from the peer for too long")]
    TimedOut,
    /// The peer has forgotten the connection, most likely because it was restarted.
    #[error("the peer does not know the connection any more")]
    Forgotten,
    /// The peers have no protocol version in common.
    #[error("the peer speaks no common protocol version: one of the two programs is too old")]
    Version,
    /// The handshake or the transport failed.
    #[error("{0}")]
    Transport(String),
}

/// What packets have found out about a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packets {
    /// The largest datagram that has got through so far, in bytes (RFC 8899).
    pub largest: u16,
    /// How many were sent to find that out.
    pub probes: u64,
    /// How often the peer asked whether we are where it sees us: it does when we seem to come from
    /// another address than before (RFC 9000 section 9.3).
    pub challenges: u64,
}

fn reason_suffix(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    }
}

impl From<quinn::ConnectionError> for Lost {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as E;
        match error {
            E::ApplicationClosed(close) => Self::Closed {
                code: Close::from_number(close.error_code.into_inner()),
                reason: printable(&String::from_utf8_lossy(&close.reason)),
            },
            E::LocallyClosed => Self::Local,
            E::TimedOut => Self::TimedOut,
            E::Reset => Self::Forgotten,
            E::VersionMismatch => Self::Version,
            // TLS alert 120: no application protocol in common (RFC 7301 section 3.2).
            E::ConnectionClosed(close) if close.error_code == quinn_alert(120) => Self::Version,
            E::TransportError(error) if error.code == quinn_alert(120) => Self::Version,
            E::ConnectionClosed(close) => Self::Transport(printable(&close.to_string())),
            // What TLS says is clear enough without the number of its alert.
            E::TransportError(error) if !error.reason.is_empty() => {
                Self::Transport(printable(&error.reason))
            }
            E::TransportError(error) => Self::Transport(error.to_string()),
            E::CidsExhausted => Self::Transport("connection ids are exhausted".into()),
        }
    }
}

/// What a peer says about its end goes to logs and terminals, where it must stay on its line.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn quinn_alert(alert: u8) -> quinn::TransportErrorCode {
    quinn::TransportErrorCode::crypto(alert)
}

/// Why nothing more can be read from a stream.
#[derive(Clone, Debug, Error)]
pub enum ReadError {
    /// The peer gave the stream up.
    #[error("the peer reset the stream: {0}")]
    Reset(Reset),
    /// The connection ended.
    #[error("the connection was lost")]
    Lost(#[source] Lost),
}

impl From<quinn::ReadError> for ReadError {
    fn from(error: quinn::ReadError) -> Self {
        use quinn::ReadError as E;
        match error {
            E::Reset(code) => Self::Reset(Reset::from_number(code.into_inner())),
            E::ConnectionLost(lost) => Self::Lost(lost.into()),
            E::ClosedStream | E::IllegalOrderedRead | E::ZeroRttRejected => {
                Self::Reset(Reset::Internal)
            }
        }
    }
}

/// Why nothing more can be written to a stream.
#[derive(Clone, Debug, Error)]
pub enum WriteError {
    /// The peer does not want the rest.
    #[error("the peer stopped reading: {0}")]
    Stopped(Reset),
    /// The connection ended.
    #[error("the connection was lost")]
    Lost(#[source] Lost),
}

impl From<quinn::WriteError> for WriteError {
    fn from(error: quinn::WriteError) -> Self {
        use quinn::WriteError as E;
        match error {
            E::Stopped(code) => Self::Stopped(Reset::from_number(code.into_inner())),
            E::ConnectionLost(lost) => Self::Lost(lost.into()),
            E::ClosedStream | E::ZeroRttRejected => Self::Stopped(Reset::Internal),
        }
    }
}

/// A code that is too large for QUIC, which none is, becomes the largest.
pub(crate) fn code_number(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}
