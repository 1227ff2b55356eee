//! Whether QUIC gets through to one address.

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use adit_shared::checkup::{Row, chain};
use adit_shared::quic::endpoint::{DialError, Dialer};
use adit_shared::quic::{Connection, Lost};
use adit_shared::wire;
use adit_shared::wire::code::Close;
use tokio::net::UdpSocket;
use tokio::time::{interval, timeout};

use super::trust::{Shown, Witness};
use crate::ui::brief;

/// What came of one address.
pub(super) struct Reached {
    address: SocketAddr,
    outcome: Outcome,
    shown: Option<Shown>,
}

enum Outcome {
    Connected(Box<Dialer>, Connection, Duration),
    /// QUIC is spoken, and the certificate is not good enough.
    Untrusted,
    /// No program listens there.
    Refused,
    /// The system does not let us send.
    Blocked(io::Error),
    /// No answer at all, or only to what needs no handshake.
    Silent {
        spoke: bool,
    },
    Failed(String, &'static str),
}

/// Makes a handshake, and asks beside it with a packet that every QUIC server answers and every
/// closed port rejects. Safe to drop.
pub(super) async fn reach(address: SocketAddr, host: &str, witness: &Witness) -> Reached {
    let witness = witness.another();
    let spoke = Cell::new(false);
    let handshake = async {
        let dialer = match Dialer::bind(address) {
            Ok(dialer) => dialer,
            Err(error) => return Outcome::Failed(chain(&error), NO_SOCKET),
        };
        let tls = match witness.client(wire::ALPN) {
            Ok(tls) => tls,
            Err(error) => return Outcome::Failed(chain(&error), super::TRUST_FIX),
        };
        let begun = Instant::now();
        match timeout(PATIENCE, dialer.dial(address, host, tls)).await {
            Ok(Ok(connection)) => Outcome::Connected(Box::new(dialer), connection, begun.elapsed()),
            Err(_) | Ok(Err(DialError::Lost(Lost::TimedOut))) => {
                Outcome::Silent { spoke: spoke.get() }
            }
            Ok(Err(DialError::Lost(Lost::Version))) => {
                Outcome::Failed(Lost::Version.to_string(), SAME_VERSION)
            }
            Ok(Err(_)) if witness.has_refused() => Outcome::Untrusted,
            Ok(Err(error)) => Outcome::Failed(chain(&error), LOOK_AT_LOG),
        }
    };
    let rejected = async {
        match ask(address, &spoke).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::Refused,
            Err(error) => Outcome::Blocked(error),
            // That it answers says less than the handshake will.
            Ok(()) => pending().await,
        }
    };
    let outcome = tokio::select! {
        biased;
        outcome = handshake => outcome,
        outcome = rejected => outcome,
    };
    Reached {
        address,
        outcome,
        shown: witness.shown(),
    }
}

impl Reached {
    /// The certificate there.
    pub(super) fn shown(&self) -> Option<Shown> {
        self.shown.clone()
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        match &self.outcome {
            Outcome::Connected(_, connection, _) => Some(connection),
            _ => None,
        }
    }

    /// Where a connection was made.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.connection().map(|_| self.address)
    }

    /// The relay learns the end of the connection a moment sooner; nothing depends on it.
    pub(super) async fn close(&self) {
        if let Outcome::Connected(dialer, connection, _) = &self.outcome {
            connection.close(Close::Goodbye, "doctor");
            drop(timeout(GOODBYE, dialer.wait_idle()).await);
        }
    }

    /// `tcp_answers` tells what takes no UDP from what is not there.
    pub(super) fn row(&self, tcp_answers: bool) -> Row {
        let at = self.address;
        match &self.outcome {
            Outcome::Connected(_, _, took) => {
                Row::ok(NAME, format!("{at} answers, handshake in {}", brief(*took)))
            }
            Outcome::Untrusted => Row::ok(NAME, format!("{at} answers")),
            Outcome::Refused => Row::fail(
                NAME,
                format!("{at} refuses: no program listens there for QUIC"),
                "start the relay, or give the port that it says when it starts: --relay HOST:PORT",
            ),
            Outcome::Blocked(error) if is_unroutable(error) && tcp_answers => Row::fail(
                NAME,
                format!("{at} is blocked: tcp is answered there, and udp is rejected: {error}"),
                LET_UDP_OUT,
            ),
            Outcome::Blocked(error) if is_unroutable(error) => Row::fail(
                NAME,
                format!("there is no way to {at}: {error}"),
                "check this machine's network, its routes and its VPN",
            ),
            Outcome::Blocked(error) => Row::fail(
                NAME,
                format!("{at} is blocked on this machine: {error}"),
                "have this machine's firewall let udp to that port out",
            ),
            Outcome::Silent { spoke: true } => Row::fail(
                NAME,
                format!("{at} answers, and no handshake comes to its end"),
                "something on the way drops or changes QUIC: try another network, or without VPN",
            ),
            Outcome::Silent { spoke: false } if tcp_answers => Row::fail(
                NAME,
                format!("{at} is blocked: tcp is answered there, and udp is not"),
                LET_UDP_OUT,
            ),
            Outcome::Silent { spoke: false } => Row::fail(
                NAME,
                format!("no answer from {at}, over udp or tcp"),
                "check that the relay runs, its address and port, and that this machine is online",
            ),
            Outcome::Failed(why, fix) => Row::fail(NAME, format!("{at}: {why}"), *fix),
        }
    }
}

/// Sends packets of a QUIC version that nobody has, until one is answered (RFC 9000 section 6).
/// A connected socket hears of ports that are closed, which those under connections do not.
async fn ask(address: SocketAddr, spoke: &Cell<bool>) -> io::Result<()> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    let (packet, mut answer) = (question(), [0; 1500]);
    let mut again = interval(AGAIN);
    loop {
        tokio::select! {
            biased;
            received = socket.recv(&mut answer) => {
                let len = received?;
                if is_answer(&answer[..len]) {
                    spoke.set(true);
                    return Ok(());
                }
            }
            _ = again.tick() => {
                socket.send(&packet).await?;
            }
        }
    }
}

/// A long header with a version that is reserved for this (RFC 9000 section 15), as large as a
/// first packet has to be.
fn question() -> [u8; 1200] {
    let mut packet = [0; 1200];
    packet[..5].copy_from_slice(&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a]);
    for id in [5, 14] {
        packet[id] = 8;
        packet[id + 1..id + 9].copy_from_slice(&OUR_ID);
    }
    packet
}

/// Version negotiation that was meant for us (RFC 8999 section 6).
fn is_answer(packet: &[u8]) -> bool {
    packet.len() > 14
        && packet[0] & 0x80 != 0
        && packet[1..6] == [0, 0, 0, 0, 8]
        && packet[6..14] == OUR_ID
}

fn is_unroutable(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::NetworkUnreachable | K::HostUnreachable | K::AddrNotAvailable
    )
}

const NAME: &str = "udp";
const OUR_ID: [u8; 8] = *b"adit-doc";
/// Three attempts of the QUIC library fall into it, with the second half a second after the first.
const PATIENCE: Duration = Duration::from_millis(3500);
const AGAIN: Duration = Duration::from_millis(700);
const GOODBYE: Duration = Duration::from_millis(200);
const LET_UDP_OUT: &str = "have udp to that port let out of this network, and into the relay's: \
                           firewalls, guest Wi-Fi and VPNs often take only tcp";
const NO_SOCKET: &str = "allow this program to open udp sockets";
const SAME_VERSION: &str = "install the same version of agent and relay";
const LOOK_AT_LOG: &str =
    "see what the relay's log says; if another program has its port, give the relay's";
