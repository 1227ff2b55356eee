//! `loadtest`, as a process of its own, for a slice of a case.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::program::Program;
use super::systems::{Place, System, text};
use crate::result::LoadResult;

/// What to load a system with.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// What to ask for.
    pub path: String,
    /// Whether over TLS.
    pub tls: bool,
    /// Connections.
    pub connections: usize,
    /// Requests a second; none for as many as there can be.
    pub rate: Option<f64>,
    /// For how long.
    pub duration: Duration,
    /// What else to tell the load tester.
    pub more: Vec<&'static str>,
}

impl Load {
    /// As many requests as can be over this many connections.
    pub(crate) fn closed(path: &str, connections: usize, duration: Duration) -> Self {
        Self {
            path: path.to_owned(),
            tls: false,
            connections,
            rate: None,
            duration,
            more: vec!["--http1"],
        }
    }

    /// So many requests a second.
    pub(crate) fn open(path: &str, connections: usize, rate: f64, duration: Duration) -> Self {
        Self {
            rate: Some(rate),
            ..Self::closed(path, connections, duration)
        }
    }

    /// The same with other arguments than `--http1`.
    pub(crate) fn with(self, more: &[&'static str]) -> Self {
        Self {
            more: more.to_vec(),
            ..self
        }
    }

    /// The same over TLS.
    pub(crate) fn over_tls(self) -> Self {
        Self { tls: true, ..self }
    }

    /// Starts it.
    pub(crate) fn start(&self, place: &Place, system: &System) -> anyhow::Result<Running> {
        let port = if self.more.contains(&"--http3") {
            system.quic.context("it has no QUIC")?
        } else if self.tls {
            system.https.context("it has no TLS")?
        } else {
            system.http
        };
        let scheme = if self.tls { "https" } else { "http" };
        let mut arguments = vec![
            format!("{scheme}://{}:{}/{}", system.host, port.port(), self.path),
            format!("--connect={port}"),
            format!("--connections={}", self.connections),
            format!("--duration={}ms", self.duration.as_millis()),
            format!("--warmup={}ms", WARM_UP.as_millis()),
            "--timeout=10s".into(),
            "--json".into(),
        ];
        match self.rate {
            Some(rate) => arguments.push(format!("--rate={rate}")),
            None => arguments.push("--closed".into()),
        }
        if let (true, Some(ca)) = (self.tls, &system.ca) {
            arguments.push(format!("--ca={}", text(ca)?));
        }
        arguments.extend(self.more.iter().map(ToString::to_string));
        for (at, program) in system.programs.iter().enumerate() {
            arguments.push(format!("--watch={at}={}", program.pid()));
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let file = place.ours("loadtest")?;
        let program = Program::start("loadtest", &file, &arguments, &place.scratch)?;
        Ok(Running {
            program,
            patience: self.duration + WARM_UP + PATIENCE,
        })
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, place: &Place, system: &System) -> anyhow::Result<Loaded> {
        self.start(place, system)?.end().await
    }
}

/// A load that runs.
#[derive(Debug)]
pub(crate) struct Running {
    program: Program,
    patience: Duration,
}

impl Running {
    /// Waits until it is over.
    pub(crate) async fn end(self) -> anyhow::Result<Loaded> {
        let output = self.program.output(self.patience).await?;
        let result: LoadResult =
            serde_json::from_str(&output).context("loadtest wrote no result")?;
        ensure!(
            result.totals.ok > 0,
            "no request succeeded: {:?}",
            result.totals.errors
        );
        Ok(Loaded(result))
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Loaded(pub LoadResult);

impl Loaded {
    /// Requests a second that succeeded.
    pub(crate) fn rate(&self) -> f64 {
        self.0.totals.ok as f64 / self.0.totals.seconds
    }

    /// Those that did not, or could not begin.
    pub(crate) fn failed(&self) -> u64 {
        self.0.totals.errors.values().sum::<u64>() + self.0.totals.unsent
    }

    /// What failed, in words for a reader of the figures; nothing when nothing did.
    pub(crate) fn trouble(&self, case: &str, system: &str) -> Option<String> {
        let totals = &self.0.totals;
        let mut classes: Vec<_> = totals
            .errors
            .iter()
            .map(|(class, count)| format!("{count} {class}"))
            .collect();
        if totals.unsent > 0 {
            classes.push(format!("{} unsent", totals.unsent));
        }
        let classes = classes.join(", ");
        (self.failed() > 0).then(|| format!("{case}, {system}: failed were {classes}"))
    }

    /// Processor time of the system for each request, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        let cpu: f64 = self.0.processes.iter().map(|process| process.cpu_s).sum();
        cpu * 1e6 / self.0.totals.ok as f64
    }
}

/// Before what counts.
const WARM_UP: Duration = Duration::from_millis(200);
/// How much longer than asked it may take.
const PATIENCE: Duration = Duration::from_secs(15);
