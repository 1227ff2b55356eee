//! The programs in their namespaces, with every kind of exchange under way.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use adit_tests::mix::{Load, Mix};
use adit_tests::program::{Program, ours};
use adit_tests::world::Scratch;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::net::{Net, enter};

/// All of it. The test's own thread is where the relay and the visitors are.
pub(crate) struct Scene {
    pub(crate) net: Net,
    pub(crate) load: Load,
    pub(crate) agent: Program,
    _relay: Program,
    _origin: oneshot::Sender<()>,
    mix: Mix,
    state: Scratch,
}

impl Scene {
    /// Starts everything, with further arguments for the agent.
    pub(crate) async fn start(more: &[&str]) -> Self {
        let (net, state) = (Net::new(), Scratch::new());
        let (mix, stop) = origin(&net.agent);
        enter(&net.relay);
        let (relay, ready) = relay(&state).await;
        let http: SocketAddr = ready["http"].as_str().unwrap().parse().unwrap();
        let mut agent = agent(&net, &state, &mix, &ready, more);
        for _ in 0..2 {
            agent
                .line("online", |line| line.contains("\"online\"").then_some(()))
                .await;
        }
        let load = mix.load(http).await;
        Self {
            net,
            load,
            agent,
            _relay: relay,
            _origin: stop,
            mix,
            state,
        }
    }

    /// Waits until all exchanges have gone on from now, which must be within `bound`.
    pub(crate) async fn goes_on(&mut self, bound: Duration) {
        let (took, slowest) = self.load.resumed(Instant::now()).await;
        println!("went on within {took:?}, {slowest} last");
        assert!(
            took < bound,
            "{slowest} went on after {took:?}\n{}",
            self.agent.errors()
        );
    }

    /// Waits for this event of the agent.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.agent
            .line(name, |line| {
                let event: Value = serde_json::from_str(line).ok()?;
                (event["event"] == name).then_some(event)
            })
            .await
    }

    /// Ends all exchanges: none may have lost anything.
    pub(crate) async fn end(self) {
        self.load.finish().await;
        assert_eq!(self.mix.ledger.doubled(), [0; 0], "POSTs came twice");
        drop(self.state);
    }
}

/// An origin in the namespace `place`, on a thread of its own.
fn origin(place: &str) -> (Mix, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel();
    let (give, given) = mpsc::channel();
    let place = place.to_owned();
    std::thread::spawn(move || {
        enter(&place);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            give.send(Mix::start(Duration::from_millis(10)).await)
                .unwrap();
            // Ends when the scene is dropped.
            drop(stopped.await);
        });
    });
    (given.recv().unwrap(), stop)
}

async fn relay(state: &Scratch) -> (Program, Value) {
    let config = state.path().join("relay.toml");
    std::fs::write(&config, "open = \"i-understand\"\n").unwrap();
    let mut command = ours("relay");
    command
        .args(["--json", "--http", "10.9.0.2:80", "--admin", "off"])
        .args(["--https", "10.9.0.2:443", "--quic", "10.9.0.2:443"])
        .arg("--config")
        .arg(config)
        .arg("--state-dir")
        .arg(state.path().join("relay"));
    let mut relay = Program::start(command);
    let ready = relay.line("ready", |line| serde_json::from_str(line).ok());
    let ready = ready.await;
    (relay, ready)
}

fn agent(net: &Net, state: &Scratch, mix: &Mix, ready: &Value, more: &[&str]) -> Program {
    let config = state.path().join("agent.toml");
    let origin = mix.address();
    let tunnels = format!(
        "[[tunnel]]\norigin = \"http://{origin}\"\nsubdomain = \"app\"\n\
         [[tunnel]]\norigin = \"h2c://{origin}\"\nsubdomain = \"rpc\"\n"
    );
    std::fs::write(&config, tunnels).unwrap();
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", &net.agent])
        .arg(ours("agent").as_std().get_program())
        .env("NO_COLOR", "1")
        .args(["--json", "--inspect", "off", "--relay", "10.9.0.2:443"])
        .args(["--pin", ready["pin"].as_str().unwrap()])
        .arg("--config")
        .arg(config)
        .arg("--state-dir")
        .arg(state.path().join("agent"))
        .args(more);
    Program::start(command)
}
