//! How agents come in: accept, handshake, hello, claims, and the control stream until the end. Visitors that
//! speak HTTP/3 come to the same port, and are handed to the edge after the handshake.

mod claim;
mod hello;
mod knock;
mod retire;
mod turns;
mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::control::{ControlError, Receiver, Sender};
use adit_shared::name::Host;
use adit_shared::quic::endpoint::{Accepted, Incoming, Listener};
use adit_shared::quic::{Connection, HTTP3, Lost, ReadError};
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
use self::turns::Turns;
use self::waiting::Waiting;
use crate::acme::Acme;
use crate::addresses::rate::Rate;
use crate::addresses::{Addresses, Handshaking};
use crate::auth::Auth;
use crate::edge::http3;
use crate::edge::tls::Certificates;
use crate::metrics::Metrics;
use crate::mirror::Mirrors;
use crate::queue::Inboxes;
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
    /// What is kept for agents that are away.
    pub inboxes: Inboxes,
    /// Who gets copies.
    pub mirrors: Mirrors,
    /// Where names get their certificates.
    pub certificates: Arc<Certificates>,
    /// Who orders certificates for them, if the relay does that.
    pub acme: Option<Acme>,
    /// What visitors that stopped reading hold.
    pub stalls: Stalls,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where agents come in.
    pub shard: u16,
    /// Where visitors go that come by QUIC.
    pub door: http3::Door,
    /// How public URLs are written.
    pub site: Arc<Site>,
    /// Bounds.
    pub limits: Limits,
    /// One permit for each handshake.
    pub handshakes: Arc<Semaphore>,
    /// What each address has.
    pub addresses: Addresses,
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
    /// Messages of one session a second, 0 for no bound.
    pub messages: usize,
    /// Handshakes at a time.
    pub handshakes: usize,
    /// Those of them, or of those that begin in a second, above which an address is proved first.
    pub unvalidated: usize,
    /// From the first packet to a whole hello.
    pub hello: Duration,
    /// What agents are told about how long exchanges may go on when the relay drains.
    pub drain_grace: Duration,
}

impl Join {
    /// Lets agents in until the tasks are stopped. Dropping it leaves those that are in to their tasks.
    pub async fn listen(self, listener: Listener) {
        let mut waiting = Waiting::new(WAITING);
        // Those that are over at once cost as much work as those that last.
        let (strangers, start) = (Rate::default(), Instant::now());
        let many = |now: Duration| {
            let (now, most) = (now.as_nanos() as u64, self.limits.unvalidated);
            most == 0 || self.under_way() >= most || !strangers.allows(now, most, most)
        };
        loop {
            let incoming = tokio::select! {
                biased;
                () = self.tasks.stopped() => {
                    // Agents dial again every few tenths of a second until the next relay is there.
                    listener.refuse_new();
                    return;
                }
                permit = self.handshakes.clone().acquire_owned(), if !waiting.is_empty() => {
                    let Ok(permit) = permit else { return };
                    let refuse = |incoming| self.refuse(incoming);
                    if let Some(incoming) = waiting.next(Instant::now(), refuse) {
                        self.begin(incoming, permit);
                    }
                    continue;
                }
                incoming = listener.accept() => incoming,
            };
            let Some(incoming) = incoming else { return };
            if !incoming.is_validated() && many(start.elapsed()) {
                self.metrics.limited("handshakes-unvalidated");
                incoming.retry();
                continue;
            }
            match self.handshakes.clone().try_acquire_owned() {
                Ok(permit) => self.begin(incoming, permit),
                // Only those who really are where they say may wait.
                Err(_) if !incoming.is_validated() => incoming.retry(),
                Err(_) => {
                    if let Err(incoming) = waiting.add(incoming, Instant::now()) {
                        self.refuse(incoming);
                    }
                }
            }
        }
    }

    /// Handshakes that have begun.
    fn under_way(&self) -> usize {
        let free = self.handshakes.available_permits();
        self.limits.handshakes.saturating_sub(free)
    }

    fn refuse(&self, incoming: Incoming) {
        self.metrics.handshakes_failed.inc();
        self.metrics.limited("agents-handshaking");
        incoming.refuse();
    }

    fn begin(&self, incoming: Incoming, permit: OwnedSemaphorePermit) {
        let remote = incoming.remote();
        let address = match self
            .addresses
            .handshake(remote.ip(), incoming.is_validated())
        {
            Ok(address) => address,
            Err(bound) => {
                self.metrics.limited(bound.name());
                // One that only says it is there must not keep out whoever is.
                if incoming.is_validated() {
                    self.metrics.handshakes_failed.inc();
                    incoming.refuse();
                } else {
                    incoming.retry();
                }
                return;
            }
        };
        let span = info_span!("agent", addr = %remote);
        let work = self.clone().admit(incoming, (permit, address));
        self.tasks.spawn(span, work);
    }

    async fn admit(self, incoming: Incoming, place: (OwnedSemaphorePermit, Handshaking)) {
        let remote = incoming.remote();
        let arrival = self.arrive(incoming).await;
        drop(place);
        match arrival {
            Ok(Came::Agent(arrival)) => self.stay(arrival, remote).await,
            Ok(Came::Visitor(accepted)) => self.door.admit(accepted, remote),
            Err(JoinError::Lost(Lost::Closed {
                code: Close::Goodbye,
                ..
            })) => debug!("somebody looked whether there is a way"),
            Err(error) => {
                self.metrics.handshakes_failed.inc();
                match error {
                    JoinError::Refused(refusal) => info!(reason = %refusal, "agent refused"),
                    error => {
                        if matches!(error, JoinError::Late) {
                            self.metrics.limited("hello-timeout");
                        }
                        debug!(%error, "nobody came in");
                    }
                }
            }
        }
    }

    /// From the first packet to a session that is not yet welcomed, or to a visitor.
    async fn arrive(&self, incoming: Incoming) -> Result<Came, JoinError> {
        let deadline = Instant::now() + self.limits.hello;
        let accepted = timeout_at(deadline, incoming.accept()).await;
        let accepted = accepted.map_err(|_| JoinError::Late)??;
        if accepted.protocol == HTTP3 {
            return Ok(Came::Visitor(accepted));
        }
        let connection = accepted.connection;
        if accepted.protocol != wire::ALPN {
            connection.close(Close::Protocol, "this port serves agents and HTTP/3");
            return Err(JoinError::Stranger);
        }
        let hello = timeout_at(deadline, self.greet(&connection)).await;
        hello
            .unwrap_or(Err(JoinError::Late))
            .map(|arrival| Came::Agent(Box::new(arrival)))
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
        let session = Session::new(
            newcomer,
            connection.clone(),
            account,
            self.shard,
            self.metrics.clone(),
        );
        let session = Arc::new(session);
        let sender = Sender::new(SendHalf::new(send));
        Ok(Arrival {
            session,
            grant,
            sender,
            receiver,
        })
    }

    async fn stay(&self, arrival: Box<Arrival>, remote: SocketAddr) {
        let Arrival {
            session,
            grant,
            mut sender,
            mut receiver,
        } = *arrival;
        let span = info_span!("session", id = %session.id, agent = %session.owner, %remote);
        let Some(_listed) = self.sessions.add(&session, self.limits.sessions) else {
            self.metrics.handshakes_failed.inc();
            self.metrics.limited("agents");
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
            // Beside the control stream: its writer waits when much is under way, as on a dead path.
            let beside = async {
                tokio::join!(
                    knock::answer(session.connection(), &self.metrics),
                    retire::when_idle(&session, &self.routes),
                    forbid_one_way(&session),
                )
            };
            let end = tokio::select! {
                biased;
                end = self.converse(&session, &mut claims, &mut sender, &mut receiver) => end,
                // The connection has ended, which the control stream says as well.
                (lost, (), ()) = beside => Err(ControlError::Read(ReadError::Lost(lost))),
            };
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
            session.count_packets();
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
        let mut turns = Turns::new(self.limits.messages, &self.metrics);
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
                message = turns.next(receiver) => message?,
            };
            match message {
                Some(Message::Claim(claim)) => {
                    let (state, answer) = claims.claim(claim).await;
                    if let Some(state) = state {
                        sender.send(&Message::InboxState(state)).await?;
                    }
                    sender.send(&answer).await?;
                }
                Some(Message::Mirror(asked)) => sender.send(&claims.mirror(&asked)).await?,
                Some(Message::Inbox(wish)) => claims.wish(wish),
                Some(Message::Ping { number }) => sender.send(&Message::Pong { number }).await?,
                Some(Message::Keep { session: older }) => session.keep(older),
                Some(Message::Visitors) => session.tell(),
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

/// Ends a session that opens a stream of one direction, which only visitors do.
async fn forbid_one_way(session: &Session) {
    if session.connection().accept_one_way().await.is_ok() {
        session.close(Close::Protocol, "an agent opens one stream");
    }
}

/// Closes the sessions of tokens that were revoked, within a second, until `tasks` stop. Safe to drop.
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

/// Who came in.
enum Came {
    Agent(Box<Arrival>),
    Visitor(Accepted),
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

/// Agents that may wait for one of the handshakes before them to end, on each shard. Each costs its first
/// packet.
const WAITING: usize = 2048;
/// How soon a revoked token ends its sessions.
const TOKEN_CHECK: Duration = Duration::from_secs(1);
