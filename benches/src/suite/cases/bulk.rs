//! A gigabyte through each system: how fast, and for how much processor time.

use serde::Deserialize;

use crate::suite::Bench;
use crate::suite::program::Usage;
use crate::suite::role::Bulk;
use crate::suite::transfer::Transfer;

/// What the main figures of it are kept under.
pub(crate) const DOWN: &str = "1 GiB down x 1";
pub(crate) const UP: &str = "1 GiB up x 1";

/// Case, gigabytes down and up, streams each way, and whether it is done in every round.
const PLAN: [(&str, u64, u64, u64, bool); 6] = [
    (DOWN, 1, 0, 1, true),
    (UP, 0, 1, 1, true),
    ("1 GiB both ways x 1", 1, 1, 1, false),
    ("1 GiB down x 8", 1, 0, 8, false),
    ("1 GiB up x 8", 0, 1, 8, false),
    ("1 GiB both ways x 8", 1, 1, 8, false),
];

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    for round in 0..bench.rounds {
        for (case, down, up, streams, every) in PLAN {
            if round > 0 && !every {
                continue;
            }
            let volume = (down + up) as f64;
            let transfer = Transfer {
                down: down << 30,
                up: up << 30,
                streams,
            };
            for system in bench.stage.systems(every && streams == 1 && round == 0) {
                let before = system.usage()?;
                let seconds = transfer.run(system).await?;
                let cpu = system.usage()?.cpu_s - before.cpu_s;
                let mut note = |measure, value| {
                    bench.figures.note(case, system.name, measure, value);
                };
                note("MB/s", megabytes(volume) / seconds);
                if !system.programs.is_empty() {
                    note("CPU s/GiB", cpu / volume);
                }
            }
            let bulk = Bulk {
                down: transfer.down,
                up: transfer.up,
                streams,
            };
            let before = Usage::sum(&bench.stage.quic)?;
            let seconds = quinn(bench, bulk).await?;
            let cpu = Usage::sum(&bench.stage.quic)?.cpu_s - before.cpu_s;
            let mut note = |measure, value| bench.figures.note(case, "quinn", measure, value);
            note("MB/s", megabytes(volume) / seconds);
            note("CPU s/GiB", cpu / volume);
        }
    }
    Ok(())
}

async fn quinn(bench: &mut Bench, bulk: Bulk) -> anyhow::Result<f64> {
    #[derive(Deserialize)]
    struct Done {
        seconds: f64,
    }
    let order = serde_json::json!({ "bulk": bulk });
    let done: Done = serde_json::from_value(bench.stage.quic[0].ask(&order).await?)?;
    Ok(done.seconds)
}

fn megabytes(gibibytes: f64) -> f64 {
    gibibytes * f64::from(1 << 30) / 1e6
}
