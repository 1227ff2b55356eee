//! The connection to the relay, for as long as the agent runs: dial, register, serve, and back again
//! when it was lost.

mod carry;
mod clocks;
pub mod connect;
mod dial;
mod hook;
mod news;
mod path;
mod peer;
mod progress;
mod pulse;
mod redial;
mod register;
mod rest;
mod serve;
mod session;
mod simulate;
mod strangled;
mod transport;
mod watch;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_shared::identity::{Identity, IdentityError};
use adit_shared::quic::carrier::Line;
use adit_shared::quic::endpoint::Dialer;
use adit_shared::quic::tls::TlsError;
use adit_shared::quic::tuning::Window;
use adit_shared::quic::{Connection, Lost};
use adit_shared::stall::{Stalls, TICK};
use adit_shared::task::Tasks;
use adit_shared::wire::code::Close;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{Span, debug};

use self::dial::{DialError, Dialled};
pub use self::peer::Peer;
use self::register::{Coming, RegisterError, Registered};
use self::rest::Rest;
use self::session::End;
use self::simulate::Simulator;
use crate::config::{Config, RelayAddress};
use crate::local::{self, LocalError};
use crate::origin::{OriginError, Upstream};
use crate::status::{Event, Status};
use crate::webhook::Desk;

/// A connection inside a carrier. Dropped, it is lost.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) dialer: Dialer,
    pub(crate) connection: Connection,
    _line: Option<Line>,
}

/// Connects to the relay over TCP, at `address` or at what only its proxy knows, for somebody who looks
/// whether that works. Safe to drop.
///
/// # Errors
///
/// What failed, in words.
pub(crate) async fn over_tcp(
    peer: &Peer,
    address: Option<SocketAddr>,
    tasks: &Tasks,
) -> Result<Carried, String> {
    let dialled = dial::over_tcp(peer, address, Window::ByPath, tasks).await;
    let dialled = dialled.map_err(|error| error.to_string())?;
    Ok(Carried {
        dialer: dialled.dialer,
        connection: dialled.connection,
        _line: dialled.way.line,
    })
}

/// Why the agent stops.
#[derive(Debug, Error)]
pub enum Stop {
    /// It was asked to.
    #[error("stopped as asked")]
    Asked,
    /// The relay refused it; trying again does not help.
    #[error("{0}")]
    Refused(String),
    /// Another agent with the same identity serves the tunnels now.
    #[error("{0}; this one stops")]
    Replaced(String),
    /// The relay cannot be reached, and the agent was told not to wait.
    #[error("{0}")]
    Unreachable(String),
    /// There is no key pair.
    #[error("the agent has no identity")]
    Identity(#[from] IdentityError),
    /// The origin's settings cannot be used.
    #[error("cannot use the origin's settings")]
    Origin(#[from] OriginError),
    /// There is no relay in this process.
    #[error("cannot run a relay in this process")]
    Local(#[from] LocalError),
    /// The relay's certificate settings cannot be used.
    #[error("cannot set up TLS for the relay")]
    Tls(#[from] TlsError),
}

/// What all sessions with one relay share.
#[derive(Clone, Debug)]
struct Agent {
    /// Knows one relay.
    config: Config,
    identity: Arc<Identity>,
    /// Random for this process, so that a relay can tell it from another with the same identity.
    instance: [u8; 16],
    upstreams: Arc<[Upstream]>,
    desk: Desk,
    /// Says of which relay it speaks, when there are several.
    status: Status,
    stalls: Stalls,
    /// What fails on purpose.
    simulator: Option<Arc<Simulator>>,
    tasks: Tasks,
    /// Says that a session which this relay had begun to drain has ended: the relay may be back soon.
    left: Arc<Notify>,
}

/// Serves the tunnels of `config` until `tasks` are stopped or going on makes no sense. Not to be dropped before:
/// a relay in this process would end undrained.
///
/// # Errors
///
/// [`Stop`], unless it was asked to stop.
pub async fn run(config: Config, status: Status, tasks: Tasks) -> Result<(), Stop> {
    let (mut relays, mut local) = (Vec::new(), None);
    for config in config.split() {
        let peer = match &config.relay {
            RelayAddress::Remote { host, port } => {
                let peer = Peer::new(host.clone(), *port, config.trust.as_ref())?;
                peer.with_transport(config.transport, config.proxy.clone())
            }
            RelayAddress::Local => {
                let started = local::start(&config).await?;
                local = Some(started.relay);
                Peer::new(started.host, started.port, Some(&started.trust))?
            }
        };
        let peer = peer.with_congestion(config.congestion);
        relays.push((config, peer));
    }
    let ended = serve(relays, status, tasks).await;
    if let Some(relay) = local {
        relay.drain().await;
    }
    ended
}

/// Serves the same tunnels through each of `relays`, until none is left.
async fn serve(relays: Vec<(Config, Peer)>, status: Status, tasks: Tasks) -> Result<(), Stop> {
    let Some((config, _)) = relays.first().cloned() else {
        return Ok(());
    };
    let identity = Identity::load_or_create(&config.identity())?;
    let mut instance = [0; 16];
    // Without randomness all processes of an identity look like one, which only shows in logs.
    let _ = aws_lc_rs::rand::fill(&mut instance);
    let upstreams: Result<Vec<_>, _> = config
        .tunnels
        .iter()
        .map(|tunnel| Upstream::new(tunnel, tasks.clone()))
        .collect();
    let simulator = config.simulate.clone().map(|knobs| {
        tracing::warn!("failures are simulated: --simulate {knobs}");
        Arc::new(Simulator::new(knobs))
    });
    let agent = Arc::new(Agent {
        stalls: Stalls::new(config.stalled),
        simulator,
        desk: Desk::new(config.events(), config.fetch.clone()),
        config,
        identity: Arc::new(identity),
        instance,
        upstreams: upstreams?.into(),
        status,
        tasks,
        left: Arc::default(),
    });
    let watch = agent.clone();
    agent
        .tasks
        .spawn(Span::none(), async move { watch_origins(&watch).await });
    let watch = agent.clone();
    agent
        .tasks
        .spawn(Span::none(), async move { watch_stalls(&watch).await });
    let mut stays = FuturesUnordered::new();
    let several = relays.len() > 1;
    for (config, peer) in relays {
        let name = several.then(|| config.relay.to_string());
        let one = Arc::new(Agent {
            status: name.map_or_else(|| agent.status.clone(), |name| agent.status.of(&name)),
            config,
            left: Arc::default(),
            ..Agent::clone(&agent)
        });
        stays.push(async move {
            let stop = one.stay(&peer).await;
            one.left(&stop, several);
            stop
        });
    }
    // One that does not want us is no reason to leave the others. The first that ended is the reason
    // for the end, unless it was asked for.
    let mut first = None;
    while let Some(stop) = stays.next().await {
        if matches!(stop, Stop::Asked) {
            first = Some(stop);
        } else {
            first.get_or_insert(stop);
        }
    }
    drop(timeout(LAST_WRITE, agent.desk.flush()).await);
    match first {
        None | Some(Stop::Asked) => Ok(()),
        Some(stop) => Err(stop),
    }
}

impl Agent {
    /// Says that this relay is given up, when others go on.
    fn left(&self, stop: &Stop, several: bool) {
        if several && !matches!(stop, Stop::Asked) {
            self.status.emit(Event::Offline {
                reason: stop.to_string(),
                retry_in: None,
            });
        }
    }

    /// One session after the other.
    async fn stay(self: &Arc<Self>, peer: &Peer) -> Stop {
        let mut rest = Rest::new(self.left.clone());
        // Until a first session was welcomed, a refused claim is the user's to mend.
        let mut welcomed = false;
        let mut next = None;
        loop {
            let registered = match next.take() {
                Some(registered) => Some(Ok(registered)),
                None => {
                    self.or_stopped(self.connect(peer, welcomed, &mut rest))
                        .await
                }
            };
            let mut outage = None;
            let reason = match registered {
                None => return Stop::Asked,
                Some(Ok(registered)) => {
                    welcomed = true;
                    let since = Instant::now();
                    let end;
                    (end, outage) = self.session(peer, registered).await;
                    // A relay that lets us in and drops us at once is not to be hammered.
                    if since.elapsed() > SETTLED {
                        rest.begin_anew();
                    }
                    match end {
                        End::Stopped => return Stop::Asked,
                        End::Superseded(registered) => {
                            next = Some(*registered);
                            continue;
                        }
                        End::Draining => {
                            debug!("relay drains; dialling again");
                            continue;
                        }
                        End::Lost(Lost::Closed {
                            code: Close::Replaced,
                            reason,
                        }) => {
                            return Stop::Replaced(reason);
                        }
                        End::Lost(Lost::Closed { code, reason }) if code.is_final() => {
                            return Stop::Refused(reason);
                        }
                        End::Lost(_) if outage.is_some() => "simulated: --simulate offline".into(),
                        End::Lost(lost) => lost.to_string(),
                    }
                }
                Some(Err(RegisterError::Refused(reason))) => return Stop::Refused(reason),
                Some(Err(error)) => error.to_string(),
            };
            if self.config.once && !welcomed {
                return Stop::Unreachable(reason);
            }
            let delay = outage.unwrap_or_else(|| rest.delay());
            self.status.emit(Event::Offline {
                reason,
                retry_in: Some(delay),
            });
            let waited = async {
                match outage {
                    // News of the real network do not end it.
                    Some(outage) => tokio::time::sleep(outage).await,
                    None => rest.wait(delay).await,
                }
            };
            if self.or_stopped(waited).await.is_none() {
                return Stop::Asked;
            }
        }
    }

    /// A session from its begin to its end, or to an outage that is simulated: then also how long that lasts.
    async fn session(
        self: &Arc<Self>,
        peer: &Peer,
        registered: Registered,
    ) -> (End, Option<Duration>) {
        let outage = self.simulator.as_ref().and_then(|one| one.outage());
        let connection = registered.dialled.connection.clone();
        let mut session = Box::pin(session::run(self, peer, registered));
        let Some((after, lasts)) = outage else {
            return (session.await, None);
        };
        tokio::select! {
            biased;
            end = &mut session => return (end, None),
            () = tokio::time::sleep(after) => {}
        }
        connection.close(Close::Internal, "simulated");
        (session.await, Some(lasts))
    }

    /// A session with the relay.
    async fn connect(
        &self,
        peer: &Peer,
        again: bool,
        rest: &mut Rest,
    ) -> Result<Registered, RegisterError> {
        let dialled = if again {
            let dialled = redial::redial(peer, self.config.window, &self.tasks, rest).await;
            dialled.map_err(RegisterError::from)?
        } else {
            self.dial(peer).await?
        };
        let coming = if again { Coming::Again } else { Coming::First };
        register::register(self, dialled, coming).await
    }

    async fn dial(&self, peer: &Peer) -> Result<Dialled, RegisterError> {
        let dialled = dial::dial(peer, self.config.window, dial::HEAD_START, &self.tasks).await;
        dialled.map_err(RegisterError::from)
    }

    async fn or_stopped<F: Future>(&self, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.tasks.stopped() => None,
            done = work => Some(done),
        }
    }
}

impl From<DialError> for RegisterError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Refused(reason) => Self::Refused(reason),
            other => Self::Dial(other),
        }
    }
}

/// Says once when an origin is down, and when it is back. That is no reason to do anything else.
async fn watch_origins(agent: &Agent) {
    let mut down = vec![false; agent.upstreams.len()];
    loop {
        for (at, upstream) in agent.upstreams.iter().enumerate() {
            let is_down = !upstream.is_up().await;
            if std::mem::replace(&mut down[at], is_down) != is_down {
                let tunnel = agent.config.tunnels[at].label.clone();
                let origin = agent.config.tunnels[at].origin.to_string();
                agent.status.emit(if is_down {
                    Event::OriginDown { tunnel, origin }
                } else {
                    Event::OriginUp { tunnel, origin }
                });
            }
        }
        // An origin that is up shows by its answers when it goes; looking for it often would only
        // fill its log.
        let pause = if down.contains(&true) {
            LOOK_SOON
        } else {
            LOOK_LATE
        };
        if agent.or_stopped(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Cuts uploads that origins stopped reading when they hold too much.
async fn watch_stalls(agent: &Agent) {
    while agent.or_stopped(tokio::time::sleep(TICK)).await.is_some() {
        let found = agent.stalls.sweep(Instant::now());
        if found.cut > 0 {
            debug!(
                cut = found.cut,
                held = found.held,
                "stalled uploads are cut"
            );
        }
    }
}

/// How long the disk may take to what is remembered of webhooks, at the end.
const LAST_WRITE: Duration = Duration::from_secs(1);
/// A session that lasts this long has worked.
const SETTLED: Duration = Duration::from_secs(5);
/// How often an origin is looked for while it is down, and while it is up.
const LOOK_SOON: Duration = Duration::from_millis(500);
const LOOK_LATE: Duration = Duration::from_secs(10);
