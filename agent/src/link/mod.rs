//! The connection to the relay, for as long as the agent runs: dial, register, serve, and back again
//! when it was lost.

mod dial;
mod progress;
mod register;
mod serve;
mod session;
mod watch;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_shared::backoff::Backoff;
use adit_shared::identity::{Identity, IdentityError};
use adit_shared::quic::Lost;
use adit_shared::quic::tls::TlsError;
use adit_shared::stall::{Stalls, TICK};
use adit_shared::task::Tasks;
use adit_shared::wire::code::Close;
use thiserror::Error;
use tracing::{Span, debug};

use self::dial::DialError;
pub use self::dial::Peer;
use self::register::{RegisterError, Registered};
use self::session::End;
use crate::config::{Config, RelayAddress};
use crate::local::{self, LocalError};
use crate::origin::{OriginError, Upstream};
use crate::status::{Event, Status};

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

/// What all sessions of this process share.
#[derive(Debug)]
struct Agent {
    config: Config,
    identity: Identity,
    /// Random for this process, so that a relay can tell it from another with the same identity.
    instance: [u8; 16],
    upstreams: Vec<Upstream>,
    status: Status,
    stalls: Stalls,
    tasks: Tasks,
}

/// Serves the tunnels of `config` until `tasks` are stopped or going on makes no sense.
///
/// # Errors
///
/// [`Stop`], unless it was asked to stop.
pub async fn run(config: Config, status: Status, tasks: Tasks) -> Result<(), Stop> {
    let (peer, local) = match &config.relay {
        RelayAddress::Remote { host, port } => {
            (Peer::new(host.clone(), *port, config.trust.as_ref())?, None)
        }
        RelayAddress::Local => {
            let local = local::start(&config).await?;
            (
                Peer::new(local.host, local.port, Some(&local.trust))?,
                Some(local.relay),
            )
        }
    };
    let ended = serve(config, &peer, status, tasks).await;
    if let Some(relay) = local {
        relay.drain().await;
    }
    ended
}

async fn serve(config: Config, peer: &Peer, status: Status, tasks: Tasks) -> Result<(), Stop> {
    let identity = Identity::load_or_create(&config.identity())?;
    let mut instance = [0; 16];
    // Without randomness all processes of an identity look like one, which only shows in logs.
    let _ = aws_lc_rs::rand::fill(&mut instance);
    let upstreams: Result<Vec<_>, _> = config
        .tunnels
        .iter()
        .map(|tunnel| Upstream::new(tunnel, tasks.clone()))
        .collect();
    let agent = Arc::new(Agent {
        stalls: Stalls::new(config.stalled),
        config,
        identity,
        instance,
        upstreams: upstreams?,
        status,
        tasks,
    });
    let watch = agent.clone();
    agent
        .tasks
        .spawn(Span::none(), async move { watch_origins(&watch).await });
    let watch = agent.clone();
    agent
        .tasks
        .spawn(Span::none(), async move { watch_stalls(&watch).await });
    match agent.stay(peer).await {
        Stop::Asked => Ok(()),
        stop => Err(stop),
    }
}

impl Agent {
    /// One session after the other.
    async fn stay(self: &Arc<Self>, peer: &Peer) -> Stop {
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        // Until a first session was welcomed, a refused claim is the user's to mend.
        let mut welcomed = false;
        loop {
            let reason = match self.or_stopped(self.connect(peer, welcomed)).await {
                None => return Stop::Asked,
                Some(Ok(registered)) => {
                    welcomed = true;
                    let since = Instant::now();
                    let end = session::run(self, registered).await;
                    // A relay that lets us in and drops us at once is not to be hammered.
                    if since.elapsed() > SETTLED {
                        backoff.reset();
                    }
                    match end {
                        End::Stopped => return Stop::Asked,
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
                        End::Lost(lost) => lost.to_string(),
                    }
                }
                Some(Err(RegisterError::Refused(reason))) => return Stop::Refused(reason),
                Some(Err(error)) => error.to_string(),
            };
            if self.config.once && !welcomed {
                return Stop::Unreachable(reason);
            }
            let delay = backoff.next_delay();
            self.status.emit(Event::Offline {
                reason,
                retry_in: Some(delay),
            });
            if self.or_stopped(tokio::time::sleep(delay)).await.is_none() {
                return Stop::Asked;
            }
        }
    }

    async fn connect(&self, peer: &Peer, again: bool) -> Result<Registered, RegisterError> {
        let (dialer, connection) = dial::dial(peer, self.config.window)
            .await
            .map_err(|error| match error {
                DialError::Refused(reason) => RegisterError::Refused(reason),
                other => RegisterError::Dial(other),
            })?;
        register::register(self, dialer, connection, again).await
    }

    async fn or_stopped<F: Future>(&self, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.tasks.stopped() => None,
            done = work => Some(done),
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

/// Waits between tries to reach the relay: the first is at once.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(15);
/// A session that lasts this long has worked.
const SETTLED: Duration = Duration::from_secs(5);
/// How often an origin is looked for while it is down, and while it is up.
const LOOK_SOON: Duration = Duration::from_millis(500);
const LOOK_LATE: Duration = Duration::from_secs(10);
