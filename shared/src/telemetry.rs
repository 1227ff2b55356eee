//! How both programs log: the subscriber, and the names of fields.
//!
//! `info` is a life event that an operator wants, `warn` is for somebody to look at, `debug` is per
//! request, `trace` is per frame. Secrets, cookies, bodies and query strings are never logged.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::time::uptime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

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
    let filter = std::env::var("ADIT_LOG")
        .ok()
        .and_then(|text| filter(&text))
        .or_else(|| filter(default));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false);
    let lines = match format {
        LogFormat::Text => lines.with_timer(uptime()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    drop(Registry::default().with(filter).with(lines).try_init());
}

/// What `text` says to log; nothing when it says nothing that can be understood.
///
/// The filter that knows directives about spans takes a lock, which all threads share, whenever a
/// task with a span is polled. So it is used only for such directives.
fn filter(text: &str) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
    if text.contains('[') {
        return Some(EnvFilter::try_new(text).ok()?.boxed());
    }
    let targets: Targets = text.parse().ok()?;
    Some(targets.boxed())
}
