//! `agent doctor`: whether a tunnel with the same options would work, and what to mend if not.
//!
//! Every part is checked, even after one has failed: what does not depend on each other at the same
//! time, and each for a bounded time. Nothing is shown that is secret, nothing is claimed at the
//! relay, and nothing is left behind.

mod keeping;
mod origin;
mod proxy;
pub mod relay;

use std::env;
use std::ffi::OsString;
use std::io;
use std::time::{Duration, SystemTime};

use adit_shared::checkup::{self, Row, chain, udp_buffers, udp_offload};

use crate::config::{BadConfig, Given};
use crate::ui::escape::escape;

/// What is checked, and where.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// What a tunnel would be opened with.
    pub given: &'a Given,
    /// For how long a connection is kept silent, to find out how long NATs on the way remember it;
    /// each less than [`IDLE`](adit_shared::quic::tuning::IDLE). Often none, since it takes time.
    pub silences: &'a [Duration],
    /// This machine's clock.
    pub now: fn() -> SystemTime,
    /// This program's environment.
    pub variable: fn(&str) -> Option<OsString>,
}

impl<'a> Setting<'a> {
    /// A tunnel from this process. With `nat` it takes most of a minute.
    pub fn new(given: &'a Given, nat: bool) -> Self {
        Self {
            given,
            silences: if nat { relay::SILENCES } else { &[] },
            now: SystemTime::now,
            variable: |name| env::var_os(name),
        }
    }
}

/// Checks everything that `setting` asks for. Takes less than eight seconds, whatever does not
/// answer; with [silences](Setting::silences) a little more than these. Safe to drop.
pub async fn doctor(setting: &Setting<'_>) -> Vec<Row> {
    let given = setting.given;
    let (origins, relay) = tokio::join!(origin::origins(given), relay::relays(setting));
    let mut rows = options(given);
    rows.extend([keeping::directory(given), keeping::identity(given)]);
    rows.extend([udp_buffers(), udp_offload()]);
    rows.push(proxy::proxies(setting));
    rows.extend(origins);
    rows.extend(relay);
    for row in &mut rows {
        // Some of it is what strangers said.
        row.seen = escape(&row.seen, MAX_SEEN).into_owned();
    }
    rows
}

/// Writes `rows` to stdout, as a table or as JSON lines. True when nothing failed.
///
/// # Errors
///
/// When stdout is closed.
pub fn show(rows: &[Row], json: bool) -> io::Result<bool> {
    checkup::show(rows, json)
}

/// Those that no other check is about.
fn options(given: &Given) -> Vec<Row> {
    let errors = [
        given.inspect().err(),
        given.drain_grace().err(),
        given.transport().err(),
    ];
    let rows = errors.iter().flatten();
    rows.map(|error| bad_config("options", error)).collect()
}

fn bad_config(name: &'static str, error: &BadConfig) -> Row {
    Row::fail(
        name,
        chain(error),
        "correct it; `agent --help` has all options",
    )
}

/// In characters.
const MAX_SEEN: usize = 400;
