//! From the start of a program until it says that it is ready: the relay its ready line, the agent the
//! public URL.

use std::time::Instant;

use crate::suite::Bench;
use crate::suite::systems::{self, Relay};

/// What figures of it are kept under.
pub(crate) const START: &str = "start";

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let origin = bench.stage.direct.http;
    // The first time keys are made; that is measured apart.
    for at in 0..=bench.rounds.max(TIMES) {
        let began = Instant::now();
        let relay = Relay::start(&bench.place, "start", &[]).await?;
        let relay_ms = began.elapsed().as_secs_f64() * 1e3;
        let ready = &relay.ready;
        let began = Instant::now();
        let agent =
            systems::agent(&bench.place, "start", origin, ready.quic, &ready.ca, &[]).await?;
        let agent_ms = began.elapsed().as_secs_f64() * 1e3;
        agent.end().await?;
        relay.program.end().await?;
        let [relay, agent] = if at == 0 {
            ["first relay ms", "first agent ms"]
        } else {
            ["relay ms", "agent ms"]
        };
        bench.figures.note(START, "adit", relay, relay_ms);
        bench.figures.note(START, "adit", agent, agent_ms);
    }
    Ok(())
}

const TIMES: usize = 3;
