//! This program once more, under valgrind, which counts what [`counted`] does.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::case::Case;

/// Runs `work`. What valgrind counts is the time that this function is on the stack of a thread, so
/// nothing may inline it, and it does something after the call that it ends with.
#[inline(never)]
pub(crate) fn counted(work: &mut dyn FnMut()) {
    work();
    black_box(());
}

/// Instructions that `case` takes for one of its units.
pub(crate) fn instructions(case: &Case) -> anyhow::Result<u64> {
    // Nothing of the environment decides what is counted.
    let run = Command::new("valgrind")
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR"))
        .arg("--tool=callgrind")
        .arg("--toggle-collect=instructions::count::counted*")
        .arg(format!(
            "--callgrind-out-file={}",
            profile(case.name)?.display()
        ))
        .arg(std::env::current_exe()?)
        .args(["--work", case.name])
        .output()
        .context("cannot run valgrind (Debian: valgrind)")?;
    let said = String::from_utf8_lossy(&run.stderr);
    let total = said.lines().find_map(|line| {
        let (_, total) = line.split_once("Collected : ")?;
        total.trim().parse::<u64>().ok()
    });
    match total {
        Some(total) if run.status.success() && total > 0 => Ok(total / case.times),
        _ => bail!("{} did not work under valgrind:\n{said}", case.name),
    }
}

/// Where the profile of the last count of a case is.
pub(crate) fn profile(case: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(program.with_file_name(format!("callgrind.{case}")))
}
