//! What the `relay` program can do besides serving. No command needs a runtime, and none may be run
//! inside one.

pub mod doctor;
pub mod token;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::args::{Args, Command};
use crate::config::{BAD_CONFIG, ConfigError};

/// Does what was asked, and says how it went on stdout and stderr.
///
/// # Errors
///
/// Whatever went wrong; [`exit_code`] has the number for it.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Token(action) => token::run(action).map(|()| ExitCode::SUCCESS),
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
