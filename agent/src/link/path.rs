//! Looks after the way under one session: hears whether it is alive, moves with this machine's address,
//! and, when the way stays silent, looks for another one.
//!
//! The session is given up by nobody here. While its way is in doubt, a new connection is dialled beside
//! it; whichever answers first goes on. Moving as a poke is no way to find out: each move costs a
//! connection id, and some NATs lose the session over it.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use adit_shared::backoff::Backoff;
use adit_shared::quic::endpoint::Dialer;
use adit_shared::quic::{Connection, Transport as Kind};
use adit_shared::wire::datagram::Datagram;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::dial::Way;
use super::peer::Peer;
use super::pulse::{Pulse, Seen, Sign};
use super::register::{Coming, RegisterError, Registered};
use super::rest::LAST_RETRY;
use super::session::Open;
use super::transport::{Transport, Turn};
use super::watch::{Change, Watch};
use super::{Agent, register};
use crate::status::Event;

/// The way under one session.
pub(super) struct Path<'a> {
    pub agent: &'a Agent,
    pub peer: &'a Peer,
    pub dialer: &'a Dialer,
    pub connection: &'a Connection,
    /// What it serves.
    pub open: &'a Open,
    /// The relay's number of the session.
    pub session: u64,
    /// Whether a new session may have taken over at the relay already.
    pub superseded: AtomicBool,
    /// Whether it goes over TCP, as known while another way is looked for.
    pub over_tcp: AtomicBool,
}

impl Path<'_> {
    /// Goes on until a new session has taken over. Not safe to drop once this one
    /// [`is_superseded`](Self::is_superseded).
    ///
    /// # Errors
    ///
    /// [`RegisterError`] when the new session failed so late that the relay may have taken the tunnels
    /// from the old one: that is worth nothing any more.
    pub(super) async fn keep(&self, way: Way) -> Result<Registered, RegisterError> {
        let mut transport =
            Transport::new(self.agent, self.peer, self.dialer, self.connection, way);
        let mut beat = Beat::new(self.connection, self.open);
        let mut watch = Watch::new(self.connection.remote());
        let mut moved: Option<Move> = None;
        loop {
            let sign = tokio::select! {
                biased;
                change = watch.changed() => {
                    beat.pulse.suspect(clock());
                    match change {
                        Change::Moved { before, now } if transport.kind() == Kind::Udp => {
                            transport.elsewhere();
                            moved = self.follow(before, now).or(moved);
                            continue;
                        }
                        // TCP stays at the old address, so it leads nowhere.
                        Change::Moved { .. } => {
                            transport.elsewhere();
                            Sign::Silent
                        }
                        Change::Other => continue,
                    }
                }
                turn = transport.turn() => match turn {
                    Turn::Moved => {
                        beat.pulse.suspect(clock());
                        continue;
                    }
                    Turn::Broken => {
                        beat.pulse.suspect(clock());
                        Sign::Silent
                    }
                },
                sign = beat.next() => sign,
            };
            match sign {
                Sign::Back { stalled } => self.tell_moved(&mut moved, stalled, None),
                Sign::Silent => {
                    let since = clock();
                    self.agent.status.emit(Event::Silent);
                    let proof = self.prove(&mut beat, &mut watch, &mut moved, &mut transport);
                    match proof.await {
                        Proof::Alive { stalled } => {
                            info!(?stalled, "the way to the relay is alive again");
                            let lost = self.open.take_cut();
                            self.agent.status.emit(Event::Resumed { stalled, lost });
                            // What was told once is not lost twice.
                            self.tell_moved(&mut moved, stalled, Some(0));
                        }
                        Proof::Other(registered) => {
                            info!(took = ?since.elapsed(), ok = registered.is_ok(), "another connection took over");
                            return *registered;
                        }
                    }
                }
            }
        }
    }

    /// Says that the session goes on from where it has `moved`; how many were `lost` if not as many as
    /// were cut since the last time.
    fn tell_moved(&self, moved: &mut Option<Move>, stalled: Duration, lost: Option<u64>) {
        let Some((from, to)) = moved.take() else {
            return;
        };
        let lost = lost.unwrap_or_else(|| self.open.take_cut());
        self.agent.status.emit(Event::Migrated {
            from,
            to,
            stalled,
            lost,
        });
    }

    /// Moves the session, as this machine's address has changed.
    fn follow(&self, before: IpAddr, now: IpAddr) -> Option<Move> {
        let port = || self.dialer.local().map_or(0, |local| local.port());
        let from = SocketAddr::new(before, port());
        if let Err(error) = self.dialer.rebind_elsewhere() {
            warn!(%error, "cannot move to the new address; the old socket stays");
            return None;
        }
        Some((from, SocketAddr::new(now, port())))
    }

    /// The way is silent: goes on knocking, and looks for another one beside it.
    async fn prove(
        &self,
        beat: &mut Beat,
        watch: &mut Watch,
        moved: &mut Option<Move>,
        transport: &mut Transport<'_>,
    ) -> Proof {
        self.note(transport);
        let stirred = Notify::new();
        let mut other = pin!(self.find_other(transport, &stirred));
        loop {
            tokio::select! {
                biased;
                registered = other.as_mut() => return Proof::Other(Box::new(registered)),
                change = watch.changed(), if !self.is_superseded() => {
                    // TCP stays at the old address; what is looked for begins at the new one.
                    if let Change::Moved { before, now } = change
                        && !self.over_tcp.load(Ordering::Relaxed)
                    {
                        *moved = self.follow(before, now).or(*moved);
                    }
                    beat.pulse.suspect(clock());
                    stirred.notify_one();
                }
                sign = beat.next() => match sign {
                    // What is known to the relay as the session is the session.
                    Sign::Back { stalled } if !self.is_superseded() => {
                        return Proof::Alive { stalled };
                    }
                    Sign::Back { .. } | Sign::Silent => {}
                },
            }
        }
    }

    /// Another way: for the session itself, if the relay still has it, or else for a new one. It is looked
    /// for at once when the network has `stirred`.
    async fn find_other(
        &self,
        transport: &mut Transport<'_>,
        stirred: &Notify,
    ) -> Result<Registered, RegisterError> {
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        let found = loop {
            match transport.find().await {
                Ok(found) => break found,
                Err(error) => debug!(%error, "no other way to the relay yet"),
            }
            // Woken early or not, it tries again.
            let _ = timeout(backoff.next_delay(), stirred.notified()).await;
        };
        // The relay is there, and lets us in this way: so may the old connection come, if the relay
        // still has it. Nothing is lost then. It has a moment to say so.
        let mut next = transport.go(found);
        self.note(transport);
        let rtt = next
            .as_ref()
            .map_or_else(|| self.connection.rtt(), |next| next.connection.rtt());
        sleep((6 * rtt).clamp(MOMENT, LONG_MOMENT)).await;
        let dialled = loop {
            if let Some(dialled) = next.take() {
                break dialled;
            }
            match self.agent.dial(self.peer).await {
                Ok(dialled) => next = Some(dialled),
                Err(error) => {
                    debug!(%error, "no way to the relay after all");
                    let _ = timeout(backoff.next_delay(), stirred.notified()).await;
                }
            }
        };
        self.superseded.store(true, Ordering::Relaxed);
        let coming = Coming::Beside(self.session);
        register::register(self.agent, dialled, coming).await
    }

    fn note(&self, transport: &Transport<'_>) {
        let over_tcp = transport.kind() == Kind::Tcp;
        self.over_tcp.store(over_tcp, Ordering::Relaxed);
    }

    /// Whether a new session may have taken over at the relay already.
    pub(super) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Relaxed)
    }
}

/// From which address of ours to which.
type Move = (SocketAddr, SocketAddr);

/// Which way is alive.
enum Proof {
    /// That of the session.
    Alive { stalled: Duration },
    /// That of a new one.
    Other(Box<Result<Registered, RegisterError>>),
}

/// Knocks at one connection when it is time.
pub(super) struct Beat {
    connection: Connection,
    open: Open,
    pulse: Pulse,
}

impl Beat {
    /// For a connection that was heard a moment ago.
    pub(super) fn new(connection: &Connection, open: &Open) -> Self {
        let received = connection.path().received;
        Self {
            connection: connection.clone(),
            open: open.clone(),
            pulse: Pulse::new(clock(), SystemTime::now(), received),
        }
    }

    /// Waits for a change of the way, for ever when the connection has ended. Safe to drop.
    pub(super) async fn next(&mut self) -> Sign {
        loop {
            let path = self.connection.path();
            let seen = Seen {
                received: path.received,
                rtt: path.rtt,
                open: !self.open.tasks.is_empty(),
                exchanges: self.open.count.load(Ordering::Relaxed),
            };
            let verdict = self.pulse.look(clock(), SystemTime::now(), seen);
            if let Some(number) = verdict.knock {
                self.connection.knock(Datagram::Knock { number }.encode());
            }
            if let Some(sign) = verdict.sign {
                return sign;
            }
            tokio::select! {
                biased;
                datagram = self.connection.datagram() => match datagram {
                    Ok(datagram) => {
                        if let Ok(Some(Datagram::Answer { number })) = Datagram::decode(&datagram)
                            && let Some(sign) = self.pulse.answer(clock(), number)
                        {
                            return sign;
                        }
                    }
                    Err(_) => return std::future::pending().await,
                },
                () = sleep(verdict.wait) => {}
            }
        }
    }
}

/// By the runtime's clock, as all timers are.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How long the old connection may take at the least to answer on a fresh socket.
const MOMENT: Duration = Duration::from_millis(300);
/// And at the most: over TCP it is not known how far away the relay is.
const LONG_MOMENT: Duration = Duration::from_secs(3);
/// The first wait between tries to find another way.
const FIRST_RETRY: Duration = Duration::from_secs(1);
