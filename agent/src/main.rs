//! The `agent` program: from a command line to an exit code.

use std::env;
use std::io::Write as _;
use std::process::ExitCode;

use adit_agent::cli::{Args, Command, Webhook};
use adit_agent::command::doctor::Setting;
use adit_agent::command::requests::RequestsError;
use adit_agent::command::webhook::{self, SendError, Sending};
use adit_agent::command::{completions, doctor, requests};
use adit_agent::config::{BadConfig, Given};
use adit_agent::{End, run};
use adit_shared::files;
use adit_shared::telemetry::{self, LogFormat};
use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

/// The system's allocator gives memory back between two large reads, and takes it again for the next:
/// with this one bulk costs a third less.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    match start(args) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn start(mut args: Args) -> anyhow::Result<ExitCode> {
    let listed = match &args.command {
        Some(Command::Completions { shell }) => Some(completions::completions(*shell)),
        Some(Command::Webhook {
            what: Webhook::List,
        }) => Some(webhook::list()),
        _ => None,
    };
    if let Some(written) = listed {
        written.context("cannot write to stdout")?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(Command::Replay { to: Some(url), .. }) = &args.command {
        // It is the origin of no agent, and what else is said of an origin is meant for it.
        args.options.origin = Some(url.clone());
        args.options
            .host_header
            .get_or_insert_with(|| "rewrite".to_owned());
    }
    let given = Given::collect(args.options, |name| env::var_os(name))?;
    let format = given.log_format()?;
    let default = match format {
        LogFormat::Text => "warn",
        LogFormat::Json => "info",
    };
    telemetry::init(format, default);
    files::raise_limit();
    if let Some(path) = given.file() {
        say(&format!("using {}", path.display()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let ended = match args.command {
        Some(Command::Doctor { nat }) => {
            if nat {
                say("watching how long a silent connection is remembered, for 45 s");
            }
            let rows = runtime.block_on(doctor::doctor(&Setting::new(&given, nat)));
            let shown = doctor::show(&rows, given.json()).context("cannot write to stdout");
            shown.map(|is_well| u8::from(!is_well))
        }
        Some(Command::Webhook {
            what:
                Webhook::Send {
                    provider,
                    event,
                    to,
                    body,
                },
        }) => {
            let sending = Sending {
                provider,
                event,
                to,
                body,
            };
            let sent = runtime.block_on(webhook::send(&given, &sending));
            let sent = sent.map(|is_well| u8::from(!is_well));
            sent.map_err(|error| match error {
                SendError::Config(bad) => bad.into(),
                other => other.into(),
            })
        }
        Some(Command::Requests { what }) => {
            let address = given.inspector()?;
            let done = requests::requests(&what, address, given.json());
            done.map(|is_well| u8::from(!is_well)).map_err(Into::into)
        }
        Some(Command::Replay { file, to, again }) => {
            let done = match to {
                None => {
                    let address = given.inspector()?;
                    requests::replay_file(&file, &again, address, given.json())
                }
                Some(_) => runtime.block_on(requests::replay_to_origin(file, again, &given)),
            };
            done.map(|is_well| u8::from(!is_well)).map_err(unwrapped)
        }
        _ => {
            let ended = runtime.block_on(run(given.config()?));
            ended.map(|()| 0).map_err(Into::into)
        }
    };
    // A name server that does not answer, or a pipe that nobody reads, must not hold up the end.
    runtime.shutdown_background();
    Ok(ended?.into())
}

/// Bad options have exit codes of their own.
fn unwrapped(error: RequestsError) -> anyhow::Error {
    match error {
        RequestsError::Config(bad) => bad.into(),
        other => other.into(),
    }
}

/// Says why the agent failed; the exit code says it too.
fn fail(error: &anyhow::Error) -> ExitCode {
    if let Some(bad) = error.downcast_ref::<BadConfig>() {
        if bad.is_usage() {
            let error = Args::command().error(ErrorKind::ValueValidation, format!("{error:#}"));
            drop(error.print());
            return USAGE.into();
        }
        say(&format!("error: {error:#}"));
        return BAD_CONFIG.into();
    }
    if let Some(end) = error.downcast_ref::<End>() {
        if let Some(text) = end.explain() {
            say(&format!("error: {text}"));
        }
        return end.code().into();
    }
    say(&format!("error: {error:#}"));
    ExitCode::FAILURE
}

fn say(line: &str) {
    // There is nobody to tell when stderr is closed.
    drop(writeln!(anstream::stderr(), "{line}"));
}

/// Bad usage, as in BSD's sysexits.
const USAGE: u8 = 64;
/// Bad configuration, as there.
const BAD_CONFIG: u8 = 78;
