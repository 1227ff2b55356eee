//! What was counted when it was last accepted: one line for each case, with the tools that it is
//! true of.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::case::Case;

/// Where it is kept.
pub(crate) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.json");

/// Instructions of each case.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Baseline {
    /// Compiler, valgrind and platform: other ones count otherwise.
    pub(crate) tools: String,
    pub(crate) cases: BTreeMap<String, u64>,
}

impl Baseline {
    /// Nothing counted yet, with the tools at hand.
    pub(crate) fn with_tools() -> anyhow::Result<Self> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let rustc = first_line(Command::new(rustc).arg("--version"))?;
        let valgrind = first_line(Command::new("valgrind").arg("--version"))
            .context("valgrind is needed (Debian: valgrind)")?;
        let libc = first_line(Command::new("getconf").arg("GNU_LIBC_VERSION"));
        let libc = libc.unwrap_or_else(|_| std::env::consts::OS.into());
        let arch = std::env::consts::ARCH;
        Ok(Self {
            tools: format!("{rustc}, {valgrind}, {libc}, {arch}"),
            cases: BTreeMap::new(),
        })
    }

    /// The one of the repository.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let read = || Ok::<_, anyhow::Error>(serde_json::from_slice(&std::fs::read(PATH)?)?);
        read().with_context(|| format!("cannot read {PATH}; `make baseline` makes it"))
    }

    /// Puts it into the repository.
    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(PATH, json + "\n").with_context(|| format!("cannot write {PATH}"))
    }

    /// How `instructions` of `case` stand against it.
    pub(crate) fn judge(&self, case: &Case, instructions: u64) -> Verdict {
        let Some(&before) = self.cases.get(case.name) else {
            return Verdict::New;
        };
        let percent = (instructions as f64 / before as f64 - 1.0) * 100.0;
        if percent > case.tolerance {
            Verdict::Worse(percent, case.tolerance)
        } else if percent < -case.tolerance {
            Verdict::Better(percent)
        } else {
            Verdict::Same(percent)
        }
    }
}

/// How a case stands against the baseline, with its change in percent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    /// Within the tolerance.
    Same(f64),
    /// Below it.
    Better(f64),
    /// Above it, and what it is.
    Worse(f64, f64),
    /// The baseline does not have the case.
    New,
}

impl Verdict {
    /// Whether the baseline does not allow it.
    pub(crate) fn fails(self) -> bool {
        matches!(self, Self::Worse(..) | Self::New)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(percent) => write!(f, "{percent:+.2} %"),
            Self::Better(percent) => write!(f, "{percent:+.2} %, better: make baseline keeps it"),
            Self::Worse(percent, allowed) => write!(f, "{percent:+.2} %, WORSE than {allowed} %"),
            Self::New => f.write_str("NOT IN THE BASELINE"),
        }
    }
}

fn first_line(command: &mut Command) -> anyhow::Result<String> {
    let run = command.output()?;
    let said = String::from_utf8(run.stdout)?;
    Ok(said.lines().next().unwrap_or_default().into())
}
