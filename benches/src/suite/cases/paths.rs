//! Paths between agent and relay that are worse than loopback, made by a forwarder of datagrams.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use crate::suite::Bench;
use crate::suite::load::Load;
use crate::suite::program::Program;
use crate::suite::role::Way;
use crate::suite::systems::{self, Relay, System};
use crate::suite::transfer::Visitor;

/// What figures of these cases are kept under.
pub(crate) const MIGRATION: &str = "address changes twice a second";
pub(crate) const FAT: &str = "500 Mbit/s, 80 ms";
pub(crate) const SHARE: &str = "share of the path, after 3 s";

/// An agent whose address changes while requests and a download go on.
pub(super) async fn migration(bench: &mut Bench) -> anyhow::Result<()> {
    let moving = Way {
        rebind_ms: 500,
        ..Way::default()
    };
    let mut far = Far::start(bench, "migration", Way::default()).await?;
    far.set(moving).await?;
    let seen = far.observe(bench, 200.0, Duration::from_secs(4)).await?;
    bench.notes.extend(seen.trouble);
    let mut note = |measure, value| bench.figures.note(MIGRATION, "adit", measure, value);
    note("succeeded", seen.succeeded);
    note("failed", seen.failed);
    note("worst ms", seen.worst_ms);
    note("p99 ms", seen.p99_ms);
    note("download MB/s", seen.bytes / 1e6 / seen.seconds);
    note("longest pause of the download ms", seen.pause_ms);
    note("changes of address", seen.moves);
    Ok(())
}

/// A download and small requests over a path that loses packets.
pub(super) async fn loss(bench: &mut Bench) -> anyhow::Result<()> {
    for (case, loss) in [
        ("200 Mbit/s, 40 ms, 0 % lost", 0.0),
        ("200 Mbit/s, 40 ms, 1 % lost", 0.01),
        ("200 Mbit/s, 40 ms, 5 % lost", 0.05),
    ] {
        let way = Way {
            delay_ms: 20.0,
            loss,
            mbit: 200.0,
            queue_ms: 40.0,
            mtu: ETHERNET,
            ..Way::default()
        };
        let mut far = Far::start(bench, &format!("loss-{}", loss * 100.0), way).await?;
        let seen = far.observe(bench, 50.0, Duration::from_secs(4)).await?;
        bench.notes.extend(seen.trouble);
        let mut note = |measure, value| bench.figures.note(case, "adit", measure, value);
        note("download MB/s", seen.bytes / 1e6 / seen.seconds);
        note("p50 ms", seen.p50_ms);
        note("p99 ms", seen.p99_ms);
        note("failed", seen.failed);
    }
    Ok(())
}

/// One download over a path that is long and fast: the share of it that one stream reaches.
pub(super) async fn fat(bench: &mut Bench) -> anyhow::Result<()> {
    let way = Way {
        delay_ms: 40.0,
        loss: 0.0,
        mbit: 500.0,
        queue_ms: 80.0,
        mtu: ETHERNET,
        ..Way::default()
    };
    bench.say("the window of relay and agent is 6 MiB for paths, as for any other machine".into());
    let far = Far::start(bench, "fat", way).await?;
    let mut visitor = Visitor::of(&far.system).await?;
    let tenths = visitor.sip(ENDLESS, Duration::from_secs(6)).await?;
    let path = way.mbit * 1e6 / 8.0;
    let share = |tenths: &[u64]| {
        let bytes: u64 = tenths.iter().sum();
        bytes as f64 / (tenths.len() as f64 / 10.0) / path
    };
    let mut note = |measure, value| bench.figures.note(FAT, "adit", measure, value);
    note("share of the path, from the start", share(&tenths));
    note(SHARE, share(&tenths[30..]));
    Ok(())
}

/// What relay and agent do by themselves when the other is on another machine: the forwarder is on this one, so
/// that each would take the other for near.
pub(crate) const FAR: [&[&str]; 2] = [&["--limit", "window=6MiB"], &["--window", "6MiB"]];

/// A relay, and an agent that reaches it by a forwarder.
struct Far {
    path: Program,
    system: System,
}

/// What was seen over a path.
struct Seen {
    seconds: f64,
    bytes: f64,
    pause_ms: f64,
    succeeded: f64,
    failed: f64,
    worst_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
    moves: f64,
    trouble: Option<String>,
}

impl Far {
    /// The path is as bad from the start: what fits through it is found out once.
    async fn start(bench: &Bench, name: &str, way: Way) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct At {
            address: SocketAddr,
        }
        let place = &bench.place;
        let [of_relay, of_agent] = FAR;
        let relay = Relay::start(place, &format!("relay-{name}"), of_relay).await?;
        let to = relay.ready.quic.to_string();
        let mut path = Program::role(&format!("path-{name}"), &["path", &to], &place.scratch)?;
        let At { address } = path.json().await?;
        path.ask(&serde_json::to_value(way)?).await?;
        let label = name.replace('.', "-");
        let origin = bench.stage.direct.http;
        let agent =
            systems::agent(place, &label, origin, address, &relay.ready.ca, of_agent).await?;
        let system = System {
            name: "adit",
            host: format!("{label}.localhost"),
            http: relay.ready.http,
            https: None,
            quic: None,
            ca: None,
            programs: vec![relay.program, agent],
        };
        Ok(Self { path, system })
    }

    /// Makes the path this bad, and says how often the address has changed so far.
    async fn set(&mut self, way: Way) -> anyhow::Result<f64> {
        let answer = self.path.ask(&serde_json::to_value(way)?).await?;
        answer["moves"]
            .as_f64()
            .context("a path that tells nothing")
    }

    /// Small requests at `rate`, beside a download that has begun a moment before.
    async fn observe(&mut self, bench: &Bench, rate: f64, span: Duration) -> anyhow::Result<Seen> {
        let mut visitor = Visitor::of(&self.system).await?;
        let load = Load::open("1024", 16, rate, span);
        let running = load.start(&bench.place, &self.system)?;
        let (tenths, loaded) = tokio::join!(visitor.sip(ENDLESS, span), running.end());
        let (tenths, loaded) = (tenths?, loaded?);
        let moves = self.set(Way::default()).await?;
        let longest = tenths.split(|&bytes| bytes > 0).map(<[u64]>::len).max();
        let ms = |micros: u64| micros as f64 / 1e3;
        Ok(Seen {
            seconds: span.as_secs_f64(),
            bytes: tenths.iter().sum::<u64>() as f64,
            pause_ms: longest.unwrap_or(0) as f64 * 100.0,
            succeeded: loaded.0.totals.ok as f64,
            failed: loaded.failed() as f64,
            worst_ms: ms(loaded.0.latency.max_us),
            p50_ms: ms(loaded.0.latency.p50_us),
            p99_ms: ms(loaded.0.latency.p99_us),
            moves,
            trouble: loaded.trouble("beside a download over that path", "adit"),
        })
    }
}

/// More than any of these paths carries in the time.
pub(crate) const ENDLESS: u64 = 1 << 40;
/// The largest datagram of a path with packets of 1,500 bytes over IPv4.
pub(crate) const ETHERNET: usize = 1472;
