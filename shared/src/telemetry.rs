//! How both programs log: the subscriber, and the names of fields.
//!
//! `info` is a life event that an operator wants, `warn` is for somebody to look at, `debug` is per
//! request, `trace` is per frame. Secrets, cookies, bodies and query strings are never logged.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::uptime;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends log lines to stderr from now on. `ADIT_LOG` says which (the syntax of tracing's
/// directives, such as `debug` or `adit_relay=trace`), else `default`.
///
/// A second call does nothing, so that a relay inside an agent is no special case.
pub fn init(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_env("ADIT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false);
    let set = match format {
        LogFormat::Text => subscriber.with_timer(uptime()).finish().try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).finish().try_init(),
    };
    drop(set);
}
