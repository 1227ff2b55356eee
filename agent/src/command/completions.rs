//! `agent completions SHELL`.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Args;

/// Writes the completion script for `shell` to stdout.
///
/// # Errors
///
/// When stdout is closed.
pub fn completions(shell: Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "agent", &mut script);
    io::stdout().lock().write_all(&script)
}
