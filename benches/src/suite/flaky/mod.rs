//! What becomes of requests when the network between agent and relay fails: the table of
//! docs/flaky-networks.md, each figure beside what it should be.
//!
//! - `field`: a relay and an agent, and a way between them that fails when told;
//! - `lasting`: transfers that last, and when something came of them; `sink` sees that of uploads;
//! - `changes`, `cuts`, `restarts`, `loss`, `carrier`, `beside`: what is measured.

mod beside;
mod carrier;
mod changes;
mod cuts;
mod field;
mod lasting;
mod loss;
mod restarts;
mod sink;

use std::time::{Duration, Instant};

use super::program::Program;
use super::systems::{self, Place, System};
use super::table::Table;
use super::{Scratch, say, tell};

/// Measures the parts called so, or all of them, and prints a table. False when a part has no figures;
/// targets that are missed are no failure.
///
/// # Errors
///
/// When the setting cannot be made at all.
pub(crate) async fn run(only: &[String]) -> anyhow::Result<bool> {
    if let Some(name) = only.iter().find(|name| !PARTS.contains(&name.as_str())) {
        anyhow::bail!("there is no part {name}; there are {}", PARTS.join(", "));
    }
    let scratch = Scratch::new()?;
    let place = scratch.place()?;
    let (program, origin) = systems::origin(&place).await?;
    let mut flaky = Flaky {
        place,
        origin,
        _program: program,
        table: Table::new(["measure", "target", "found", "met"]),
    };
    let mut complete = true;
    for part in PARTS {
        if !only.is_empty() && !only.iter().any(|name| name == part) {
            continue;
        }
        let began = Instant::now();
        tell(&format!("{part} …"));
        if let Err(error) = flaky.measure(part).await {
            tell(&format!("{part} failed: {error:#}"));
            complete = false;
        }
        tell(&format!(
            "{part} took {:.1} s",
            began.elapsed().as_secs_f64()
        ));
    }
    say(&flaky.table.markdown());
    Ok(complete)
}

const PARTS: [&str; 9] = [
    "requests", "stalls", "download", "cuts", "agent", "relay", "loss", "carrier", "beside",
];

/// A run.
struct Flaky {
    place: Place,
    origin: System,
    _program: Program,
    table: Table,
}

impl Flaky {
    async fn measure(&mut self, part: &str) -> anyhow::Result<()> {
        match part {
            "requests" => changes::requests(self).await,
            "stalls" => changes::stalls(self).await,
            "download" => changes::download(self).await,
            "cuts" => cuts::run(self).await,
            "agent" => restarts::agent(self).await,
            "relay" => restarts::relay(self).await,
            "loss" => loss::run(self).await,
            "carrier" => carrier::run(self).await,
            _ => beside::run(self).await,
        }
    }

    /// A figure, with what it should be.
    fn note(&mut self, measure: &str, target: &str, found: &str, met: bool) {
        tell(&format!("  {measure}: {found} (target {target})"));
        let met = if met { "yes" } else { "no" };
        self.table.row([measure, target, found, met]);
    }
}

/// In milliseconds, for a cell.
fn ms(span: Duration) -> String {
    format!("{:.0} ms", span.as_secs_f64() * 1e3)
}

/// The middle of some, and the largest.
fn middle_and_worst(mut spans: Vec<Duration>) -> (Duration, Duration) {
    spans.sort();
    let worst = spans.last().copied().unwrap_or(Duration::MAX);
    (spans.get(spans.len() / 2).copied().unwrap_or(worst), worst)
}
