//! Every kind of exchange at once: downloads, uploads, events, switched protocols, streamed calls and
//! short requests, each of which sees whether all of it came, and when.

mod lasting;
mod origin;
mod progress;
mod visitor;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_agent::config::{Config, RelayAddress};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::origin::Ledger;
pub use self::progress::Progress;
pub use self::visitor::{Door, Outcome};
pub use self::words::Words;
use crate::origin::Origin;
use crate::world::Agent;
use crate::{Path, World, eventually};

/// An origin of all kinds of exchanges.
#[derive(Debug)]
pub struct Mix {
    /// What it has seen.
    pub ledger: Arc<Ledger>,
    origin: Origin,
    end: watch::Sender<bool>,
}

impl Mix {
    /// Starts it on a free port of loopback. Downloads and uploads that last go on by a KiB each
    /// `pace`.
    pub async fn start(pace: Duration) -> Self {
        let (end, ended) = watch::channel(false);
        let ledger = Arc::new(Ledger::new(pace, ended));
        let of = ledger.clone();
        let origin = Origin::serving(move |request| origin::answer(of.clone(), request)).await;
        Self {
            ledger,
            origin,
            end,
        }
    }

    /// Makes of `config` an agent that serves it as `app` over HTTP/1.1 and as `rpc` over HTTP/2.
    pub fn serve(&self, config: &mut Config) {
        let mut rpc = config.tunnels[0].clone();
        rpc.id = 1;
        rpc.origin = format!("h2c://{}", self.origin.address).parse().unwrap();
        rpc.label = rpc.origin.to_string();
        rpc.name = Some("rpc".parse().unwrap());
        config.tunnels.push(rpc);
    }

    /// An agent that serves it over `path`, and is online.
    pub async fn agent(&self, world: &World, path: &Path) -> Agent {
        let mut agent = self.start_agent(world, path);
        agent.online().await;
        agent.online().await;
        agent
    }

    /// The same, only started.
    pub fn start_agent(&self, world: &World, path: &Path) -> Agent {
        let origin = format!("http://{}", self.origin.address);
        let port = path.address.port();
        world.start_agent("app", &origin, |config| {
            config.relay = RelayAddress::Remote {
                host: "127.0.0.1".into(),
                port,
            };
            self.serve(config);
        })
    }

    /// Where visitors find it, behind a relay whose listener without TLS is at `relay`.
    pub fn door(&self, relay: SocketAddr) -> Door {
        Door {
            address: relay,
            host: "app.localhost".into(),
        }
    }

    /// Where agents find it.
    pub fn address(&self) -> SocketAddr {
        self.origin.address
    }

    /// Begins one exchange of each kind that lasts, and short requests beside them; they go on when
    /// all of them have begun.
    pub async fn load(&self, relay: SocketAddr) -> Load {
        let (door, ledger) = (self.door(relay), &self.ledger);
        let rpc = Door {
            host: "rpc.localhost".into(),
            ..door.clone()
        };
        let mut load = Load {
            kinds: Vec::new(),
            running: JoinSet::new(),
            end: self.end.clone(),
        };
        let all = &mut load;
        all.begin("download", |p| {
            lasting::flow(door.clone(), ledger.clone(), 10, p)
        });
        all.running
            .spawn(lasting::rise(door.clone(), ledger.clone(), 11));
        all.kinds.push(("upload", ledger.risen.clone()));
        all.begin("events", |p| lasting::events(door.clone(), p));
        all.begin("socket", |p| {
            lasting::socket(door.clone(), ledger.clone(), p)
        });
        all.begin("call", |p| lasting::call(rpc, ledger.clone(), p));
        for lane in 1..=LANES {
            all.begin("requests", |p| {
                lasting::requests(door.clone(), ledger.clone(), lane << 20, p)
            });
        }
        eventually("all exchanges have begun", || async {
            load.kinds.iter().all(|(_, progress)| progress.has_begun())
        })
        .await;
        load
    }
}

/// Exchanges that go on.
#[derive(Debug)]
pub struct Load {
    kinds: Vec<(&'static str, Progress)>,
    running: JoinSet<()>,
    end: watch::Sender<bool>,
}

impl Load {
    fn begin<F>(&mut self, kind: &'static str, run: impl FnOnce(Progress) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let progress = Progress::default();
        self.running.spawn(run(progress.clone()));
        self.kinds.push((kind, progress));
    }

    /// Waits until each has got on after `moment`; says how long that took the slowest, and which it
    /// was. Panics when one fails.
    pub async fn resumed(&mut self, moment: Instant) -> (Duration, &'static str) {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            let after = self.kinds.iter();
            let after: Option<Vec<_>> = after
                .map(|(kind, progress)| Some((progress.after(moment)?, *kind)))
                .collect();
            if let Some(slowest) = after.and_then(|all| all.into_iter().max()) {
                return slowest;
            }
            tokio::select! {
                _ = ticks.tick() => {}
                Some(ended) = self.running.join_next() => fail(ended),
                () = tokio::time::sleep_until(moment + LOST) => {
                    panic!("{} never went on", self.silent(moment).join(", "));
                }
            }
        }
    }

    fn silent(&self, since: Instant) -> Vec<&'static str> {
        let silent = self.kinds.iter().filter(|(_, p)| p.after(since).is_none());
        silent.map(|(kind, _)| *kind).collect()
    }

    /// The longest pause that one of them has had, and which.
    pub fn longest_pause(&self) -> (Duration, &'static str) {
        let pauses = self.kinds.iter();
        let pauses = pauses.map(|(kind, progress)| (progress.longest_pause(), *kind));
        pauses.max().unwrap()
    }

    /// Ends all of them. Panics when one has lost anything.
    pub async fn finish(mut self) {
        self.end.send_replace(true);
        let all = async {
            while let Some(ended) = self.running.join_next().await {
                if let Err(error) = ended {
                    fail(Err(error));
                }
            }
        };
        let ended = tokio::time::timeout(LOST, all).await;
        ended.expect("all exchanges end when told to");
    }
}

fn fail(ended: Result<(), tokio::task::JoinError>) {
    match ended {
        Ok(()) => panic!("an exchange ended before it was told to"),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => panic!("{error}"),
    }
}

/// How many short requests go on at a time.
const LANES: u64 = 4;
/// After this, an exchange that is silent will be for ever.
const LOST: Duration = Duration::from_secs(40);
