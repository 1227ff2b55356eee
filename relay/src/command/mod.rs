//! What the `relay` program can do besides serving. No command may be run inside a runtime.

pub mod certificate;
pub mod doctor;
pub mod inbox;
pub mod token;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::CommandFactory as _;
use jiff::Timestamp;
use rusqlite::Connection;

use crate::args::{Args, Command};
use crate::config::{BAD_CONFIG, ConfigError};
use crate::store;

/// Does what was asked, and says how it went on stdout and stderr.
///
/// # Errors
///
/// Whatever went wrong; [`exit_code`] has the number for it.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Token(action) => token::run(action).map(|()| ExitCode::SUCCESS),
        Command::Certificate(action) => certificate::run(action).map(|()| ExitCode::SUCCESS),
        Command::Inbox(action) => inbox::run(action).map(|()| ExitCode::SUCCESS),
        Command::Doctor(serve) => doctor::run(&serve),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "relay", &mut script);
            io::stdout().lock().write_all(&script)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The exit code for an error: 78 for a bad configuration, else 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<ConfigError>() {
        Some(_) => BAD_CONFIG.into(),
        None => ExitCode::FAILURE,
    }
}

/// A mistyped directory should not look like an empty list.
fn connect_existing(state_dir: &Path) -> anyhow::Result<Connection> {
    let path = store::path(state_dir);
    let exists = path
        .try_exists()
        .with_context(|| format!("cannot look for {}", path.display()))?;
    if !exists {
        bail!(
            "no relay has kept state in {}; say where with --state-dir, --domain or --config, as \
             for the relay itself",
            state_dir.display()
        );
    }
    Ok(store::connect(state_dir)?)
}

/// Rows of cells as columns.
fn table<const N: usize>(rows: &[[String; N]], out: &mut impl Write) -> io::Result<()> {
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let widths = rows.iter().map(|row| row[column].chars().count());
            line += &format!("{cell:<width$}  ", width = widths.max().unwrap_or_default());
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// In UTC, as scripts and people in different places read it alike.
fn time(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.to_string(),
        Err(_) => seconds.to_string(),
    }
}
