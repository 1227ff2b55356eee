//! Latency while requests come in at half of the rate that the tunnel can take, in an open loop: it
//! counts from the moment a request was due.

use std::time::Duration;

use super::requests::MAIN;
use crate::suite::Bench;
use crate::suite::load::Load;

/// What figures of it are kept under.
pub(crate) const HALF: &str = "1 KiB, half load";

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let most = match bench.figures.median(MAIN, "adit", "req/s") {
        Some(most) => most,
        // The case that finds it was left out.
        None => {
            let load = Load::closed("1024", 64, SLICE);
            load.run(&bench.place, &bench.stage.adit).await?.rate()
        }
    };
    let rate = (most / 2.0).round();
    bench.say(format!("half load is {rate} requests a second"));
    for _ in 0..bench.rounds {
        for system in bench.stage.systems(false) {
            let load = Load::open("1024", 64, rate, SLICE);
            let loaded = load.run(&bench.place, system).await?;
            bench.notes.extend(loaded.trouble(HALF, system.name));
            let mut note = |measure, value| {
                bench.figures.note(HALF, system.name, measure, value);
            };
            note("p50 us", loaded.0.latency.p50_us as f64);
            note("p99 us", loaded.0.latency.p99_us as f64);
            note("p99.9 us", loaded.0.latency.p999_us as f64);
            note("failed", loaded.failed() as f64);
        }
    }
    Ok(())
}

const SLICE: Duration = Duration::from_millis(1200);
