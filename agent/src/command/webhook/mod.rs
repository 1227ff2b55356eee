//! `agent webhook`: the providers that are known, and samples of their webhooks, signed.
//!
//! - `sample`: bodies of events;
//! - [`mod@send`]: one of them to any URL.

mod sample;
pub mod send;

use std::io::{self, Write as _};

use adit_shared::webhook::Provider;
use adit_shared::webhook::table::{ALIASES, PROVIDERS};

pub use send::{SendError, Sending, send};

/// Writes all providers to stdout, with what can be done for each.
///
/// # Errors
///
/// When stdout is closed.
pub fn list() -> io::Result<()> {
    let mut to = io::stdout().lock();
    writeln!(to, "{:<18} {:<34} SAMPLES", "PROVIDER", "ALSO")?;
    let mut providers: Vec<&Provider> = PROVIDERS.iter().collect();
    providers.sort_by_key(|provider| provider.name);
    for provider in providers {
        let also = ALIASES.iter().filter(|(_, name)| *name == provider.name);
        let also: Vec<_> = also.map(|(alias, _)| *alias).collect();
        let samples = sample::events(provider.name).join(" ");
        let line = format!("{:<18} {:<34} {samples}", provider.name, also.join(" "));
        writeln!(to, "{}", line.trim_end())?;
    }
    Ok(())
}
