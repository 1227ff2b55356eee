//! Two shards of the relay against one, with two agents and two load testers. On a machine where the
//! relay does not get two processors to itself, this shows only that two shards cost no more.

use std::time::Duration;

use crate::suite::Bench;
use crate::suite::load::Load;
use crate::suite::program::Program;
use crate::suite::systems::{self, Relay, System};

/// What figures of it are kept under.
pub(crate) const SHARDS: &str = "1 KiB x 64, two agents";

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let relay = bench.place.ours("relay")?;
    let help = Program::start("help", &relay, &["--help"], &bench.place.scratch)?;
    if !help
        .output(Duration::from_secs(5))
        .await?
        .contains("--shards")
    {
        bench.say("shards: this relay has none, so not measured".into());
        return Ok(());
    }
    let mut pairs = Vec::new();
    for (name, count) in [("one shard", "1"), ("two shards", "2")] {
        pairs.push((name, pair(bench, count).await?));
    }
    for _ in 0..bench.rounds {
        for (name, systems) in &pairs {
            let load = Load::closed("1024", 32, SLICE);
            let running = [
                load.start(&bench.place, &systems[0])?,
                load.start(&bench.place, &systems[1])?,
            ];
            let [one, other] = running;
            let (one, other) = tokio::join!(one.end(), other.end());
            let (one, other) = (one?, other?);
            let mut note = |measure, value| bench.figures.note(SHARDS, name, measure, value);
            note("req/s", one.rate() + other.rate());
            let requests = (one.0.totals.ok + other.0.totals.ok) as f64;
            let cpu = one.cpu_us() * one.0.totals.ok as f64;
            // The first load tester watches the relay and both agents.
            note("CPU us/req", cpu / requests);
        }
    }
    Ok(())
}

/// One relay as two systems, one for each agent; the first holds all the programs.
async fn pair(bench: &Bench, shards: &str) -> anyhow::Result<[System; 2]> {
    let place = &bench.place;
    let name = format!("shards-{shards}");
    let relay = Relay::start(place, &format!("relay-{name}"), &["--shards", shards]).await?;
    let origin = bench.stage.direct.http;
    let mut programs = Vec::new();
    let hosts = ["a", "b"].map(|letter| format!("{name}-{letter}"));
    for host in &hosts {
        let ready = &relay.ready;
        programs.push(systems::agent(place, host, origin, ready.quic, &ready.ca, &[]).await?);
    }
    programs.push(relay.program);
    let system = |host: &str, programs| System {
        name: "adit",
        host: format!("{host}.localhost"),
        http: relay.ready.http,
        https: None,
        quic: None,
        ca: None,
        programs,
    };
    Ok([system(&hosts[0], programs), system(&hosts[1], Vec::new())])
}

const SLICE: Duration = Duration::from_millis(1200);
