//! In what a session travels: UDP, or a carrier over TCP where UDP does not get through. To change is to
//! migrate: exchanges go on.
//!
//! Over TCP, UDP is tried again from time to time, with a connection of its own, and the session goes
//! there when it works. When the way in use is dead, both are tried, UDP first. When UDP works but loses much,
//! TCP is tried by going there.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use adit_shared::quic::carrier::Line;
use adit_shared::quic::endpoint::Dialer;
use adit_shared::quic::{Connection, Transport as Kind};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tracing::{debug, info, warn};

use super::Agent;
use super::carry::{self, CarryError};
use super::dial::{self, DialError, Dialled, Way};
use super::peer::Peer;
use super::strangled::{Advice, LOOK, Strangled};
use crate::config::TransportChoice;
use crate::status::Event;

/// In what one session travels.
pub(super) struct Transport<'a> {
    agent: &'a Agent,
    peer: &'a Peer,
    dialer: &'a Dialer,
    connection: &'a Connection,
    way: Way,
    /// How UDP fares, looked at with each tick, and the carrier that is dialled because of it.
    strangled: Strangled,
    ticks: Interval,
    relief: Option<Relief<'a>>,
    /// The trial of UDP that goes on.
    probe: Option<Probe<'a>>,
    /// How long to wait until UDP is tried again, and when that is.
    pause: Duration,
    climb: Instant,
    /// When the session came from TCP to UDP last.
    since: Option<Instant>,
}

type Probe<'a> = Pin<Box<dyn Future<Output = Result<(), DialError>> + Send + 'a>>;
type Relief<'a> = Pin<Box<dyn Future<Output = Result<Line, CarryError>> + Send + 'a>>;

/// What there is to know about the way in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// The session has moved to a better one.
    Moved,
    /// It leads nowhere any more.
    Broken,
}

/// A way to the relay.
pub(super) enum Found {
    /// Over UDP, with a connection that has shown it.
    Udp(Box<Dialled>),
    /// Over TCP.
    Tcp(Line),
}

impl<'a> Transport<'a> {
    /// Of the session of `connection` on `dialer` that goes `way`.
    pub(super) fn new(
        agent: &'a Agent,
        peer: &'a Peer,
        dialer: &'a Dialer,
        connection: &'a Connection,
        way: Way,
    ) -> Self {
        let now = Instant::now();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let transport = Self {
            agent,
            peer,
            dialer,
            connection,
            way,
            strangled: Strangled::new(now, &connection.path()),
            ticks,
            relief: None,
            probe: None,
            pause: FIRST_PAUSE,
            climb: now + FIRST_PAUSE,
            since: None,
        };
        if transport.kind() == Kind::Tcp && transport.may_be_tcp() {
            transport.tell(false);
        }
        transport
    }

    /// Which it is.
    pub(super) fn kind(&self) -> Kind {
        self.way.kind()
    }

    /// Waits for something to know about the way in use. Safe to drop: what was begun goes on with the
    /// next call.
    pub(super) async fn turn(&mut self) -> Turn {
        loop {
            let Some(line) = &self.way.line else {
                if self.relieve().await {
                    return Turn::Moved;
                }
                continue;
            };
            let climbs = self.peer.transport == TransportChoice::Auto;
            let remote = self.way.remote.filter(|_| climbs);
            let outcome = tokio::select! {
                biased;
                () = line.ended() => {
                    debug!("the carrier has ended");
                    return Turn::Broken;
                }
                outcome = async {
                    match &mut self.probe {
                        Some(probe) => probe.await,
                        None => pending().await,
                    }
                } => outcome,
                _ = self.ticks.tick(), if self.strangled.is_trying() => {
                    self.look();
                    continue;
                }
                () = sleep_until(self.climb), if self.probe.is_none() => {
                    match remote {
                        Some(remote) => {
                            self.probe = Some(Box::pin(dial::probe(self.peer, remote)));
                        }
                        None => self.climb += LAST_PAUSE,
                    }
                    continue;
                }
            };
            self.probe = None;
            match outcome {
                Ok(()) if self.go_udp() => return Turn::Moved,
                Ok(()) => {}
                Err(why) => debug!(%why, "no UDP yet"),
            }
            self.wait_longer();
        }
    }

    /// Over UDP: waits until there is a carrier that is worth a trial, or until there is none after all. Says whether the
    /// session goes there. Safe to drop, as [`turn`](Self::turn) is.
    async fn relieve(&mut self) -> bool {
        if self.peer.transport != TransportChoice::Auto {
            return pending().await;
        }
        if let Some(relief) = &mut self.relief {
            let line = relief.await;
            self.relief = None;
            match line {
                Ok(line) => {
                    self.go_tcp(line);
                    return self.kind() == Kind::Tcp;
                }
                Err(why) => {
                    debug!(%why, "UDP loses much, and TCP leads nowhere");
                    self.strangled.rest(Instant::now());
                }
            }
        }
        self.ticks.tick().await;
        self.look();
        false
    }

    /// Looks how the way in use fares, and does what that calls for.
    fn look(&mut self) {
        let now = Instant::now();
        let advice = self
            .strangled
            .look(now, self.kind(), &self.connection.path());
        match advice {
            None => {}
            Some(Advice::Try) => {
                let known = self.way.remote.unwrap_or_else(|| dial::nowhere(self.peer));
                let line = carry::line(self.peer, known, known, &self.agent.tasks);
                self.relief = Some(Box::pin(line));
            }
            Some(Advice::Stay { times }) => {
                info!(times, "TCP is faster than UDP here");
                self.pause = LAST_PAUSE;
                self.climb = now + LAST_PAUSE;
            }
            Some(Advice::Return) => {
                info!("TCP is no faster than UDP here");
                self.climb = now;
            }
        }
    }

    /// This machine is in another network: UDP is tried again soon, and nothing is known of how it fares.
    pub(super) fn elsewhere(&mut self) {
        self.relief = None;
        self.strangled = Strangled::new(Instant::now(), &self.connection.path());
        self.pause = FIRST_PAUSE;
        self.climb = Instant::now();
    }

    /// Looks for any way: at the address in use, and at all others that the relay's name has by now. Safe to
    /// drop.
    ///
    /// # Errors
    ///
    /// [`DialError`] when there is none.
    pub(super) async fn find(&mut self) -> Result<Found, DialError> {
        let (peer, agent, remote) = (self.peer, self.agent, self.way.remote);
        let none = || DialError::NoAddress(peer.host.clone());
        let attempt = |address| async move {
            let dialled = dial::over_udp(peer, address, agent.config.window).await?;
            Ok(Found::Udp(Box::new(dialled)))
        };
        let udp = dial::first(addresses(peer, remote), attempt, none());
        let known = remote.unwrap_or_else(|| dial::nowhere(peer));
        let attempt = |address| async move {
            let line = carry::line(peer, address, known, &agent.tasks).await?;
            Ok(Found::Tcp(line))
        };
        let tcp = async {
            // A proxy finds the relay by its name.
            if peer.proxy.is_some() {
                return attempt(known).await;
            }
            dial::first(addresses(peer, remote), attempt, none()).await
        };
        dial::either(peer.transport, dial::HEAD_START, udp, tcp).await
    }

    /// Goes the way that was found. Gives back the connection that has shown it, if one has.
    pub(super) fn go(&mut self, found: Found) -> Option<Dialled> {
        self.probe = None;
        if self.relief.take().is_some() || self.strangled.is_trying() {
            self.strangled.rest(Instant::now());
        }
        match found {
            Found::Udp(dialled) => {
                self.go_udp();
                Some(*dialled)
            }
            Found::Tcp(line) => {
                self.go_tcp(line);
                None
            }
        }
    }

    /// Whether it may be TCP, or UDP, as it comes.
    pub(super) fn may_be_tcp(&self) -> bool {
        self.peer.transport == TransportChoice::Auto
    }

    fn go_udp(&mut self) -> bool {
        if let Err(error) = self.dialer.rebind() {
            warn!(%error, "no fresh socket; the old one stays");
            return false;
        }
        let before = self.kind();
        self.way.line = None;
        if before == Kind::Tcp {
            self.since = Some(Instant::now());
            self.tell(true);
        }
        true
    }

    fn go_tcp(&mut self, line: Line) {
        if let Err(error) = self.dialer.move_to(&line) {
            return warn!(%error, "cannot move to TCP; the old socket stays");
        }
        let before = self.kind();
        self.way.line = Some(line);
        if before == Kind::Tcp {
            return;
        }
        if self.strangled.is_trying() {
            // UDP gets through; what is to be known is how TCP fares.
            self.climb = Instant::now() + LAST_PAUSE;
            return self.tell(true);
        }
        // UDP that comes and goes is not to be gone to every few seconds.
        if self.since.is_some_and(|since| since.elapsed() < SETTLED) {
            self.wait_longer();
        } else {
            self.pause = FIRST_PAUSE;
            self.climb = Instant::now() + FIRST_PAUSE;
        }
        self.tell(true);
    }

    fn wait_longer(&mut self) {
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        self.climb = Instant::now() + self.pause;
    }

    fn tell(&self, moved: bool) {
        self.agent.status.emit(Event::Transport {
            transport: self.kind(),
            moved,
            strangled: self.kind() == Kind::Tcp && self.strangled.is_trying(),
        });
    }
}

/// The address in use, and those that the relay's name has, as soon as they are found out: that may take long
/// in a network that is in trouble, and the relay may have moved.
fn addresses(peer: &Peer, remote: Option<SocketAddr>) -> impl Stream<Item = SocketAddr> {
    let others = stream::once(async move {
        let found = peer.addresses().await.unwrap_or_else(|error| {
            debug!(%error, "the relay's name is not found now");
            Vec::new()
        });
        stream::iter(
            found
                .into_iter()
                .filter(move |found| Some(*found) != remote),
        )
    });
    stream::iter(remote).chain(others.flatten())
}

/// From the change to TCP to the first try of UDP, and between tries at most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_secs(300);
/// UDP that works for as long is there to stay.
const SETTLED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use adit_shared::quic::tls::Trust;

    use super::*;

    /// Only the address in use was tried, for as long as the session lived.
    #[tokio::test]
    async fn all_addresses_of_the_relay_are_looked_for_the_one_in_use_first() {
        let pin = format!("sha256:{}", "00".repeat(32)).parse().unwrap();
        let peer = Peer::new("localhost".into(), 443, Some(&Trust::Pin(pin))).unwrap();
        let old = Some(([192, 0, 2, 1], 443).into());
        let found: Vec<_> = addresses(&peer, old).collect().await;
        assert_eq!(found.first(), old.as_ref());
        assert!(found.len() > 1, "those that it has now: {found:?}");
        assert!(found[1..].iter().all(|found| found.ip().is_loopback()));
        let found: Vec<_> = addresses(&peer, Some(found[1])).collect().await;
        let again = found.iter().filter(|address| **address == found[0]);
        assert_eq!(again.count(), 1, "{found:?}");
    }
}
