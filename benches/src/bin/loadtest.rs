//! `loadtest`: a load tester for anything that speaks HTTP.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{self, ExitCode};
use std::sync::Arc;

use adit_benches::args::Args;
use adit_benches::compare::compare;
use adit_benches::load;
use adit_benches::plan::Plan;
use adit_benches::progress::Line;
use adit_benches::report;
use adit_benches::result::LoadResult;
use adit_benches::summary::Summary;
use adit_benches::usage::Watched;
use adit_shared::task::Tasks;
use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use tokio::sync::Notify;
use tracing::Span;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // There is nobody to tell when stderr is closed.
            drop(error.print());
            return if error.use_stderr() {
                USAGE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let (plan, watched) = match parse(&args) {
        Ok(parsed) => parsed,
        Err(error) => {
            let error = Args::command().error(ErrorKind::ValueValidation, format!("{error:#}"));
            drop(error.print());
            return USAGE.into();
        }
    };
    match measure(&args, plan, watched) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(anstream::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &Args) -> anyhow::Result<(Plan, Vec<Watched>)> {
    let watched: Result<_, _> = args.watch.iter().map(|watch| watch.parse()).collect();
    Ok((Plan::try_from(args)?, watched?))
}

/// Runs the test and says what came of it: true when anything succeeded.
fn measure(args: &Args, plan: Plan, watched: Vec<Watched>) -> anyhow::Result<bool> {
    // What it is to be compared with is wanted before the time is spent.
    let before = args.compare.as_deref().map(read).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let result = runtime.block_on(async {
        let mut line = Line::new(args.quiet || args.json);
        let (interrupted, tasks) = (Arc::new(Notify::new()), Tasks::default());
        tasks.spawn(Span::none(), interruption(interrupted.clone()));
        let result = load::run(plan, watched, &interrupted, |progress| line.show(progress)).await;
        line.clear();
        tasks.abort();
        result
    })?;
    // A name server that does not answer must not hold up the end.
    runtime.shutdown_background();
    show(args, &result, before.as_ref())?;
    let totals = &result.totals;
    // A body may be so large that none is over in time.
    let is_under_way = totals.errors.is_empty() && totals.received + totals.sent > 0;
    Ok(totals.ok > 0 || is_under_way)
}

/// The first Ctrl-C ends the test, the second the waiting for what is in flight, the third all.
async fn interruption(interrupted: Arc<Notify>) {
    for _ in 0..2 {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        interrupted.notify_one();
    }
    drop(tokio::signal::ctrl_c().await);
    process::exit(INTERRUPTED);
}

fn show(args: &Args, result: &LoadResult, before: Option<&LoadResult>) -> anyhow::Result<()> {
    let json = || serde_json::to_string_pretty(result).context("cannot write the result as JSON");
    let mut out = anstream::stdout();
    let is_stdout = args.result.as_deref() == Some(Path::new("-"));
    if args.json || is_stdout {
        writeln!(out, "{}", json()?).context("cannot write to stdout")?;
    } else if !args.quiet {
        write!(out, "{}", Summary(result)).context("cannot write to stdout")?;
        if let Some(before) = before {
            writeln!(out, "\n{}", compare(result, before)).context("cannot write to stdout")?;
        }
    }
    if let Some(path) = args.result.as_deref().filter(|_| !is_stdout) {
        write(path, &json()?)?;
    }
    if let Some(path) = &args.report {
        write(path, &report::html(result, before))?;
    }
    out.flush().context("cannot write to stdout")
}

fn read(path: &Path) -> anyhow::Result<LoadResult> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is no result of loadtest", path.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written: io::Result<()> = fs::write(path, text);
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Bad usage, as in BSD's sysexits.
const USAGE: u8 = 64;
/// As shells say that Ctrl-C ended a program.
const INTERRUPTED: i32 = 130;
