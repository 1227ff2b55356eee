//! A relay and agents in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use adit_agent::config::{
    Config as AgentConfig, HostHeader, Keep, Origin, RelayAddress, STALLED, TransportChoice,
    Tunnel, Webhooks,
};
use adit_agent::link::{self, Stop};
use adit_agent::status::{Event, Status};
use adit_relay::config::Config;
use adit_relay::{Relay, StartError};
use adit_shared::quic::Congestion;
use adit_shared::quic::tls::{Pin, Trust, read_certificates};
use adit_shared::quic::tuning::Window;
use adit_shared::task::Tasks;
use adit_shared::telemetry::LogFormat;
use adit_shared::webhook::fetch::Way;
use tokio::sync::{broadcast, oneshot};
use tracing::Span;

use crate::{SOON, soon};

/// A relay on free ports of loopback, with a state directory of its own.
#[derive(Debug)]
pub struct World {
    relay: Option<Relay>,
    state: Scratch,
    /// Where visitors go without TLS.
    pub http: SocketAddr,
    /// Where visitors go with TLS.
    pub https: SocketAddr,
    /// Where agents go.
    pub quic: SocketAddr,
    /// Where operators go.
    pub admin: SocketAddr,
    tasks: Tasks,
}

impl World {
    /// A relay as it is by default.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A relay with a changed configuration.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        adit_shared::telemetry::init(LogFormat::Text, "warn");
        Self::in_state(Scratch::new(), change).await
    }

    async fn in_state(state: Scratch, change: impl FnOnce(&mut Config)) -> Self {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut config = Config::local_for_agent(state.path().join("relay"), any, any);
        config.admin = Some(any);
        config.drain_grace = Duration::from_secs(5);
        change(&mut config);
        let relay = soon("the relay starts", start(config)).await;
        let ready = relay.ready().clone();
        Self {
            relay: Some(relay),
            state,
            http: ready.http.unwrap(),
            https: ready.https.unwrap(),
            quic: ready.quic.unwrap(),
            admin: ready.admin.unwrap(),
            tasks: Tasks::default(),
        }
    }

    /// Where relay and agents keep their state.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// The relay's development CA.
    pub fn ca(&self) -> PathBuf {
        self.state.path().join("relay/ca.pem")
    }

    /// The host of a name.
    pub fn host(&self, name: &str) -> String {
        format!("{name}.localhost")
    }

    /// An agent of a fresh identity that serves `origin` as `name`, and is online.
    pub async fn agent(&self, name: &str, origin: SocketAddr) -> Agent {
        self.agent_with(name, &format!("http://{origin}"), |_| {})
            .await
    }

    /// As [`agent`](Self::agent), for any origin, with a changed configuration.
    pub async fn agent_with(
        &self,
        name: &str,
        origin: &str,
        change: impl FnOnce(&mut AgentConfig),
    ) -> Agent {
        let mut agent = self.start_agent(name, origin, change);
        agent.online().await;
        agent
    }

    /// An agent that has only been started.
    pub fn start_agent(
        &self,
        name: &str,
        origin: &str,
        change: impl FnOnce(&mut AgentConfig),
    ) -> Agent {
        let mut config = self.agent_config(name, origin);
        change(&mut config);
        Agent::start(config)
    }

    /// The configuration of an agent of a fresh identity.
    pub fn agent_config(&self, name: &str, origin: &str) -> AgentConfig {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let trust = Trust::Roots(read_certificates(&self.ca()).unwrap());
        let origin = if origin == "echo" {
            Origin::Echo
        } else {
            origin.parse().unwrap()
        };
        AgentConfig {
            relay: RelayAddress::Remote {
                host: "127.0.0.1".into(),
                port: self.quic.port(),
            },
            trust: Some(trust),
            transport: TransportChoice::Udp,
            proxy: None,
            token: None,
            others: Vec::new(),
            tunnels: vec![Tunnel {
                id: 0,
                label: origin.to_string(),
                name: (!name.is_empty()).then(|| name.parse().unwrap()),
                host: None,
                origin,
                host_header: HostHeader::Keep,
                origin_timeout: Duration::from_secs(30),
                inbox: None,
                mirror: None,
                webhooks: Webhooks::default(),
            }],
            state_dir: self.state.path().join(format!("agent-{count}")),
            inspect: None,
            keep: Keep::default(),
            json: false,
            qr: false,
            once: false,
            drain_grace: Duration::from_secs(5),
            congestion: Congestion::default(),
            window: Window::ByPath,
            stalled: STALLED,
            simulate: None,
            fetch: Way::default(),
            log_format: LogFormat::Text,
        }
    }

    /// Ends the relay and starts it again on the same ports and state.
    pub async fn restart_relay(mut self, gap: impl Future<Output = ()>) -> Self {
        let relay = self.relay.take().unwrap();
        relay.drain().await;
        gap.await;
        let (http, https, quic) = (self.http, self.https, self.quic);
        let state = std::mem::replace(&mut self.state, Scratch::none());
        Self::in_state(state, |config| {
            (config.http, config.https, config.quic) = (Some(http), Some(https), Some(quic));
        })
        .await
    }

    /// Ends the relay in the orderly way. True when everything ended by itself.
    pub async fn drain(&mut self) -> bool {
        let relay = self.relay.take().unwrap();
        soon("the relay drains", relay.drain()).await
    }

    /// Begins to end the relay; the result comes from the receiver.
    pub fn begin_drain(&mut self) -> oneshot::Receiver<bool> {
        let relay = self.relay.take().unwrap();
        let (done, end) = oneshot::channel();
        self.tasks.spawn(Span::none(), async move {
            let clean = relay.drain().await;
            // Whoever asked may no longer want to know.
            let _ = done.send(clean);
        });
        end
    }
}

/// An agent in this process. Dropped, it is gone as if killed.
#[derive(Debug)]
pub struct Agent {
    tasks: Tasks,
    runner: Tasks,
    /// What it says.
    pub events: broadcast::Receiver<Event>,
    /// What it knows.
    pub status: Status,
    /// The first URL that it was given.
    pub url: String,
    config: AgentConfig,
    end: Option<oneshot::Receiver<Result<(), Stop>>>,
}

impl Agent {
    /// Starts an agent.
    pub fn start(config: AgentConfig) -> Self {
        let (status, tasks, runner) = (Status::new(), Tasks::default(), Tasks::default());
        let events = status.subscribe();
        let (done, end) = oneshot::channel();
        let run = link::run(config.clone(), status.clone(), tasks.clone());
        runner.spawn(Span::none(), async move {
            drop(done.send(run.await));
        });
        Self {
            tasks,
            runner,
            events,
            status,
            url: String::new(),
            config,
            end: Some(end),
        }
    }

    /// Waits until it says that it is online.
    pub async fn online(&mut self) {
        let url = self.wait("agent online", |event| match event {
            Event::Online { url, .. } => Some(url),
            Event::Refused { message, .. } => panic!("refused: {message}"),
            _ => None,
        });
        self.url = url.await;
    }

    /// Waits for an event from which `pick` makes something.
    pub async fn wait<T>(&mut self, what: &str, pick: impl Fn(Event) -> Option<T>) -> T {
        let find = async {
            loop {
                match self.events.recv().await {
                    Ok(event) => {
                        if let Some(found) = pick(event) {
                            return found;
                        }
                    }
                    Err(error) => panic!("agent says no more ({error}) before: {what}"),
                }
            }
        };
        soon(what, find).await
    }

    /// The next event of those that have happened already.
    pub fn next_now(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// The configuration that it was started with.
    pub fn config(&self) -> AgentConfig {
        self.config.clone()
    }

    /// Asks it to stop and waits for the end. True when no task was left.
    pub async fn stop(mut self) -> bool {
        self.tasks.stop();
        let end = self.end.take().unwrap();
        soon("the agent ends", end).await.unwrap().unwrap();
        self.tasks.drain(SOON).await
    }

    /// Asks it to stop, and does not wait.
    pub fn begin_stop(&self) {
        self.tasks.stop();
    }

    /// Waits until it ends by itself, and says why.
    pub async fn ended(&mut self) -> Result<(), Stop> {
        let end = self.end.take().unwrap();
        soon("the agent ends", end).await.unwrap()
    }

    /// Kills it: nothing is said to anybody.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.runner.abort();
        self.tasks.abort();
    }
}

/// Starts a relay, if need be on the port of one that has just ended: the socket of that one goes
/// only when the QUIC library's own task has noticed.
async fn start(config: Config) -> Relay {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    loop {
        ticks.tick().await;
        match adit_relay::start(config.clone()).await {
            Err(StartError::Quic(_)) => {}
            started => return started.unwrap(),
        }
    }
}

/// A directory that goes when it is dropped.
#[derive(Debug)]
pub struct Scratch(Option<PathBuf>);

impl Scratch {
    /// A fresh one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("adit-test-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(Some(path))
    }

    fn none() -> Self {
        Self(None)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.as_deref().unwrap()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            drop(std::fs::remove_dir_all(path));
        }
    }
}

impl World {
    /// The pin of the certificate that agents see.
    pub fn pin(&self) -> Pin {
        self.relay.as_ref().unwrap().ready().pin.unwrap()
    }

    /// As [`restart_relay`](Self::restart_relay) at once, with a changed configuration.
    pub async fn restart_relay_with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        soon("the relay drains", self.relay.take().unwrap().drain()).await;
        let (http, https, quic) = (self.http, self.https, self.quic);
        let state = std::mem::replace(&mut self.state, Scratch::none());
        Self::in_state(state, |config| {
            (config.http, config.https, config.quic) = (Some(http), Some(https), Some(quic));
            change(config);
        })
        .await
    }
}
