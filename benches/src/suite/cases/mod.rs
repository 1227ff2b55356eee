//! The cases, in the order in which they run. Each measures round by round, one system after the other
//! within a round, so that what drifts with the machine drifts for all of them.

pub(crate) mod bulk;
mod connections;
pub(crate) mod inbox;
pub(crate) mod isolation;
mod latency;
pub(crate) mod memory;
pub(crate) mod paths;
pub(crate) mod requests;
pub(crate) mod shards;
mod start;
pub(crate) mod storm;
pub(crate) mod websocket;

use super::Bench;

/// Each case by its name, and what it is about.
pub(crate) const ALL: &[(&str, &str)] = &[
    ("requests", "requests a second, processor time and latency"),
    (
        "latency",
        "latency at half of the load that the tunnel can take",
    ),
    ("bulk", "1 GiB down, up and both ways"),
    ("connections", "new visitors over TLS"),
    ("websocket", "messages over WebSockets"),
    (
        "isolation",
        "small requests beside visitors that stopped reading",
    ),
    ("migration", "an agent whose address changes twice a second"),
    ("loss", "a download and small requests over a lossy path"),
    ("fat", "one stream over a long and fast path"),
    (
        "memory",
        "what agents, visitors and transfers leave in memory",
    ),
    ("start", "how soon the programs are ready"),
    ("storm", "all agents come back after a restart of the relay"),
    ("shards", "two shards of the relay against one"),
    ("inbox", "webhooks that are kept while the agent is away"),
];

/// Runs the case with this name.
///
/// # Errors
///
/// Why there are no figures, or not all of them.
pub(crate) async fn run(name: &str, bench: &mut Bench) -> anyhow::Result<()> {
    match name {
        "requests" => requests::run(bench).await,
        "latency" => latency::run(bench).await,
        "bulk" => bulk::run(bench).await,
        "connections" => connections::run(bench).await,
        "websocket" => websocket::run(bench).await,
        "isolation" => isolation::run(bench).await,
        "migration" => paths::migration(bench).await,
        "loss" => paths::loss(bench).await,
        "fat" => paths::fat(bench).await,
        "memory" => memory::run(bench).await,
        "start" => start::run(bench).await,
        "storm" => storm::run(bench).await,
        "shards" => shards::run(bench).await,
        "inbox" => inbox::run(bench).await,
        other => anyhow::bail!("there is no case {other}"),
    }
}
