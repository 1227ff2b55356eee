//! What answers over TCP at one address of the relay.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use adit_shared::checkup::{Row, chain};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::TCP as NAME;
use super::head::{Head, head};
use super::trust::{Shown, Witness};
use crate::ui::brief;

/// What came of one address.
pub(super) struct Reached {
    address: SocketAddr,
    outcome: Outcome,
    shown: Option<Shown>,
}

enum Outcome {
    NoConnection(io::Error),
    Connected { took: Duration, spoken: Spoken },
}

/// What is spoken there.
enum Spoken {
    /// TLS that is trusted; and what the time is there, if it says so.
    Tls(Option<SystemTime>),
    /// TLS that is not trusted.
    Untrusted,
    /// HTTP without TLS.
    Plain(Head),
    Other(String),
}

/// Connects, makes a TLS handshake, and asks for the head of a page. Safe to drop.
pub(super) async fn reach(address: SocketAddr, host: &str, witness: &Witness) -> Reached {
    let witness = witness.another();
    let begun = Instant::now();
    let outcome = match connect(address).await {
        Ok(stream) => Outcome::Connected {
            took: begun.elapsed(),
            spoken: spoken(stream, address, host, &witness).await,
        },
        Err(error) => Outcome::NoConnection(error),
    };
    Reached {
        address,
        outcome,
        shown: witness.shown(),
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connected = timeout(CONNECT, TcpStream::connect(address)).await;
    connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn spoken(stream: TcpStream, address: SocketAddr, host: &str, witness: &Witness) -> Spoken {
    let (tls, name) = match (
        witness.client(b"http/1.1"),
        ServerName::try_from(host.to_owned()),
    ) {
        (Ok(tls), Ok(name)) => (tls, name),
        (Err(error), _) => return Spoken::Other(chain(&error)),
        (_, Err(error)) => return Spoken::Other(chain(&error)),
    };
    let why = match timeout(TLS, TlsConnector::from(tls).connect(name, stream)).await {
        Ok(Ok(mut stream)) => {
            let head = timeout(ANSWER, head(&mut stream, host)).await;
            return Spoken::Tls(head.ok().flatten().and_then(|head| head.date));
        }
        Ok(Err(_)) if witness.has_refused() => return Spoken::Untrusted,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer to a TLS handshake".to_owned(),
    };
    // What does not understand TLS may understand HTTP.
    let plain = async {
        let mut stream = connect(address).await.ok()?;
        head(&mut stream, host).await
    };
    match timeout(ANSWER, plain).await {
        Ok(Some(head)) => Spoken::Plain(head),
        Ok(None) | Err(_) => Spoken::Other(why),
    }
}

impl Reached {
    /// The certificate there.
    pub(super) fn shown(&self) -> Option<Shown> {
        self.shown.clone()
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.outcome, Outcome::Connected { .. })
    }

    /// What the relay says the time is.
    pub(super) fn date(&self) -> Option<SystemTime> {
        match &self.outcome {
            Outcome::Connected {
                spoken: Spoken::Tls(date),
                ..
            } => *date,
            _ => None,
        }
    }

    /// What answers instead of TLS.
    pub(super) fn plain(&self) -> Option<&Head> {
        match &self.outcome {
            Outcome::Connected {
                spoken: Spoken::Plain(head),
                ..
            } => Some(head),
            _ => None,
        }
    }

    /// Whether TLS is spoken there that is trusted.
    pub(super) fn is_trusted(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Connected {
                spoken: Spoken::Tls(_),
                ..
            }
        )
    }

    pub(super) fn row(&self) -> Row {
        let at = self.address;
        let error = match &self.outcome {
            Outcome::Connected {
                spoken: Spoken::Other(why),
                ..
            } => {
                return Row::fail(
                    NAME,
                    format!("{at} accepts connections, and speaks no TLS: {why}"),
                    "check host and port; visitors' HTTPS needs the relay's --https there",
                );
            }
            Outcome::Connected { took, .. } => {
                return Row::ok(NAME, format!("{at} connects in {}", brief(*took)));
            }
            Outcome::NoConnection(error) => error,
        };
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Row::fail(
                NAME,
                format!("{at} refuses: no program listens there"),
                "agents need it only where udp is blocked; for that, and for visitors, start the relay with --https at that port",
            ),
            io::ErrorKind::TimedOut => Row::fail(
                NAME,
                format!("no answer from {at}"),
                "check that the relay runs, and that firewalls let tcp to that port through",
            ),
            _ => Row::fail(
                NAME,
                format!("cannot connect to {at}: {error}"),
                "check this machine's network, its firewall and its VPN",
            ),
        }
    }
}

const CONNECT: Duration = Duration::from_millis(2500);
const TLS: Duration = Duration::from_millis(1500);
const ANSWER: Duration = Duration::from_millis(1500);
