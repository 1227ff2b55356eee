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

use adit_shared::quic::endpoint::{Bound, EndpointError, Listener};
use adit_shared::stall::Stalls;
use adit_shared::task::Tasks;
use ipnet::IpNet;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tracing::Span;

use crate::auth::Auth;
use crate::config::Limits;
use crate::edge::neighbours::{Inbox, Neighbours};
use crate::edge::serve::Service;
use crate::edge::tcp::{self, Role};
use crate::edge::tls::Certificates;
use crate::forward::{Forward, HeadLimit};
use crate::join::{self, Join, Site};
use crate::metrics::Metrics;
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
    pub(crate) certificates: Arc<Certificates>,
    /// What visitors that stopped reading hold.
    pub(crate) stalls: Stalls,
    pub(crate) site: Arc<Site>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) limits: Limits,
    pub(crate) drain_grace: Duration,
    /// What the listener without TLS does.
    pub(crate) plain: Role,
    /// What the one with TLS shows.
    pub(crate) tls: Arc<ServerConfig>,
    /// One permit for each visitor's connection.
    pub(crate) connections: Arc<Semaphore>,
    /// One permit for each agent that has not said who it is.
    pub(crate) handshakes: Arc<Semaphore>,
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
        let quic = quic.map(|quic| quic.with_window(common.limits.window));
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
            visitors.spawn(Span::none(), doors.inbox.serve(service));
        }
        let join = Join {
            auth: common.auth,
            routes: common.routes,
            sessions: common.sessions,
            store: common.store,
            certificates: common.certificates,
            stalls: common.stalls,
            metrics: shard.metrics.clone(),
            shard: number,
            site: common.site,
            limits: join::Limits {
                sessions: common.limits.agents,
                exchanges: common.limits.exchanges_per_agent,
                tunnels: common.limits.tunnels_per_agent,
                hello: common.limits.hello_timeout,
                drain_grace: common.drain_grace,
            },
            handshakes: common.handshakes,
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
                trusted_proxies: common.trusted_proxies.clone(),
                head: HeadLimit {
                    bytes: common.limits.head_bytes,
                    fields: common.limits.head_fields,
                },
            },
            tasks: self.visitors.clone(),
            metrics: self.metrics.clone(),
            neighbours,
            head_timeout: common.limits.head_timeout,
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
