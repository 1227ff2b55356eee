//! One session while it lasts: exchanges come in, the control stream goes on beside them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::control::{ControlError, Receiver, Sender};
use adit_shared::quic::endpoint::Dialer;
use adit_shared::quic::{Connection, Lost, ReadError, WriteError};
use adit_shared::task::Tasks;
use adit_shared::wire::code::Close;
use adit_shared::wire::control::Message;
use tokio::time::{interval, timeout};
use tracing::{Span, debug, info_span, warn};

use super::Agent;
use super::register::Registered;
use super::serve;
use super::watch::Watch;
use crate::status::Event;

/// How a session ended.
pub(super) enum End {
    /// The agent was asked to stop; everything in flight has ended.
    Stopped,
    /// The relay goes away; what is in flight goes on beside the next session.
    Draining,
    /// The connection was lost.
    Lost(Lost),
}

/// Serves until the session ends.
pub(super) async fn run(agent: &Arc<Agent>, registered: Registered) -> End {
    let Registered {
        dialer,
        connection,
        mut sender,
        mut receiver,
        session,
    } = registered;
    let exchanges = Exchanges::of(connection.clone());
    let (serving, of, open) = (agent.clone(), connection.clone(), exchanges.open.clone());
    let account = agent.stalls.account(connection.window());
    // Ends with the connection.
    let span = info_span!("session", id = session);
    exchanges.accepting.spawn(span, async move {
        while let Ok((send, recv)) = of.accept().await {
            let (agent, account) = (serving.clone(), account.clone());
            open.spawn(Span::none(), async move {
                serve::exchange(&agent, &account, send, recv).await
            });
        }
    });
    let control = Control {
        dialer: &dialer,
        connection: &connection,
        exchanges: &exchanges,
    };
    let why = control.converse(agent, &mut sender, &mut receiver).await;
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
            let stop = agent.tasks.clone();
            agent
                .tasks
                .spawn(Span::none(), async move { link.linger(grace, &stop).await });
            End::Draining
        }
        Why::Broken(error) => {
            debug!(%error, "control stream failed");
            let what = match error {
                ControlError::Malformed(what) => what,
                _ => "the control stream failed",
            };
            link.connection.close(Close::Protocol, what);
            link.exchanges.abort();
            End::Lost(link.connection.closed().await)
        }
        Why::Lost(lost) => {
            link.exchanges.abort();
            End::Lost(lost)
        }
    }
}

/// What a session serves. Dropped, it is given up: it does not outlive whoever looks after it.
struct Exchanges {
    connection: Connection,
    accepting: Tasks,
    open: Tasks,
}

impl Exchanges {
    fn of(connection: Connection) -> Self {
        let (accepting, open) = (Tasks::default(), Tasks::default());
        Self {
            connection,
            accepting,
            open,
        }
    }

    fn abort(&self) {
        self.accepting.abort();
        self.open.abort();
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
    Draining(Duration),
    Broken(ControlError),
    Lost(Lost),
}

/// The control stream of a session that is well.
struct Control<'a> {
    dialer: &'a Dialer,
    connection: &'a Connection,
    exchanges: &'a Exchanges,
}

impl Control<'_> {
    /// Goes on until there is a reason to leave.
    async fn converse(self, agent: &Agent, sender: &mut Sender, receiver: &mut Receiver) -> Why {
        let mut ticks = interval(PING);
        let mut watch = Watch::new(self.connection.remote());
        let mut pings = 0_u64;
        loop {
            let message = tokio::select! {
                biased;
                () = agent.tasks.stopped() => return Why::Stopped,
                message = receiver.next() => message,
                _ = ticks.tick() => {
                    let moved = self.follow(agent, &mut watch);
                    agent.status.set_path(self.connection.remote(), self.connection.rtt());
                    // What is in flight keeps the way through a NAT open, even if it only comes in;
                    // and the relay learns of a new address by hearing from it.
                    if moved || !self.exchanges.open.is_empty() {
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

    /// Moves the session when this machine's address has changed: once for each change, since
    /// moving as a poke loses connections behind some NATs.
    fn follow(&self, agent: &Agent, watch: &mut Watch) -> bool {
        let Some((before, now)) = watch.change() else {
            return false;
        };
        let port = |dialer: &Dialer| dialer.local().map_or(0, |local| local.port());
        let from = SocketAddr::new(before, port(self.dialer));
        if let Err(error) = self.dialer.rebind() {
            warn!(%error, "cannot move to the new address; the old socket stays");
            return false;
        }
        let to = SocketAddr::new(now, port(self.dialer));
        agent.status.emit(Event::Migrated { from, to });
        true
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
        self.exchanges.open.drain(FAREWELL).await;
        self.exchanges.accepting.drain(FAREWELL).await;
        // The relay should hear it, but need not.
        drop(timeout(FAREWELL, self.dialer.wait_idle()).await);
    }

    /// What is in flight goes on until the relay closes, within its grace period.
    async fn linger(self, grace: Duration, stop: &Tasks) {
        tokio::select! {
            biased;
            () = stop.stopped() => drop(timeout(grace, self.exchanges.open.ended()).await),
            _ = self.connection.closed() => {}
            () = tokio::time::sleep(grace + FAREWELL) => {}
        }
        self.connection.close(Close::Goodbye, "");
        self.exchanges.abort();
        drop((self.sender, self.receiver));
    }

    /// Ends when no exchange is open, or the connection is gone.
    async fn finished(&mut self) {
        tokio::select! {
            biased;
            _ = self.connection.closed() => return,
            () = self.exchanges.open.ended() => {}
        }
        // Exchanges that ended here are still on their way to the relay, if that is there at all.
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
/// How long closing may take.
const FAREWELL: Duration = Duration::from_secs(1);
