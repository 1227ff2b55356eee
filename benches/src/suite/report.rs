//! All that a run has found: ratios with their verdicts first, then what was measured.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::Failure;
use super::cases::requests;
use super::figures::{Figures, Ratio};
use super::table::Table;
use super::targets::{self, Bound, Verdict};
use crate::machine;
use crate::result::Machine;
use crate::unit::number;

/// Everything about one run; written as it is, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Always [`FORMAT`].
    format: &'static str,
    /// When it ended (RFC 3339).
    at: String,
    command: Vec<String>,
    commit: Option<String>,
    machine: Machine,
    /// How TCP of this system controls congestion.
    tcp_congestion: Option<String>,
    rounds: usize,
    seconds: f64,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) failures: Vec<Failure>,
    notes: Vec<String>,
    pub(crate) figures: Figures,
}

impl Report {
    /// Makes up what the figures mean.
    pub(crate) fn new(
        figures: Figures,
        notes: Vec<String>,
        failures: Vec<Failure>,
        rounds: usize,
        took: Duration,
    ) -> Self {
        let tcp = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
        Self {
            format: FORMAT,
            at: jiff::Timestamp::now().to_string(),
            command: std::env::args().collect(),
            commit: commit(),
            machine: machine::here(),
            tcp_congestion: tcp.ok().map(|name| name.trim().to_owned()),
            rounds,
            seconds: took.as_secs_f64(),
            verdicts: targets::verdicts(&figures),
            failures,
            notes,
            figures,
        }
    }

    /// Writes it to a file.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Where and how it was measured, in a sentence.
    pub(crate) fn circumstances(&self) -> String {
        let Machine {
            system,
            processor,
            cores,
            memory,
        } = &self.machine;
        format!(
            "{cores} cores of {processor}, {} GiB, {system}, TCP with {}; commit {}; {}; middle of {} \
             round{}; {:.0} s in all.",
            memory >> 30,
            self.tcp_congestion
                .as_deref()
                .unwrap_or("an unknown congestion control"),
            self.commit.as_deref().unwrap_or("unknown"),
            self.at.split('T').next().unwrap_or_default(),
            self.rounds,
            if self.rounds == 1 { "" } else { "s" },
            self.seconds,
        )
    }

    /// What is held against targets.
    pub(crate) fn targets(&self) -> Table {
        let mut table = Table::new(["measure", "found", "rounds", "target", "verdict"]);
        for verdict in &self.verdicts {
            let [found, rounds] = match verdict.found {
                Some(found) => [text(found.middle, verdict.unit), range(found)],
                None => ["-".into(), "-".into()],
            };
            let target = match verdict.bound {
                Bound::AtLeast(bound) => format!(">= {}", text(bound, verdict.unit)),
                Bound::AtMost(bound) => format!("<= {}", text(bound, verdict.unit)),
            };
            let outcome = match (verdict.is_met(), verdict.gap()) {
                (Some(true), _) => "met".into(),
                (Some(false), Some(gap)) if gap.is_finite() => {
                    format!("MISSED by {:.0} %", (gap * 100.0).max(1.0))
                }
                (Some(false), _) => "MISSED: requests were lost".into(),
                (None, _) => verdict.missing.into(),
            };
            table.row([verdict.measure.clone(), found, rounds, target, outcome]);
        }
        table
    }

    /// How our way compares with the proxy of one hop in every case that both did.
    pub(crate) fn ratios(&self) -> Table {
        let mut table = Table::new(["adit against the one-hop proxy", "ratio", "rounds"]);
        for figure in self.figures.iter().filter(|f| f.system == "adit") {
            let (case, measure) = (figure.case.as_str(), figure.measure);
            let hop = self.figures.find(case, "hop", measure);
            if let Some(hop) = hop
                && let Some(ratio) = Ratio::of(&figure.rounds, &hop.rounds)
            {
                table.row([
                    format!("{case}: {measure}"),
                    text(ratio.middle, "x"),
                    range(ratio),
                ]);
            }
        }
        table
    }

    /// What was measured: a table for each case, with a row for each system.
    pub(crate) fn cases(&self) -> Vec<(String, Table)> {
        let mut cases: Vec<(String, Table)> = Vec::new();
        for figure in self.figures.iter() {
            let case = &figure.case;
            if cases.iter().any(|(name, _)| name == case) {
                continue;
            }
            let of_case = || self.figures.iter().filter(|figure| figure.case == *case);
            let (mut systems, mut measures) = (Vec::new(), Vec::new());
            for figure in of_case() {
                push_new(&mut systems, figure.system.as_str());
                push_new(&mut measures, figure.measure);
            }
            let mut table = Table::new([&["system"], measures.as_slice()].concat());
            for system in systems {
                let cells = measures.iter().map(|measure| {
                    let median = self.figures.median(case, system, measure);
                    median.map_or_else(|| "-".to_owned(), number)
                });
                table.row(std::iter::once(system.to_owned()).chain(cells));
            }
            cases.push((case.clone(), table));
        }
        cases
    }

    /// What a reader should know, a sentence each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let failed = self.failures.iter();
        let failed = failed.map(|failure| format!("{} FAILED: {}", failure.case, failure.reason));
        failed.chain(self.notes.iter().cloned()).collect()
    }

    /// What one system reached in the main case.
    pub(crate) fn main(&self, system: &str, measure: &str) -> Option<&super::figures::Figure> {
        self.figures.find(requests::MAIN, system, measure)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.circumstances())?;
        writeln!(f, "{}", self.targets().text())?;
        let ratios = self.ratios();
        if !ratios.is_empty() {
            writeln!(f, "{}", ratios.text())?;
        }
        for (case, table) in self.cases() {
            writeln!(f, "{case}\n{}", table.text())?;
        }
        for remark in self.remarks() {
            writeln!(f, "- {remark}")?;
        }
        Ok(())
    }
}

fn push_new<'a>(list: &mut Vec<&'a str>, text: &'a str) {
    if !list.contains(&text) {
        list.push(text);
    }
}

fn text(value: f64, unit: &str) -> String {
    if unit == "x" {
        return format!("{value:.2}");
    }
    format!("{} {unit}", number(value))
}

fn range(ratio: Ratio) -> String {
    if ratio.least == ratio.most {
        return "-".into();
    }
    format!("{:.2} to {:.2}", ratio.least, ratio.most)
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() {
        commit
    } else {
        format!("{commit} with changes")
    })
}

const FORMAT: &str = "adit-bench/1";
