//! Resident memory: of visitors that only wait, and what load leaves behind. Each with a relay of its own
//! that has done nothing else before. (What an idle agent takes is seen in the case of the storm.)

use std::time::Duration;

use anyhow::Context as _;

use crate::suite::Bench;
use crate::suite::load::Load;
use crate::suite::systems::{self, System};
use crate::suite::transfer::{Transfer, Visitor};

/// What figures of it are kept under.
pub(crate) const VISITOR: &str = "idle visitor";
pub(crate) const EXCHANGE: &str = "idle exchange";
pub(crate) const TRANSFER: &str = "growth after 1 GiB each way";
pub(crate) const BURST: &str = "growth after a burst of 512 connections";

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    idle_exchanges(bench).await?;
    transfers(bench).await?;
    burst(bench).await
}

/// Visitors that have asked something and stay, then the same visitors waiting for an answer.
async fn idle_exchanges(bench: &mut Bench) -> anyhow::Result<()> {
    let adit = fresh(bench, "exchanges").await?;
    let mut visitors = Vec::new();
    Visitor::of(&adit).await?.download(0).await?;
    let alone = rss(&adit)?;
    for _ in 0..VISITORS {
        let mut visitor = Visitor::of(&adit).await?;
        visitor.download(0).await?;
        visitors.push(visitor);
    }
    settle().await;
    let connected = rss(&adit)?;
    for visitor in &mut visitors {
        visitor.ask("stall").await?;
    }
    settle().await;
    let waiting = rss(&adit)?;
    let each = |before: u64, after: u64| grown(before, after) / VISITORS as f64 / KIB;
    let mut note = |case, measure, value| bench.figures.note(case, "adit", measure, value);
    note(VISITOR, "relay RSS KiB", each(alone.0, connected.0));
    note(EXCHANGE, "relay RSS KiB", each(connected.0, waiting.0));
    note(EXCHANGE, "agent RSS KiB", each(connected.1, waiting.1));
    Ok(())
}

async fn transfers(bench: &mut Bench) -> anyhow::Result<()> {
    let adit = fresh(bench, "transfers").await?;
    Visitor::of(&adit).await?.download(0).await?;
    let before = rss(&adit)?;
    for (down, up) in [(1 << 30, 0), (0, 1 << 30)] {
        let transfer = Transfer {
            down,
            up,
            streams: 1,
        };
        transfer.run(&adit).await?;
    }
    growth(bench, &adit, TRANSFER, before).await
}

async fn burst(bench: &mut Bench) -> anyhow::Result<()> {
    let adit = fresh(bench, "burst").await?;
    Visitor::of(&adit).await?.download(0).await?;
    let before = rss(&adit)?;
    let load = Load::closed("16384", 512, Duration::from_millis(1500));
    load.run(&bench.place, &adit).await?;
    growth(bench, &adit, BURST, before).await
}

async fn fresh(bench: &Bench, name: &str) -> anyhow::Result<System> {
    systems::adit(&bench.place, name, bench.stage.direct.http, &[], &[]).await
}

async fn growth(
    bench: &mut Bench,
    adit: &System,
    case: &str,
    before: (u64, u64),
) -> anyhow::Result<()> {
    settle().await;
    let after = rss(adit)?;
    let mut note = |measure, value| bench.figures.note(case, "adit", measure, value);
    note("relay RSS MiB", grown(before.0, after.0) / KIB / KIB);
    note("agent RSS MiB", grown(before.1, after.1) / KIB / KIB);
    Ok(())
}

/// Of relay and agent.
fn rss(adit: &System) -> anyhow::Result<(u64, u64)> {
    let [relay, agent] = adit.programs.as_slice() else {
        return None.context("a relay and an agent");
    };
    Ok((relay.usage()?.rss, agent.usage()?.rss))
}

fn grown(before: u64, after: u64) -> f64 {
    after as f64 - before as f64
}

/// What is under way ends, and is given back.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// Fewer than the exchanges that one agent may have.
const VISITORS: usize = 1000;
const KIB: f64 = 1024.0;
