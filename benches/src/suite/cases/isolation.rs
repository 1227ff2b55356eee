//! Small requests while other visitors of the same agent have stopped reading large downloads.
//!
//! The small requests come at a steady rate, an open loop. What is compared is the time from the moment
//! when a request was sent: that from the moment when it was due has the load tester's timer in it, of a
//! millisecond, which would hide a difference. None may be lost or late.

use std::time::{Duration, Instant};

use crate::suite::load::Load;
use crate::suite::systems::System;
use crate::suite::transfer::Visitor;
use crate::suite::{Bench, systems};

/// What figures of it are kept under, for this many stalled visitors.
pub(crate) fn case(stalled: usize) -> String {
    format!("3,000 small beside {stalled} stalled")
}

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    // Their own, since stalled visitors leave something behind.
    let origin = bench.stage.direct.http;
    let adit = systems::adit(&bench.place, "isolation", origin, &[], &[]).await?;
    for _ in 0..bench.rounds {
        for stalled in [0, 32, 128] {
            let mut visitors = Vec::new();
            for _ in 0..stalled {
                let mut visitor = Visitor::of(&adit).await?;
                visitor.ask(LARGE).await?;
                visitors.push(visitor);
            }
            if stalled > 0 {
                filled(&adit).await?;
            }
            let load = Load::open("1024", 64, RATE, SLICE);
            let loaded = load.run(&bench.place, &adit).await?;
            let case = case(stalled);
            bench.notes.extend(loaded.trouble(&case, "adit"));
            let mut note = |measure, value| bench.figures.note(&case, "adit", measure, value);
            note("p50 us", loaded.0.service.p50_us as f64);
            note("p99 us", loaded.0.service.p99_us as f64);
            note(
                "p99 us from when it was due",
                loaded.0.latency.p99_us as f64,
            );
            note("succeeded", loaded.0.totals.ok as f64);
            note("failed", loaded.failed() as f64);
            let [relay, agent, ..] = adit.programs.as_slice() else {
                anyhow::bail!("a relay and an agent");
            };
            note("relay RSS MiB", relay.usage()?.rss as f64 / MIB);
            note("agent RSS MiB", agent.usage()?.rss as f64 / MIB);
        }
    }
    Ok(())
}

/// Ends once all windows and socket buffers are full, so that nothing moves any more.
async fn filled(adit: &System) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut before = adit.usage()?.cpu_s;
    while began.elapsed() < FILL {
        tokio::time::sleep(LOOK).await;
        let now = adit.usage()?.cpu_s;
        if now - before < STILL {
            return Ok(());
        }
        before = now;
    }
    anyhow::bail!("downloads that nobody reads still cost processor time after {FILL:?}")
}

const LARGE: &str = "1073741824";
const RATE: f64 = 1000.0;
/// Long enough for a p99 of 30 requests: one of 10 is mostly the machine's.
const SLICE: Duration = Duration::from_secs(3);
const FILL: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(200);
/// Processor time in seconds, of relay and agent together: a tick of the system's clock or none.
const STILL: f64 = 0.011;
const MIB: f64 = 1_048_576.0;
