//! Requests a second, processor time for each, and latency, in a closed loop.

use std::time::Duration;

use serde::Deserialize;

use crate::suite::Bench;
use crate::suite::load::Load;
use crate::suite::program::Usage;
use crate::suite::role::Small;
use crate::suite::systems::adit;

/// The case of the main comparison: the one for which peers are measured too.
pub(crate) const MAIN: &str = "1 KiB x 64";
/// One request at a time.
pub(crate) const ALONE: &str = "1 KiB x 1";
/// Bare QUIC streams.
pub(crate) const STREAMS: &str = "200 B x 64 streams";

/// Size of the answer, connections, and whether peers take part.
const PLAN: [(&str, &str, usize, bool); 5] = [
    (MAIN, "1024", 64, true),
    (ALONE, "1024", 1, true),
    ("1 KiB x 512", "1024", 512, false),
    ("0 B x 64", "0", 64, false),
    ("16 KiB x 64", "16384", 64, false),
];

/// Relay and agent without the inspector, which is on otherwise.
pub(crate) const UNINSPECTED: &str = "adit, --inspect off";

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let mut plain = adit(
        &bench.place,
        "plain",
        bench.stage.direct.http,
        &[],
        &["--inspect", "off"],
    )
    .await?;
    plain.name = UNINSPECTED;
    for _ in 0..bench.rounds {
        for (case, path, connections, peers) in PLAN {
            let load = Load::closed(path, connections, SLICE);
            let plain = (case == MAIN).then_some(&plain);
            for system in bench.stage.systems(peers).chain(plain) {
                let loaded = load.run(&bench.place, system).await?;
                bench.notes.extend(loaded.trouble(case, system.name));
                let mut note = |measure, value| {
                    bench.figures.note(case, system.name, measure, value);
                };
                note("req/s", loaded.rate());
                note("p50 us", loaded.0.latency.p50_us as f64);
                note("p99 us", loaded.0.latency.p99_us as f64);
                note("failed", loaded.failed() as f64);
                if !system.programs.is_empty() {
                    note("CPU us/req", loaded.cpu_us());
                }
            }
        }
        streams(bench).await?;
    }
    Ok(())
}

async fn streams(bench: &mut Bench) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Done {
        count: u64,
        seconds: f64,
        p50_us: f64,
        p99_us: f64,
    }
    for (case, streams) in [(STREAMS, 64), ("200 B x 1 stream", 1)] {
        let small = Small {
            streams,
            seconds: SLICE.as_secs_f64() / 2.0,
        };
        let before = Usage::sum(&bench.stage.quic)?;
        let order = serde_json::json!({ "small": small });
        let done: Done = serde_json::from_value(bench.stage.quic[0].ask(&order).await?)?;
        let cpu = Usage::sum(&bench.stage.quic)?.cpu_s - before.cpu_s;
        let mut note = |measure, value| bench.figures.note(case, "quinn", measure, value);
        note("req/s", done.count as f64 / done.seconds);
        note("CPU us/req", cpu * 1e6 / done.count as f64);
        note("p50 us", done.p50_us);
        note("p99 us", done.p99_us);
    }
    Ok(())
}

const SLICE: Duration = Duration::from_millis(1200);
