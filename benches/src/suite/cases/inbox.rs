//! Webhooks that the relay keeps while the agent is away: how many a second it acknowledges, each of them on disk
//! before that.

use std::time::Duration;

use crate::suite::Bench;
use crate::suite::load::Load;
use crate::suite::systems::{Relay, System, agent, text};

/// What figures of it are kept under.
pub(crate) const INBOX: &str = "2 KiB x 64, agent away";
/// How many were answered when they were on disk.
pub(crate) const RATE: &str = "acknowledged/s";

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let place = &bench.place;
    let config = place.directory("inbox")?.join("relay.toml");
    // More than there will be, so that none is refused.
    std::fs::write(
        &config,
        "[inbox]\nrequests-per-tunnel = 1000000\nbytes-per-tunnel = \"4GiB\"\nbytes = \"4GiB\"\n",
    )?;
    let settings = ["--config", &text(&config)?];
    for round in 0..bench.rounds {
        let name = format!("inbox-{round}");
        let relay = Relay::start(place, &format!("relay-{name}"), &settings).await?;
        let ready = relay.ready.clone();
        let origin = bench.stage.direct.http;
        let opens = ["--inbox"];
        let agent = agent(place, &name, origin, ready.quic, &ready.ca, &opens).await?;
        agent.end().await?;
        let system = System {
            name: "adit",
            host: format!("{name}.localhost"),
            http: ready.http,
            https: None,
            quic: None,
            ca: None,
            programs: vec![relay.program],
        };
        let post = ["--http1", "--method=POST", "--body=2KiB"];
        let load = Load::closed("hooks", 64, SLICE).with(&post);
        let loaded = load.run(place, &system).await?;
        bench.notes.extend(loaded.trouble(INBOX, "adit"));
        let mut note = |measure, value| bench.figures.note(INBOX, "adit", measure, value);
        note(RATE, loaded.rate());
        note("p50 us", loaded.0.latency.p50_us as f64);
        note("p99 us", loaded.0.latency.p99_us as f64);
        note("failed", loaded.failed() as f64);
        note("CPU us/req", loaded.cpu_us());
    }
    Ok(())
}

const SLICE: Duration = Duration::from_secs(2);
