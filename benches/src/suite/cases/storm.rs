//! Thousands of agents at once: how long until all of them are in, what each takes of the relay's
//! memory, and how long until they are back after the relay was restarted.

use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Deserialize;
use serde_json::Value;

use crate::suite::Bench;
use crate::suite::program::Program;
use crate::suite::systems::{Relay, text};

/// What figures of it are kept under.
pub(crate) const STORM: &str = "2,000 agents at once";
pub(crate) const IDLE_AGENT: &str = "idle agent";

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let place = &bench.place;
    let config = place.directory("storm")?.join("relay.toml");
    std::fs::write(&config, "drain-grace = \"1s\"\n[limits]\nagents = 4096\n")?;
    let config = text(&config)?;
    let settings = ["--config", config.as_str()];
    let relay = Relay::start(place, "relay-storm", &settings).await?;
    let empty = relay.program.usage()?;

    let (quic, ca) = (relay.ready.quic.to_string(), text(&relay.ready.ca)?);
    let count = AGENTS.to_string();
    let arguments = ["agents", &quic, "--ca", &ca, "--count", &count];
    let mut agents = Program::role("agents", &arguments, &place.scratch)?;
    agents.json::<Value>().await?;
    let began = Instant::now();
    let failed_first = gathered(&mut agents, AGENTS, FIRST).await?;
    let joined = began.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    let full = relay.program.usage()?;

    let began = Instant::now();
    let relay = relay.restart(place, "relay-storm", &settings).await?;
    let failed = gathered(&mut agents, 2 * AGENTS, BACK).await?;
    let back = began.elapsed().as_secs_f64();

    bench.say("limits.agents of the relay is raised from 1,000 to 4,096 for this".into());
    let mut note = |case, measure, value| bench.figures.note(case, "adit", measure, value);
    let each = (full.rss as f64 - empty.rss as f64) / AGENTS as f64;
    note(IDLE_AGENT, "relay RSS KiB", each / 1024.0);
    note(STORM, "s until all are in", joined);
    note(STORM, "attempts that failed", failed_first as f64);
    let cpu = (full.cpu_s - empty.cpu_s) * 1e3 / AGENTS as f64;
    note(STORM, "relay CPU ms/agent", cpu);
    note(STORM, "s until all are back after a restart", back);
    let failed = (failed - failed_first) as f64;
    note(STORM, "attempts that failed after it", failed);
    let rss = relay.program.usage()?.rss as f64 / 1_048_576.0;
    note(STORM, "relay RSS MiB after that", rss);
    Ok(())
}

/// Waits until all agents are online and there have been this many sessions.
/// Says how many attempts have failed so far.
async fn gathered(agents: &mut Program, sessions: u64, patience: Duration) -> anyhow::Result<u64> {
    #[derive(Deserialize)]
    struct Now {
        online: u64,
        sessions: u64,
        failed: u64,
    }
    let began = Instant::now();
    loop {
        let now: Now = serde_json::from_value(agents.ask(&Value::Null).await?)?;
        if now.online == AGENTS && now.sessions >= sessions {
            return Ok(now.failed);
        }
        if began.elapsed() > patience {
            let Now {
                online,
                sessions,
                failed,
            } = now;
            bail!(
                "after {patience:?} {online} of {AGENTS} agents are online; there were {sessions} \
                 sessions, and {failed} attempts failed"
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many there are.
const AGENTS: u64 = 2000;
const FIRST: Duration = Duration::from_secs(30);
const BACK: Duration = Duration::from_secs(45);
/// What handshakes took is given back.
const SETTLE: Duration = Duration::from_millis(1000);
