//! How agents come in: accept, handshake, hello, claims, and the control stream until the end.

mod claim;
mod hello;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::control::{ControlError, Receiver, Sender};
use adit_shared::name::Host;
use adit_shared::quic::endpoint::{Incoming, Listener};
use adit_shared::quic::{Connection, Lost};
use adit_shared::stall::Stalls;
use adit_shared::stream::{RecvHalf, SendHalf};
use adit_shared::task::Tasks;
use adit_shared::wire::code::Close;
use adit_shared::wire::control::{Message, Welcome};
use adit_shared::wire::{self};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, info_span};

use self::claim::Claims;
use self::hello::Refusal;
use crate::auth::Auth;
use crate::edge::tls::Certificates;
use crate::metrics::Metrics;
use crate::route::Routes;
use crate::session::Session;
use crate::sessions::Sessions;
use crate::store::Store;

/// What letting agents in needs to know. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Join {
    /// Who may connect.
    pub auth: Auth,
    /// Who serves what.
    pub routes: Routes,
    /// Who is connected.
    pub sessions: Sessions,
    /// What outlives this program.
    pub store: Store,
    /// Where names get their certificates.
    pub certificates: Arc<Certificates>,
    /// What visitors that stopped reading hold.
    pub stalls: Stalls,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where agents come in.
    pub shard: u16,
    /// How public URLs are written.
    pub site: Arc<Site>,
    /// Bounds.
    pub limits: Limits,
    /// One permit for each handshake.
    pub handshakes: Arc<Semaphore>,
    /// Where sessions run. When it is stopped, agents are told that the relay drains.
    pub tasks: Tasks,
}

/// Where visitors reach this relay.
#[derive(Clone, Debug)]
pub struct Site {
    /// The domain under which names live.
    pub domain: Host,
    /// Ports of the listeners that serve requests, if there are any.
    pub http: Option<u16>,
    /// As above, with TLS.
    pub https: Option<u16>,
    /// Whether the URL to show is the one without TLS: on a machine of one's own.
    pub prefer_http: bool,
}

/// Bounds of what agents may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions at a time.
    pub sessions: usize,
    /// Exchanges of one session at a time.
    pub exchanges: usize,
    /// Tunnels of one session.
    pub tunnels: usize,
    /// From the first packet to a whole hello.
    pub hello: Duration,
    /// What agents are told about how long exchanges may go on when the relay drains.
    pub drain_grace: Duration,
}

impl Join {
    /// Lets agents in until the tasks are stopped.
    pub async fn listen(self, listener: Listener) {
        loop {
            let incoming = tokio::select! {
                biased;
                () = self.tasks.stopped() => {
                    listener.refuse_new();
                    return;
                }
                incoming = listener.accept() => incoming,
            };
            let Some(incoming) = incoming else { return };
            match self.handshakes.clone().try_acquire_owned() {
                Ok(permit) => {
                    let join = self.clone();
                    let span = info_span!("agent", addr = %incoming.remote());
                    self.tasks.spawn(span, join.admit(incoming, permit));
                }
                Err(_) => {
                    // Under a flood, only those who really are where they say may wait.
                    if incoming.is_validated() {
                        self.metrics.handshakes_failed.inc();
                        incoming.refuse();
                    } else {
                        incoming.retry();
                    }
                }
            }
        }
    }

    async fn admit(self, incoming: Incoming, permit: OwnedSemaphorePermit) {
        let remote = incoming.remote();
        let arrival = self.arrive(incoming).await;
        drop(permit);
        match arrival {
            Ok(arrival) => self.stay(arrival, remote).await,
            Err(error) => {
                self.metrics.handshakes_failed.inc();
                match error {
                    JoinError::Refused(refusal) => info!(reason = %refusal, "agent refused"),
                    error => debug!(%error, "nobody came in"),
                }
            }
        }
    }

    /// From the first packet to a session that is not yet welcomed.
    async fn arrive(&self, incoming: Incoming) -> Result<Arrival, JoinError> {
        let deadline = Instant::now() + self.limits.hello;
        let accepted = timeout_at(deadline, incoming.accept()).await;
        let (connection, protocol) = accepted.map_err(|_| JoinError::Late)??;
        if protocol != wire::ALPN {
            connection.close(Close::Protocol, "this port serves agents");
            return Err(JoinError::Stranger);
        }
        let hello = timeout_at(deadline, self.greet(&connection)).await;
        hello
            .unwrap_or(Err(JoinError::Late))
            .inspect_err(|error| match error {
                JoinError::Late => connection.close(Close::Timeout, "no hello came in time"),
                JoinError::Refused(refusal) => {
                    connection.close(refusal.code(), &refusal.to_string())
                }
                JoinError::Lost(_) | JoinError::Stranger => {}
            })
    }

    /// From a connection to a session that is not yet welcomed.
    async fn greet(&self, connection: &Connection) -> Result<Arrival, JoinError> {
        let (send, recv) = connection.accept().await?;
        let mut receiver = Receiver::new(RecvHalf::new(recv));
        let (mut newcomer, grant) = hello::read(&mut receiver, connection, &self.auth).await?;
        newcomer.exchanges = newcomer.exchanges.min(self.limits.exchanges);
        connection.lift_connection_window();
        let account = self.stalls.account(connection.window());
        let session = Session::new(newcomer, connection.clone(), account, self.shard);
        let session = Arc::new(session);
        let sender = Sender::new(SendHalf::new(send));
        Ok(Arrival {
            session,
            grant,
            sender,
            receiver,
        })
    }

    async fn stay(&self, arrival: Arrival, remote: SocketAddr) {
        let Arrival {
            session,
            grant,
            mut sender,
            mut receiver,
        } = arrival;
        let span = info_span!("session", id = %session.id, agent = %session.owner, %remote);
        let Some(_listed) = self.sessions.add(&session, self.limits.sessions) else {
            self.metrics.handshakes_failed.inc();
            session.close(Close::Overload, "the relay has as many agents as it takes");
            return info!("agent refused: too many sessions");
        };
        let work = async {
            self.metrics.sessions.inc();
            info!(version = session.version, "agent connected");
            if let Some(token) = session.token
                && let Err(error) = self.auth.note_use(token).await
            {
                tracing::warn!(%error, "cannot note that a token was used");
            }
            let mut claims = Claims::new(self, &session, grant);
            let end = self
                .converse(&session, &mut claims, &mut sender, &mut receiver)
                .await;
            match end {
                Ok(()) => info!("agent left"),
                Err(error) => {
                    if let ControlError::Malformed(what) = error {
                        session.close(Close::Protocol, what);
                    }
                    match session.connection().close_reason() {
                        Some(Lost::Closed {
                            code: Close::Goodbye,
                            reason,
                        }) => {
                            info!(reason, "agent left");
                        }
                        Some(why) => info!(%why, "agent lost"),
                        None => info!(%error, "agent lost"),
                    }
                }
            }
            claims.end().await;
            self.metrics.sessions.dec();
        };
        tracing::Instrument::instrument(work, span).await;
        session.close(Close::Goodbye, "");
    }

    /// The control stream until the agent leaves, or until the connection is lost.
    async fn converse(
        &self,
        session: &Arc<Session>,
        claims: &mut Claims<'_>,
        sender: &mut Sender,
        receiver: &mut Receiver,
    ) -> Result<(), ControlError> {
        let welcome = Welcome {
            session: session.id.into(),
            version: concat!("relay/", env!("CARGO_PKG_VERSION")).into(),
        };
        sender.send(&Message::Welcome(welcome)).await?;
        let mut draining = false;
        loop {
            let message = tokio::select! {
                biased;
                () = self.tasks.stopped(), if !draining => {
                    draining = true;
                    let grace = self.limits.drain_grace.as_millis();
                    let grace_ms = u64::try_from(grace).unwrap_or(wire::varint::MAX);
                    sender.send(&Message::Drain { grace_ms }).await?;
                    continue;
                }
                message = receiver.next() => message?,
            };
            match message {
                Some(Message::Claim(claim)) => {
                    let answer = claims.claim(claim).await;
                    sender.send(&answer).await?;
                }
                Some(Message::Ping { number }) => sender.send(&Message::Pong { number }).await?,
                Some(Message::Goodbye) => {
                    info!("agent says goodbye");
                    claims.give_back();
                }
                None => return Ok(()),
                Some(_) => {
                    return Err(ControlError::Malformed("a message that only relays send"));
                }
            }
        }
    }
}

/// Closes the sessions of tokens that were revoked, within a second, until `tasks` stop.
pub async fn watch_tokens(auth: Auth, sessions: Sessions, tasks: Tasks) {
    let mut ticks = tokio::time::interval(TOKEN_CHECK);
    loop {
        tokio::select! {
            biased;
            () = tasks.stopped() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = auth.refresh().await {
            tracing::warn!(%error, "cannot look for revoked tokens");
        }
        // What holds is looked at, not what has just changed: a hello may have seen that first.
        let is_over =
            |session: &Arc<Session>| session.token.is_some_and(|token| !auth.is_good(token));
        for session in sessions.list().into_iter().filter(is_over) {
            info!(id = %session.id, "session closed: its token was revoked");
            session.close(Close::Refused, "the token was revoked");
        }
    }
}

struct Arrival {
    session: Arc<Session>,
    grant: crate::auth::Grant,
    sender: Sender,
    receiver: Receiver,
}

/// Why nobody came in.
#[derive(Debug, Error)]
enum JoinError {
    #[error("the agent said no hello in time")]
    Late,
    #[error("the peer speaks another protocol")]
    Stranger,
    #[error("the connection failed")]
    Lost(#[from] Lost),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// How soon a revoked token ends its sessions.
const TOKEN_CHECK: Duration = Duration::from_secs(1);
