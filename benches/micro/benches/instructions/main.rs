//! Instructions that the codecs and a whole exchange take, against a baseline kept beside this.
//!
//! Time on a shared machine says little about a change of one part in a hundred; the number of
//! instructions does, because it is nearly the same on every run. `make instructions` counts them
//! under valgrind and fails when a case needs more than its tolerance above `baseline.json`;
//! `make baseline` takes what it counts as the new baseline.
//!
//! - `case`: what is counted, and how exactly;
//! - `codec` and `tunnel`: the work of each case;
//! - `count`: this program once more, under valgrind;
//! - `baseline`: what was counted when it was last accepted.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on panics")]

mod baseline;
mod case;
mod codec;
mod count;
mod tunnel;

use std::fmt;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

use crate::baseline::Baseline;
use crate::case::CASES;

#[derive(Debug, Parser)]
#[command(
    name = "instructions",
    about = "Counts instructions against a baseline"
)]
struct Args {
    /// Count, and fail above the baseline; with a text, only the cases whose name contains it.
    #[arg(long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "")]
    check: Option<String>,
    /// Count, and keep the figures as the new baseline.
    #[arg(long, conflicts_with = "check")]
    accept: bool,
    /// Do the work of one case and nothing else: what runs under valgrind.
    #[arg(long, value_name = "CASE", conflicts_with_all = ["check", "accept"])]
    work: Option<String>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(name) = &args.work {
        let case = CASES.iter().find(|case| case.name == name);
        (case.context("there is no such case")?.work)();
        return Ok(ExitCode::SUCCESS);
    }
    if args.accept {
        let (now, _) = count(&Baseline::load().or_else(|_| Baseline::with_tools())?, "")?;
        now.save()?;
        say(format_args!(
            "kept as the new baseline in {}",
            baseline::PATH
        ));
        return Ok(ExitCode::SUCCESS);
    }
    match &args.check {
        Some(filter) => check(filter),
        None => {
            say(format_args!(
                "the figures are for a profile of their own: `make instructions` counts"
            ));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Counts the cases whose name contains `filter`; fails when one is above the baseline, unless that
/// is of other tools.
fn check(filter: &str) -> anyhow::Result<ExitCode> {
    let before = Baseline::load()?;
    let (now, failed) = count(&before, filter)?;
    if failed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    say(format_args!(
        "{failed} of these cases are above the baseline. Where the instructions went: callgrind_annotate {}. If they \
         are well spent: `make baseline`, and commit {}.",
        count::profile("NAME")?.display(),
        baseline::PATH
    ));
    if now.tools == before.tools {
        return Ok(ExitCode::FAILURE);
    }
    say(format_args!(
        "This is no failure, because the baseline is of other tools: {}.",
        before.tools
    ));
    Ok(ExitCode::SUCCESS)
}

/// Counts the cases whose name contains `filter`, says how each stands, and how many fail.
fn count(before: &Baseline, filter: &str) -> anyhow::Result<(Baseline, usize)> {
    let mut now = Baseline::with_tools()?;
    let mut failed = 0;
    say(format_args!("Instructions with {}", now.tools));
    for case in CASES.iter().filter(|case| case.name.contains(filter)) {
        let (name, unit) = (case.name, case.unit);
        let instructions = count::instructions(case)?;
        let verdict = before.judge(case, instructions);
        failed += usize::from(verdict.fails());
        say(format_args!(
            "{name:<28}{instructions:>10} {unit:<14}{verdict}"
        ));
        now.cases.insert(name.into(), instructions);
    }
    Ok((now, failed))
}

#[allow(clippy::print_stdout, reason = "it is the report")]
fn say(line: fmt::Arguments<'_>) {
    println!("{line}");
}
