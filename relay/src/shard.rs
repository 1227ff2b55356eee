//! One shard: sockets, tasks and counters that are touched by one thread alone, and what runs there.
//!
//! A session and its exchanges live on the shard whose socket it came to. Shards have in common
//! what [`Common`] says; none of it is written on the path of an exchange. The first shard runs on
//! the runtime that the relay is started on, each other one on a thread and runtime of its own.

use std::io;
use std::net::TcpListener as BoundTcp;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use adit_shared::quic::Congestion;
use adit_shared::quic::endpoint::{Bound, EndpointError, Listener};
use adit_shared::stall::Stalls;
use adit_shared::task::Tasks;
use http::HeaderValue;
use ipnet::IpNet;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tracing::Span;

use crate::acme::Acme;
use crate::addresses::Addresses;
use crate::auth::Auth;
use crate::config::Limits;
use crate::edge::carrier::Door;
use crate::edge::http3;
use crate::edge::neighbours::{Inbox, Neighbours};
use crate::edge::proxied::Proxies;
use crate::edge::serve::{Patience, Service};
use crate::edge::tcp::{self, Role};
use crate::edge::tls::Certificates;
use crate::forward::allowance::Allowance;
use crate::forward::notice::Notice;
use crate::forward::webhook::Webhooks;
use crate::forward::{BodyLimit, Forward, HeadLimit, ROOM};
use crate::join::{self, Join, Site};
use crate::metrics::Metrics;
use crate::mirror::Mirrors;
use crate::queue::Inboxes;
use crate::route::Routes;
use crate::sessions::Sessions;
use crate::store::Store;

/// What all shards of a relay have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) auth: Auth,
    pub(crate) routes: Routes,
    pub(crate) sessions: Sessions,
    pub(crate) store: Store,
    /// What is kept for agents that are away.
    pub(crate) inboxes: Inboxes,
    pub(crate) mirrors: Mirrors,
    /// Which webhooks must be genuine, if any.
    pub(crate) webhooks: Option<Arc<Webhooks>>,
    pub(crate) certificates: Arc<Certificates>,
    /// Who orders certificates, if the relay does that.
    pub(crate) acme: Option<Acme>,
    /// What visitors that stopped reading hold.
    pub(crate) stalls: Stalls,
    pub(crate) site: Arc<Site>,
    /// What browsers see first, if anything.
    pub(crate) notice: Option<Arc<Notice>>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Who says where the connections come from that they pass on.
    pub(crate) proxies: Proxies,
    pub(crate) limits: Limits,
    pub(crate) drain_grace: Duration,
    pub(crate) congestion: Congestion,
    /// What the listener without TLS does.
    pub(crate) plain: Role,
    /// What the one with TLS shows.
    pub(crate) tls: Arc<ServerConfig>,
    /// Where visitors over TLS may come instead.
    pub(crate) alternative: Option<HeaderValue>,
    /// What each address has.
    pub(crate) addresses: Addresses,
    /// Requests in flight.
    pub(crate) allowance: Arc<Allowance>,
    /// One permit for each visitor's connection.
    pub(crate) connections: Arc<Semaphore>,
    /// One permit for each agent that has not said who it is.
    pub(crate) handshakes: Arc<Semaphore>,
    /// One permit for each connection that carries an agent's QUIC inside TCP.
    pub(crate) carriers: Arc<Semaphore>,
    /// Visitors of all shards. It runs nothing itself.
    pub(crate) visitors: Tasks,
    /// Agents of all shards. It runs nothing itself.
    pub(crate) agents: Tasks,
}

/// The sockets of one shard, which no runtime drives yet.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) http: Option<BoundTcp>,
    pub(crate) https: Option<BoundTcp>,
    pub(crate) quic: Option<Bound>,
    pub(crate) neighbours: Neighbours,
    pub(crate) inbox: Inbox,
}

/// A shard that runs.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) quic: Option<Listener>,
    /// Visitors' connections and everything that they started.
    pub(crate) visitors: Tasks,
    /// Agents' sessions.
    pub(crate) agents: Tasks,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) thread: Option<Thread>,
}

/// A shard's thread. Dropped, it ends at once.
#[derive(Debug)]
pub(crate) struct Thread {
    number: u16,
    end: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Shard {
    /// Starts a shard on the current runtime. All that it writes to is made here, so that it is the
    /// memory of this thread.
    ///
    /// # Errors
    ///
    /// [`ShardError`].
    pub(crate) fn start(common: Common, doors: Doors) -> Result<Self, ShardError> {
        let quic = doors.quic.map(Bound::listen).transpose()?;
        let quic = quic.map(|quic| {
            let requests = common.limits.streams_per_connection;
            quic.with_window(common.limits.window)
                .with_congestion(common.congestion)
                .with_requests(u32::try_from(requests).unwrap_or(u32::MAX))
        });
        let http = doors.http.map(driven).transpose()?;
        let https = doors.https.map(driven).transpose()?;
        let shard = Self {
            quic,
            visitors: common.visitors.apart(),
            agents: common.agents.apart(),
            metrics: Arc::default(),
            thread: None,
        };
        let number = doors.neighbours.here();
        let service = Arc::new(shard.service(&common, doors.neighbours));
        let visitors = &shard.visitors;
        let connections = &common.connections;
        for (listener, role) in [(http, common.plain), (https, Role::Tls(common.tls))] {
            if let Some(listener) = listener {
                let work = tcp::listen(listener, role, service.clone(), connections.clone());
                visitors.spawn(Span::none(), work);
            }
        }
        if service.neighbours.exist() {
            visitors.spawn(Span::none(), doors.inbox.serve(service.clone()));
        }
        let join = Join {
            auth: common.auth,
            routes: common.routes,
            sessions: common.sessions,
            store: common.store,
            inboxes: common.inboxes,
            mirrors: common.mirrors,
            certificates: common.certificates,
            acme: common.acme,
            stalls: common.stalls,
            metrics: shard.metrics.clone(),
            shard: number,
            door: http3::Door {
                service,
                connections: common.connections,
            },
            site: common.site,
            limits: join::Limits {
                sessions: common.limits.agents,
                exchanges: common.limits.exchanges_per_agent,
                tunnels: common.limits.tunnels_per_agent,
                messages: common.limits.messages_per_agent,
                hello: common.limits.hello_timeout,
                handshakes: common.limits.agents_handshaking,
                unvalidated: common.limits.handshakes_unvalidated,
                drain_grace: common.drain_grace,
            },
            handshakes: common.handshakes,
            addresses: common.addresses,
            tasks: shard.agents.clone(),
        };
        if let Some(listener) = &shard.quic {
            shard
                .agents
                .spawn(Span::none(), join.listen(listener.clone()));
        }
        Ok(shard)
    }

    /// Starts a shard on a thread of its own. Dropped before its end, the shard ends.
    ///
    /// # Errors
    ///
    /// [`ShardError`].
    pub(crate) async fn start_apart(common: Common, doors: Doors) -> Result<Self, ShardError> {
        let number = doors.neighbours.here();
        let (say_started, started) = oneshot::channel();
        let (end, ends) = oneshot::channel();
        let (last, ended) = oneshot::channel();
        let work = move || {
            // Dropped after everything else, with a panic too.
            let _last: oneshot::Sender<()> = last;
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(say_started.send(Err(ShardError::Thread(error)))),
            };
            runtime.block_on(async move {
                // When nobody waits for it any more, it ends with this block.
                if say_started.send(Self::start(common, doors)).is_ok() {
                    // Nothing is ever sent.
                    let _: Result<(), _> = ends.await;
                }
            });
            // What is left was given up, and must not hold up the end.
            runtime.shutdown_background();
        };
        thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(work)
            .map_err(ShardError::Thread)?;
        let mut shard = started.await.map_err(|_| ShardError::Lost(number))??;
        shard.thread = Some(Thread { number, end, ended });
        Ok(shard)
    }

    fn service(&self, common: &Common, neighbours: Neighbours) -> Service {
        Service {
            forward: Forward {
                routes: common.routes.clone(),
                tasks: self.visitors.clone(),
                metrics: self.metrics.clone(),
                domain: common.site.domain.clone(),
                notice: common.notice.clone(),
                trusted_proxies: common.trusted_proxies.clone(),
                head: HeadLimit {
                    bytes: common.limits.head_bytes,
                    fields: common.limits.head_fields,
                },
                body: BodyLimit {
                    bytes: match common.limits.request_bytes {
                        0 => u64::MAX,
                        bytes => bytes as u64,
                    },
                    least: common.limits.uploads(),
                },
                allowance: Arc::new(common.allowance.apart()),
                per_tunnel: common.limits.exchanges_per_tunnel,
                kept: Arc::new(Semaphore::new(ROOM)),
                inboxes: common.inboxes.clone(),
                mirrors: common.mirrors.clone(),
                webhooks: common.webhooks.clone(),
            },
            tasks: self.visitors.clone(),
            metrics: self.metrics.clone(),
            proxies: common.proxies.clone(),
            neighbours,
            door: self.quic.as_ref().map(|quic| Door {
                carriers: quic.carriers().clone(),
                permits: common.carriers.clone(),
            }),
            issued: common.certificates.issued().cloned(),
            addresses: common.addresses.clone(),
            alternative: common.alternative.clone(),
            patience: Patience {
                handshake: common.limits.handshake_timeout,
                head: common.limits.head_timeout,
                idle: common.limits.idle_timeout,
                download: common.limits.downloads(),
            },
            streams: u32::try_from(common.limits.streams_per_connection).unwrap_or(u32::MAX),
        }
    }
}

fn driven(listener: BoundTcp) -> Result<TcpListener, ShardError> {
    TcpListener::from_std(listener).map_err(ShardError::Listen)
}

impl Thread {
    /// Ends the thread, and waits for it. Safe to drop.
    pub(crate) async fn end(self) {
        drop(self.end);
        // Nothing is ever sent: what is heard is that the thread let go.
        drop(self.ended.await);
    }

    /// Ends when the thread has ended without being told to. Safe to drop.
    pub(crate) async fn lost(&mut self) -> ShardError {
        drop((&mut self.ended).await);
        ShardError::Lost(self.number)
    }
}

/// Why a shard does not run.
#[derive(Debug, Error)]
pub enum ShardError {
    /// There is no thread or no runtime for it.
    #[error("cannot start a thread for a shard")]
    Thread(#[source] io::Error),
    /// A socket for visitors cannot be used.
    #[error("cannot use a socket for visitors")]
    Listen(#[source] io::Error),
    /// The socket for agents cannot be used.
    #[error("cannot use the socket for agents")]
    Quic(#[from] EndpointError),
    /// Its thread ended, most likely in a panic that the log shows.
    #[error("shard {0} has ended though nobody told it to")]
    Lost(u16),
}
