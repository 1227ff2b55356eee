//! The suite that `make bench` runs: relay and agent beside other ways to do the same, in one run, round
//! by round, so that what is compared was measured on the same machine in the same minute.
//!
//! - `args`: what can be asked for;
//! - `role`: what the suite's own processes do;
//! - `program`: processes, and what they use;
//! - `systems`: what is measured;
//! - `load`, `transfer`: what it is measured with;
//! - `figures`: what was measured;
//! - `cases`: how;
//! - `flaky`: what becomes of requests when the network fails, which is measured by itself;
//! - `floods`: what becomes of them while somebody floods the relay;
//! - `targets`: what it is held against;
//! - `table`, `report`, `document`: all of it, for people, for programs, and for docs/benchmarks.md.

mod args;
mod cases;
mod document;
mod figures;
mod flaky;
mod floods;
mod load;
mod program;
mod report;
mod role;
mod systems;
mod table;
mod targets;
mod transfer;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser as _;
use serde::Serialize;

use self::args::{Args, Command};
use self::figures::Figures;
use self::program::Program;
use self::systems::{Place, System};

/// The `bench` program, from its command line to its exit code: 0, or 1 when a case has failed. Targets
/// that are missed are no failure: they are what is to be found out.
pub fn main() -> ExitCode {
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
    let done = match args.command {
        Some(Command::Role { role }) => role::run(role).map(|()| true),
        Some(Command::Flaky { only }) => measure(flaky::run(&only)),
        Some(Command::Floods { only, seconds }) => {
            measure(floods::run(&only, Duration::from_secs(seconds)))
        }
        None => start(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tell(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args) -> anyhow::Result<bool> {
    if args.list {
        for (name, about) in cases::ALL {
            say(&format!("{name:<12} {about}"));
        }
        return Ok(true);
    }
    let names = args.cases()?;
    measure(run(args, &names))
}

/// Runs this until it is done, or the user has enough of it.
fn measure(work: impl Future<Output = anyhow::Result<bool>>) -> anyhow::Result<bool> {
    role::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = work => done,
            // What was begun is cleared away on the way out.
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped")),
        }
    });
    runtime.shutdown_background();
    done
}

async fn run(args: &Args, names: &[&'static str]) -> anyhow::Result<bool> {
    let began = Instant::now();
    let scratch = Scratch::new()?;
    let place = scratch.place()?;
    let mut bench = Bench {
        rounds: if args.quick { 1 } else { args.rounds },
        figures: Figures::default(),
        notes: Vec::new(),
        failures: Vec::new(),
        stage: Stage::start(&place, args).await?,
        place,
    };
    bench.notes.append(&mut bench.stage.notes);
    for &name in names {
        let since = Instant::now();
        tell(&format!("{name} …"));
        if let Err(error) = cases::run(name, &mut bench).await {
            tell(&format!("{name} failed: {error:#}"));
            bench.failures.push(Failure {
                case: name.to_owned(),
                reason: format!("{error:#}"),
            });
        }
        tell(&format!(
            "{name} took {:.1} s",
            since.elapsed().as_secs_f64()
        ));
    }
    let Bench {
        figures,
        notes,
        failures,
        rounds,
        ..
    } = bench;
    let report = report::Report::new(figures, notes, failures, rounds, began.elapsed());
    say(&report.to_string());
    report.write(&args.out)?;
    tell(&format!("everything is in {}", args.out.display()));
    if let Some(directory) = &args.docs {
        report.document(directory)?;
        tell(&format!("tables and plots are in {}", directory.display()));
    }
    Ok(report.failures.is_empty())
}

/// A run of the suite.
#[derive(Debug)]
pub(crate) struct Bench {
    /// How often each case is done.
    pub rounds: usize,
    /// What was measured so far.
    pub figures: Figures,
    /// What a reader of the figures should know.
    pub notes: Vec<String>,
    /// Cases that have no figures.
    pub failures: Vec<Failure>,
    /// What most cases are about.
    pub stage: Stage,
    /// Where things are.
    pub place: Place,
}

impl Bench {
    /// Something that a reader of the figures should know.
    pub(crate) fn say(&mut self, note: String) {
        if !self.notes.contains(&note) {
            tell(&format!("  {note}"));
            self.notes.push(note);
        }
    }
}

/// A case that failed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failure {
    /// Which.
    pub case: String,
    /// Why.
    pub reason: String,
}

/// The origin and the ways to it.
#[derive(Debug)]
pub(crate) struct Stage {
    _origin: Program,
    /// The origin itself.
    pub direct: System,
    /// The proxy of one hop.
    pub hop: System,
    /// Relay and agent, as they are by default.
    pub adit: System,
    /// Both ends of a bare QUIC connection.
    pub quic: [Program; 2],
    /// Others that do the same.
    peers: Vec<System>,
    notes: Vec<String>,
}

impl Stage {
    async fn start(place: &Place, args: &Args) -> anyhow::Result<Self> {
        let (program, direct) = systems::origin(place).await?;
        let origin = direct.http;
        let mut stage = Self {
            _origin: program,
            hop: systems::hop(place, origin).await?,
            adit: systems::adit(place, "bench", origin, &[], &[]).await?,
            quic: systems::quic(place).await?,
            direct,
            peers: Vec::new(),
            notes: Vec::new(),
        };
        match args.rathole_file() {
            Some(file) => {
                let started = systems::rathole(place, &file, origin).await;
                stage.add("rathole", started);
            }
            None => stage.notes.push(
                "rathole is not installed (`cargo install rathole`, or --rathole FILE), so not measured".into(),
            ),
        }
        match args.frp_directory() {
            Some(directory) => {
                let started = systems::frp(place, &directory, origin).await;
                stage.add("frp", started);
            }
            None => stage.notes.push(
                "frp is not installed (--frp DIR, where frps and frpc are), so not measured".into(),
            ),
        }
        Ok(stage)
    }

    fn add(&mut self, name: &str, started: anyhow::Result<System>) {
        match started {
            Ok(system) => self.peers.push(system),
            Err(error) => self
                .notes
                .push(format!("{name} does not start, so not measured: {error:#}")),
        }
    }

    /// What to measure, in the order of a round.
    pub(crate) fn systems(&self, peers: bool) -> impl Iterator<Item = &System> {
        let peers = if peers { self.peers.as_slice() } else { &[] };
        [&self.direct, &self.hop, &self.adit]
            .into_iter()
            .chain(peers)
    }
}

/// A directory that goes with the suite.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("adit-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Our programs, and this directory.
    fn place(&self) -> anyhow::Result<Place> {
        let programs = std::env::current_exe()?;
        Ok(Place {
            programs: programs.parent().context("no directory")?.to_owned(),
            scratch: self.0.clone(),
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// For whoever reads the outcome.
fn say(text: &str) {
    // Without a place to print to, the file has to do.
    drop(writeln!(anstream::stdout(), "{text}"));
}

/// For whoever waits for it.
fn tell(text: &str) {
    drop(writeln!(anstream::stderr(), "{text}"));
}

/// Bad usage, as in BSD's sysexits.
const USAGE: u8 = 64;
