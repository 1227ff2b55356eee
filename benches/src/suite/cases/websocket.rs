//! Messages that are echoed over 64 WebSockets, each waiting for its echo.

use std::time::Duration;

use crate::suite::Bench;
use crate::suite::load::Load;

/// What figures of it are kept under.
pub(crate) const ECHO: &str = "WebSocket echo x 64";

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    for _ in 0..bench.rounds {
        for system in [&bench.stage.direct, &bench.stage.adit] {
            let load = Load::closed("echo", 64, SLICE).with(&["--websocket"]);
            let loaded = load.run(&bench.place, system).await?;
            bench.notes.extend(loaded.trouble(ECHO, system.name));
            let mut note = |measure, value| {
                bench.figures.note(ECHO, system.name, measure, value);
            };
            note("messages/s", loaded.rate());
            note("p50 us", loaded.0.latency.p50_us as f64);
            note("p99 us", loaded.0.latency.p99_us as f64);
            note("failed", loaded.failed() as f64);
            if !system.programs.is_empty() {
                note("CPU us/message", loaded.cpu_us());
            }
        }
    }
    Ok(())
}

const SLICE: Duration = Duration::from_millis(1200);
