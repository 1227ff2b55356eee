//! Load tests against small servers that do what is to be measured, or what is to be told from it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod answers;
mod program;
mod protocols;
mod server;
mod stall;

use adit_benches::args::Args;
use adit_benches::load;
use adit_benches::plan::Plan;
use adit_benches::result::LoadResult;
use clap::Parser as _;
use tokio::sync::Notify;

/// Runs `loadtest` with these arguments in this process.
async fn loadtest(line: &str) -> LoadResult {
    let words = ["loadtest", "--warmup", "0s"];
    let words = words.into_iter().chain(line.split_whitespace());
    let args = Args::try_parse_from(words).unwrap();
    let plan = Plan::try_from(&args).unwrap();
    let interrupted = Notify::new();
    load::run(plan, Vec::new(), &interrupted, |_| {})
        .await
        .unwrap()
}

/// The errors of a result as `name=count`.
fn errors(result: &LoadResult) -> String {
    let errors = result.totals.errors.iter();
    let errors: Vec<_> = errors
        .map(|(name, count)| format!("{name}={count}"))
        .collect();
    errors.join(" ")
}
