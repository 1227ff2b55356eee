//! A QUIC connection to the relay: over UDP, or inside TLS over TCP where UDP does not get through.

use std::io;
use std::mem;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use adit_shared::quic::carrier::Line;
use adit_shared::quic::endpoint::{self, Dialer, EndpointError};
use adit_shared::quic::tls::TlsError;
use adit_shared::quic::tuning::Window;
use adit_shared::quic::{Connection, Lost, Transport};
use adit_shared::task::Tasks;
use adit_shared::wire::code::Close;
use futures_util::stream::{self, FuturesUnordered, Stream, StreamExt as _};
use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::carry::{self, CarryError};
use super::peer::Peer;
use crate::config::TransportChoice;

/// A connection, and the way that it goes.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) dialer: Dialer,
    pub(super) connection: Connection,
    pub(super) way: Way,
}

/// How the relay is reached.
#[derive(Debug)]
pub(super) struct Way {
    /// The relay's address; `None` when only a proxy knows it.
    pub(super) remote: Option<SocketAddr>,
    /// The carrier, over TCP.
    pub(super) line: Option<Line>,
}

impl Way {
    /// Over which transport it goes.
    pub(super) fn kind(&self) -> Transport {
        match self.line {
            Some(_) => Transport::Tcp,
            None => Transport::Udp,
        }
    }
}

/// Dials the addresses of the relay, each a little after the one before, until one answers. UDP and TCP
/// are tried at once, but UDP `head_start` earlier. Safe to drop.
///
/// # Errors
///
/// [`DialError`] of the last address.
pub(super) async fn dial(
    peer: &Peer,
    window: Window,
    head_start: Duration,
    tasks: &Tasks,
) -> Result<Dialled, DialError> {
    let addresses = match peer.addresses().await {
        Ok(addresses) if addresses.is_empty() => {
            return Err(DialError::NoAddress(peer.host.clone()));
        }
        Ok(addresses) => addresses.into_iter().map(Some).collect(),
        // Where there is a proxy, it may be the only one who knows names outside.
        Err(_) if peer.proxy.is_some() && peer.transport != TransportChoice::Udp => vec![None],
        Err(error) => return Err(DialError::Resolve(peer.host.clone(), error)),
    };
    let none = || DialError::NoAddress(peer.host.clone());
    let udp = {
        let addresses = stream::iter(addresses.iter().flatten().copied());
        let attempt = |address| over_udp(peer, address, window);
        first(addresses, attempt, none())
    };
    let tcp = {
        let addresses = stream::iter(addresses.iter().copied());
        let attempt = |address| over_tcp(peer, address, window, tasks);
        first(addresses, attempt, none())
    };
    either(peer.transport, head_start, udp, tcp).await
}

/// The first of two ways that leads to the relay, of which UDP begins `head_start` earlier.
pub(super) async fn either<T>(
    transport: TransportChoice,
    head_start: Duration,
    udp: impl Future<Output = Result<T, DialError>>,
    tcp: impl Future<Output = Result<T, DialError>>,
) -> Result<T, DialError> {
    match transport {
        TransportChoice::Udp => return udp.await,
        TransportChoice::Tcp => return tcp.await,
        TransportChoice::Auto => {}
    }
    let later = async {
        sleep(head_start).await;
        tcp.await
    };
    let (mut udp, mut tcp) = (pin!(udp), pin!(later));
    let (udp, tcp) = tokio::select! {
        biased;
        done = &mut udp => match done {
            Err(error) if !error.is_final() => (error, tcp.await),
            settled => return settled,
        },
        done = &mut tcp => match done {
            Err(error) if !error.is_final() => match udp.await {
                Err(udp) if !udp.is_final() => (udp, Err(error)),
                settled => return settled,
            },
            settled => return settled,
        },
    };
    tcp.map_err(|tcp| match udp {
        _ if tcp.is_final() => tcp,
        // It answers there: what is wrong is not the way.
        DialError::Untrusted { .. } => udp,
        _ => DialError::Neither(Box::new(udp), Box::new(tcp)),
    })
}

/// How the first `attempt` succeeds that is made with one of `addresses`. Each begins a little after the one
/// before (RFC 8305), or as soon as that has failed. Safe to drop.
///
/// # Errors
///
/// [`DialError`] of the attempt that failed last, or of one that is final, or `none` without an address.
pub(super) async fn first<A, T, F: Future<Output = Result<T, DialError>>>(
    addresses: impl Stream<Item = A>,
    attempt: impl Fn(A) -> F,
    none: DialError,
) -> Result<T, DialError> {
    let mut addresses = pin!(addresses.fuse());
    let mut attempts: FuturesUnordered<F> = FuturesUnordered::new();
    let mut last = none;
    loop {
        let pause = if attempts.is_empty() {
            Duration::ZERO
        } else {
            APART
        };
        let are_more = !addresses.is_done();
        let next = async {
            sleep(pause).await;
            addresses.next().await
        };
        tokio::select! {
            biased;
            Some(ended) = attempts.next() => match ended {
                Err(error) if !error.is_final() => last = error,
                settled => return settled,
            },
            address = next, if are_more => attempts.extend(address.map(&attempt)),
            else => return Err(last),
        }
    }
}

pub(super) async fn over_udp(
    peer: &Peer,
    address: SocketAddr,
    window: Window,
) -> Result<Dialled, DialError> {
    let dialer = Dialer::bind(address)?
        .with_window(window)
        .with_congestion(peer.congestion);
    let connection = handshake(peer, &dialer, address).await?;
    Ok(Dialled {
        dialer,
        connection,
        way: Way {
            remote: Some(address),
            line: None,
        },
    })
}

pub(super) async fn over_tcp(
    peer: &Peer,
    address: Option<SocketAddr>,
    window: Window,
    tasks: &Tasks,
) -> Result<Dialled, DialError> {
    let remote = address.unwrap_or_else(|| nowhere(peer));
    let line = carry::line(peer, remote, remote, tasks).await?;
    let dialer = Dialer::over(&line, remote)?
        .with_window(window)
        .with_congestion(peer.congestion);
    let connection = handshake(peer, &dialer, remote).await?;
    Ok(Dialled {
        dialer,
        connection,
        way: Way {
            remote: address,
            line: Some(line),
        },
    })
}

/// What QUIC takes for the address of a relay whose address only a proxy knows.
pub(super) fn nowhere(peer: &Peer) -> SocketAddr {
    SocketAddr::new(NOWHERE.into(), peer.port)
}

/// Finds out whether UDP gets through to `address` and back, with a connection of its own. Safe to
/// drop.
///
/// # Errors
///
/// [`DialError`].
pub(super) async fn probe(peer: &Peer, address: SocketAddr) -> Result<(), DialError> {
    let found = over_udp(peer, address, Window::ByPath).await?;
    found.connection.close(Close::Goodbye, "");
    Ok(())
}

async fn handshake(
    peer: &Peer,
    dialer: &Dialer,
    address: SocketAddr,
) -> Result<Connection, DialError> {
    let tls = peer.tls()?.quic;
    let unanswered = Unanswered(dialer);
    let dialled = timeout(ATTEMPT, dialer.dial(address, peer.server_name(), tls)).await;
    let Ok(dialled) = dialled else {
        return Err(DialError::Silent(address));
    };
    mem::forget(unanswered);
    dialled.map_err(|error| explain(error, peer, address))
}

/// An attempt that got no answer. Dropped, it is given up.
struct Unanswered<'a>(&'a Dialer);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// What a failed handshake means for the user.
fn explain(error: endpoint::DialError, peer: &Peer, address: SocketAddr) -> DialError {
    let endpoint::DialError::Lost(lost) = error else {
        return DialError::Start(error.to_string());
    };
    match lost {
        Lost::TimedOut => DialError::Silent(address),
        Lost::Closed { code, reason } if code.is_final() => DialError::Refused(reason),
        // Verifying a certificate is tried again when its owner may have mended it.
        Lost::Transport(text) if text.contains("certificate") || text.contains("pinned") => {
            let by_name = peer.is_named();
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
    /// Nothing came back to many attempts.
    #[error("no answer from {0} over UDP; is the relay running there, and UDP allowed on the way?")]
    Unanswered(String),
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
    /// TCP does not lead to it.
    #[error(transparent)]
    Carry(#[from] CarryError),
    /// Neither UDP nor TCP leads to it.
    #[error("{0}{between} {1}", between = between(.0))]
    Neither(Box<Self>, Box<Self>),
}

impl DialError {
    /// Whether the relay itself has spoken, so that no other way makes a difference.
    fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// Some failures over UDP are told with a question.
fn between(udp: &DialError) -> &'static str {
    match udp {
        DialError::Silent(_) | DialError::Unanswered(_) => " Over TCP:",
        _ => "; over TCP:",
    }
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
/// How much later than the one before an address is tried.
const APART: Duration = Duration::from_millis(300);
/// How long UDP is tried alone, in the spirit of RFC 8305: a few round trips on most ways.
pub(super) const HEAD_START: Duration = Duration::from_millis(300);
/// Of the block of addresses that lead nowhere (RFC 6666).
const NOWHERE: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    async fn dial(address: &str) -> Result<&str, DialError> {
        match address {
            "dead" => pending().await,
            "closed" => Err(DialError::Start(address.into())),
            "busy" => Err(DialError::Refused(address.into())),
            alive => Ok(alive),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_says_nothing_keeps_none_from_another() {
        let began = Instant::now();
        let none = || DialError::NoAddress("relay".into());
        let addresses = stream::iter(["dead", "closed", "dead", "::1", "dead"]);
        let found = first(addresses, dial, none()).await;
        assert_eq!(found.unwrap(), "::1");
        assert!(began.elapsed() <= APART * 4, "{:?}", began.elapsed());
        // Names may be found later than the address that is known.
        let late = stream::once(async {
            sleep(ATTEMPT).await;
            "::1"
        });
        let addresses = stream::iter(["closed"]).chain(late);
        assert_eq!(first(addresses, dial, none()).await.unwrap(), "::1");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_both_ways_is_told_in_one_sentence() {
        let both = async |udp| {
            let tcp = async { Err::<(), _>(DialError::Start("closed".into())) };
            let found = either(TransportChoice::Auto, HEAD_START, async { Err(udp) }, tcp);
            found.await.unwrap_err().to_string()
        };
        assert_eq!(
            both(DialError::Start("reset".into())).await,
            "reset; over TCP: closed"
        );
        let silent = both(DialError::Unanswered("relay".into())).await;
        assert!(silent.ends_with("on the way? Over TCP: closed"), "{silent}");
        // It has answered, so TCP is not what is wrong.
        let text = "expired".to_owned();
        let untrusted = both(DialError::Untrusted {
            text,
            by_name: true,
        })
        .await;
        assert!(!untrusted.contains("TCP"), "{untrusted}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_is_told_and_a_refusal_ends_it() {
        let none = || DialError::NoAddress("relay".into());
        let error = first(stream::iter([""; 0]), dial, none())
            .await
            .unwrap_err();
        assert!(matches!(error, DialError::NoAddress(_)));
        let addresses = stream::iter(["closed", "closed"]);
        let error = first(addresses, dial, none()).await.unwrap_err();
        assert!(matches!(error, DialError::Start(_)));
        let addresses = stream::iter(["dead", "busy", "::1"]);
        let error = first(addresses, dial, none()).await.unwrap_err();
        assert!(matches!(error, DialError::Refused(_)));
    }
}
