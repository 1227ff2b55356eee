//! One session while it lasts: exchanges come in, the control stream goes on beside them.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use adit_shared::control::{ControlError, Receiver, Sender};
use adit_shared::quic::endpoint::Dialer;
use adit_shared::quic::{Connection, Lost, ReadError, WriteError};
use adit_shared::stall::Account;
use adit_shared::task::Tasks;
use adit_shared::wire::code::Close;
use adit_shared::wire::control::Message;
use tokio::time::{interval, timeout};
use tracing::{Span, debug, info_span};

use super::Agent;
use super::dial::Dialled;
use super::path::{Beat, Path};
use super::peer::Peer;
use super::pulse::Sign;
use super::register::{RegisterError, Registered};
use super::serve;
use crate::status::Event;

/// How a session ended.
pub(super) enum End {
    /// The agent was asked to stop; everything in flight has ended.
    Stopped,
    /// A newer session has taken over; what is in flight goes on beside it.
    Superseded(Box<Registered>),
    /// The relay goes away; what is in flight goes on beside the next session.
    Draining,
    /// The connection was lost.
    Lost(Lost),
}

/// Serves until the session ends.
pub(super) async fn run(agent: &Arc<Agent>, peer: &Peer, registered: Registered) -> End {
    let Registered {
        dialled,
        mut sender,
        mut receiver,
        session,
    } = registered;
    let Dialled {
        dialer,
        connection,
        way,
    } = dialled;
    let exchanges = Exchanges::of(connection.clone());
    let refusing = exchanges.refusing.clone();
    let serving = Arc::new(Serving {
        agent: agent.clone(),
        account: agent.stalls.account(connection.window()),
        connection: connection.clone(),
        open: exchanges.open.clone(),
    });
    // Ends with the connection.
    let span = info_span!("session", id = %format_args!("s{session}"));
    exchanges.accepting.spawn(span, async move {
        while let Ok((send, recv)) = serving.connection.accept().await {
            if refusing.load(Ordering::Relaxed) {
                serve::refuse(send, recv);
                continue;
            }
            let uncut = Uncut::begin(serving.clone());
            serving.open.tasks.spawn(Span::none(), async move {
                let of = &*uncut.of;
                let ended = serve::exchange(&of.agent, &of.account, send, recv).await;
                if !ended.is_cut(&of.connection) {
                    uncut.end();
                }
            });
        }
    });
    let why = {
        let control = Control {
            connection: &connection,
            exchanges: &exchanges,
            remote: way.remote,
        };
        let path = Path {
            agent,
            peer,
            dialer: &dialer,
            connection: &connection,
            open: &exchanges.open,
            session,
            superseded: AtomicBool::new(false),
            over_tcp: AtomicBool::new(false),
        };
        let mut other = pin!(path.keep(way));
        let why = tokio::select! {
            biased;
            why = control.converse(agent, &mut sender, &mut receiver) => Ok(why),
            other = &mut other => Err(other),
        };
        match why {
            // The relay may have closed this one because it has the next.
            Ok(Why::Lost(_)) if path.is_superseded() => tokio::select! {
                biased;
                () = agent.tasks.stopped() => Why::Stopped,
                other = &mut other => Why::superseded(other),
            },
            Ok(why) => why,
            // Nothing is left to wait for, whatever came of it.
            Err(other) => Why::superseded(other),
        }
    };
    let link = Leaving {
        dialer,
        connection,
        sender,
        receiver,
        exchanges,
    };
    match why {
        Why::Stopped => {
            link.say_goodbye(agent.config.drain_grace).await;
            End::Stopped
        }
        Why::Draining(grace) => {
            agent.status.emit(Event::RelayDraining);
            let of = agent.clone();
            agent
                .tasks
                .spawn(Span::none(), async move { link.linger(grace, &of).await });
            End::Draining
        }
        Why::Superseded(registered) => {
            let of = agent.clone();
            agent
                .tasks
                .spawn(Span::none(), async move { link.outlive(&of).await });
            End::Superseded(registered)
        }
        Why::Broken(error) => {
            debug!(%error, "control stream failed");
            let what = match error {
                ControlError::Malformed(what) => what,
                _ => "the control stream failed",
            };
            link.connection.close(Close::Protocol, what);
            link.exchanges.give_up(agent);
            End::Lost(link.connection.closed().await)
        }
        Why::Lost(lost) => {
            link.exchanges.give_up(agent);
            End::Lost(lost)
        }
    }
}

/// What a session serves. Dropped, it is given up: it does not outlive whoever looks after it.
struct Exchanges {
    connection: Connection,
    accepting: Tasks,
    open: Open,
    /// New ones are told that nobody begins with them.
    refusing: Arc<AtomicBool>,
}

/// The exchanges of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    /// Those that are open.
    pub tasks: Tasks,
    /// How many were so far.
    pub count: Arc<AtomicU64>,
    now: Arc<AtomicU64>,
    cut: Arc<AtomicU64>,
}

impl Open {
    /// How many were cut since this was asked last.
    pub(super) fn take_cut(&self) -> u64 {
        self.cut.swap(0, Ordering::Relaxed)
    }
}

/// What all exchanges of a session need, behind one pointer.
struct Serving {
    agent: Arc<Agent>,
    account: Arc<Account>,
    connection: Connection,
    open: Open,
}

/// An exchange that counts as cut when this is dropped before its end.
struct Uncut {
    of: Arc<Serving>,
    cut: bool,
}

impl Uncut {
    /// One more.
    fn begin(of: Arc<Serving>) -> Self {
        of.open.count.fetch_add(1, Ordering::Relaxed);
        of.open.now.fetch_add(1, Ordering::Relaxed);
        Self { of, cut: true }
    }

    fn end(mut self) {
        self.cut = false;
    }
}

impl Drop for Uncut {
    fn drop(&mut self) {
        let open = &self.of.open;
        open.now.fetch_sub(1, Ordering::Relaxed);
        if self.cut {
            open.cut.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Exchanges {
    fn of(connection: Connection) -> Self {
        Self {
            connection,
            accepting: Tasks::default(),
            open: Open::default(),
            refusing: Arc::default(),
        }
    }

    /// Ends those that are left, and says how many the connection took with it.
    fn give_up(&self, agent: &Agent) {
        let exchanges = self.open.take_cut() + self.open.now.load(Ordering::Relaxed);
        self.abort();
        if exchanges > 0 {
            agent.status.emit(Event::Lost { exchanges });
        }
    }

    fn abort(&self) {
        self.accepting.abort();
        self.open.tasks.abort();
    }
}

impl Drop for Exchanges {
    fn drop(&mut self) {
        self.abort();
        // Nothing happens to one that is closed already.
        self.connection.close(Close::Goodbye, "");
    }
}

enum Why {
    Stopped,
    Superseded(Box<Registered>),
    Draining(Duration),
    Broken(ControlError),
    Lost(Lost),
}

impl Why {
    fn superseded(other: Result<Registered, RegisterError>) -> Self {
        match other {
            Ok(registered) => Self::Superseded(Box::new(registered)),
            Err(error) => {
                debug!(%error, "the next session failed; this one may have lost its tunnels");
                Self::Lost(Lost::TimedOut)
            }
        }
    }
}

/// The control stream of a session that is well.
struct Control<'a> {
    connection: &'a Connection,
    exchanges: &'a Exchanges,
    /// The relay's address, if it is known here.
    remote: Option<SocketAddr>,
}

impl Control<'_> {
    /// Goes on until there is a reason to leave.
    async fn converse(self, agent: &Agent, sender: &mut Sender, receiver: &mut Receiver) -> Why {
        let mut ticks = interval(PING);
        let mut pings = 0_u64;
        loop {
            let message = tokio::select! {
                biased;
                () = agent.tasks.stopped() => return Why::Stopped,
                message = receiver.next() => message,
                _ = ticks.tick() => {
                    if let Some(remote) = self.remote {
                        agent.status.set_path(remote, self.connection.rtt());
                    }
                    // A relay that takes no knocks: what is in flight keeps the way through a NAT open,
                    // even if it only comes in.
                    if !self.connection.takes_datagrams() && !self.exchanges.open.tasks.is_empty() {
                        pings += 1;
                        if let Err(error) = sender.send(&Message::Ping { number: pings }).await {
                            return broken(error);
                        }
                    }
                    continue;
                }
            };
            match message {
                Ok(Some(Message::Pong { .. })) => {}
                Ok(Some(Message::Drain { grace_ms })) => {
                    return Why::Draining(Duration::from_millis(grace_ms));
                }
                Ok(Some(_)) => {
                    return Why::Broken(ControlError::Malformed("a message out of order"));
                }
                Ok(None) => {
                    let what = "the relay ended the control stream";
                    return Why::Broken(ControlError::Malformed(what));
                }
                Err(error) => return broken(error),
            }
        }
    }
}

fn broken(error: ControlError) -> Why {
    match error {
        ControlError::Read(ReadError::Lost(lost)) | ControlError::Write(WriteError::Lost(lost)) => {
            Why::Lost(lost)
        }
        other => Why::Broken(other),
    }
}

/// A session that takes nothing new.
struct Leaving {
    dialer: Dialer,
    connection: Connection,
    sender: Sender,
    receiver: Receiver,
    exchanges: Exchanges,
}

impl Leaving {
    /// The relay frees the names at once; what is in flight may finish.
    async fn say_goodbye(mut self, grace: Duration) {
        if self.sender.send(&Message::Goodbye).await.is_err() {
            return;
        }
        if timeout(grace, self.finished()).await.is_err() {
            debug!("exchanges in flight were given up after the grace period");
        }
        self.connection.close(Close::Goodbye, "");
        self.exchanges.open.tasks.drain(FAREWELL).await;
        self.exchanges.accepting.drain(FAREWELL).await;
        // The relay should hear it, but need not.
        drop(timeout(FAREWELL, self.dialer.wait_idle()).await);
    }

    /// What is in flight goes on until the relay closes, within its grace period.
    async fn linger(self, grace: Duration, agent: &Agent) {
        tokio::select! {
            biased;
            () = agent.tasks.stopped() => drop(timeout(grace, self.exchanges.open.tasks.ended()).await),
            _ = self.connection.closed() => {}
            () = tokio::time::sleep(grace + FAREWELL) => {}
        }
        self.connection.close(Close::Goodbye, "");
        self.exchanges.give_up(agent);
        drop((self.sender, self.receiver));
        agent.left.notify_one();
    }

    /// A newer session has taken over: what is in flight goes on for as long as this one shows any
    /// life, or comes back to it. The relay closes it: what it has opened may still be on its way here,
    /// and be sent several times until it comes.
    async fn outlive(mut self, agent: &Agent) {
        let mut beat = Beat::new(&self.connection, &self.exchanges.open);
        let dead = async {
            loop {
                if beat.next().await == Sign::Silent && timeout(HOPE, beat.next()).await.is_err() {
                    return;
                }
            }
        };
        let resting = async {
            loop {
                self.exchanges.open.tasks.ended().await;
                tokio::time::sleep(REST).await;
                if self.exchanges.open.tasks.is_empty() {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = agent.tasks.stopped() => {
                drop(timeout(agent.config.drain_grace, self.finished()).await);
            }
            _ = self.connection.closed() => {}
            () = resting => {}
            () = dead => debug!("the session before shows no life; what was in flight there is lost"),
        }
        self.connection.close(Close::Goodbye, "");
        self.exchanges.give_up(agent);
    }

    /// Ends when no exchange is open, or the connection is gone.
    async fn finished(&mut self) {
        tokio::select! {
            biased;
            _ = self.connection.closed() => return,
            () = self.exchanges.open.tasks.ended() => {}
        }
        // Exchanges that ended here are still on their way to the relay, if that is there at all; and it
        // may have opened others before it read the goodbye.
        drop(timeout(FAREWELL, self.flushed()).await);
        tokio::select! {
            biased;
            _ = self.connection.closed() => return,
            () = self.exchanges.open.tasks.ended() => {}
        }
        // What another thread of the relay opens now would be lost with the connection.
        self.exchanges.refusing.store(true, Ordering::Relaxed);
        drop(timeout(FAREWELL, self.flushed()).await);
    }

    /// Ends when the relay has answered a ping: it has read what was sent before.
    async fn flushed(&mut self) {
        if self
            .sender
            .send(&Message::Ping { number: LAST_PING })
            .await
            .is_err()
        {
            return;
        }
        loop {
            match self.receiver.next().await {
                Ok(Some(Message::Pong { number: LAST_PING })) | Ok(None) | Err(_) => return,
                Ok(Some(_)) => {}
            }
        }
    }
}

/// How often the relay hears from an agent with exchanges in flight.
const PING: Duration = Duration::from_secs(1);
/// The number of the ping that goes before a goodbye.
const LAST_PING: u64 = adit_shared::wire::varint::MAX;
/// How long a silent session that was superseded may take to come back.
const HOPE: Duration = Duration::from_secs(5);
/// How long one may rest that the relay ought to have closed.
const REST: Duration = Duration::from_secs(30);
/// How long closing may take.
const FAREWELL: Duration = Duration::from_secs(1);
