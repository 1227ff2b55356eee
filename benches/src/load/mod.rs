//! A load test from its start to its end.
//!
//! A **lane** is what sends one request at a time: a connection, or one of the streams of it. All
//! lanes run on one thread, because the processors are usually shared with what is measured.

mod alarm;
mod events;
mod lane;
mod pace;
pub(crate) mod record;
pub(crate) mod tally;
mod times;

use std::env;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_shared::quic::tls::TlsError;
use adit_shared::task::Tasks;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::Span;

use self::pace::Pace;
pub use self::record::Glance;
use self::record::{By, Meter};
use crate::client::Client;
use crate::client::deadline::Deadline;
use crate::client::dial::{self, Dialer};
use crate::machine;
use crate::plan::{Plan, Protocol};
use crate::result::{FORMAT, LoadResult};
use crate::usage::Watched;

/// Does what `plan` says. `interrupted` ends it early; `look` is called a few times a second.
/// Dropping it ends everything.
///
/// # Errors
///
/// [`LoadError`] when there is nothing to load. Failed requests are no error: they are counted.
pub async fn run(
    plan: Plan,
    mut watched: Vec<Watched>,
    interrupted: &Notify,
    mut look: impl FnMut(Progress),
) -> Result<LoadResult, LoadError> {
    let at = jiff::Timestamp::now().to_string();
    let plan = Arc::new(plan);
    let (dialer, protocol) = prepare(&plan).await?;
    let dialer = Arc::new(dialer);
    let drivers = Tasks::default();
    let clients = Client::all(&plan, protocol, &dialer, &drivers);
    let clients = tokio::select! {
        clients = connect(clients, &plan) => clients,
        () = interrupted.notified() => return Err(LoadError::Interrupted),
    };

    let start = Instant::now();
    let measure = start + plan.warmup;
    let by = match plan.rate {
        Some(_) => By::Due,
        None => By::End,
    };
    let meter = Arc::new(Meter::new(measure, plan.duration, by));
    let lasting = plan.warmup + plan.duration;
    let pace = Arc::new(Pace::new(start, lasting, plan.rate, plan.requests));
    // After a warm-up, from its end; else from before the first request.
    let mut opened = plan.warmup.is_zero().then(|| dialer.opened());
    let lanes = Tasks::default();
    for (number, client) in (0..).zip(clients) {
        let work = lane::run(client, number, plan.clone(), pace.clone(), meter.clone());
        lanes.spawn(Span::none(), work);
    }
    let kept = pace.clone();
    drivers.spawn(Span::none(), async move { kept.keep().await });

    let mut ticks = tokio::time::interval_at(measure.into(), LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut warming = tokio::time::interval_at(start.into(), LOOK);
    let is_called_off = loop {
        tokio::select! {
            biased;
            () = interrupted.notified() => break true,
            // The last request of an open loop may be due, and answered, a while before the end.
            () = lanes.ended(), if plan.rate.is_none() || plan.requests < u64::MAX => break true,
            () = tokio::time::sleep_until(meter.end().into()) => break false,
            _ = warming.tick(), if Instant::now() < measure => look(Progress::WarmingUp),
            tick = ticks.tick() => {
                opened.get_or_insert_with(|| dialer.opened());
                let passed = tick.into_std() - measure;
                for process in &mut watched {
                    process.look(passed);
                }
                look(Progress::Measuring { passed, of: plan.duration, glance: meter.glance() });
            }
        }
    };
    let now = Instant::now();
    if is_called_off {
        meter.stop(now);
        pace.stop(now);
    }
    let passed = now.min(meter.end()).saturating_duration_since(measure);
    for process in &mut watched {
        process.look(passed);
    }
    let opened = opened.map_or(0, |before| dialer.opened() - before);
    if plan.rate.is_some() {
        // What was due counts, however late it is answered.
        look(Progress::Waiting);
        tokio::select! {
            () = lanes.ended() => {}
            () = interrupted.notified() => {}
        }
    }
    lanes.abort();
    drivers.abort();

    let closed = meter.close();
    let mut totals = closed.totals;
    totals.unsent = pace.unsent(measure);
    totals.connects = opened;
    Ok(LoadResult {
        format: FORMAT.to_owned(),
        at,
        command: command(env::args()),
        commit: commit(),
        machine: machine::here(),
        plan: plan.describe(protocol),
        totals,
        latency: closed.latency,
        service: closed.service,
        distribution: closed.distribution,
        timeline: closed.timeline,
        processes: watched.into_iter().map(Watched::close).collect(),
    })
}

/// How it goes.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// What is sent does not count yet.
    WarmingUp,
    /// It does.
    Measuring {
        /// For how long.
        passed: Duration,
        /// Of how long.
        of: Duration,
        /// What was counted.
        glance: Glance,
    },
    /// It is over, but for answers that are still to come.
    Waiting,
}

/// Finds out where to dial and what is spoken there.
async fn prepare(plan: &Plan) -> Result<(Dialer, Protocol), LoadError> {
    let found = plan.target.resolve().await;
    let addresses = found.map_err(|error| LoadError::Resolve(plan.target.place(), error))?;
    if !plan.target.https {
        let protocol = plan.protocol.unwrap_or(Protocol::Http1);
        return Ok((Dialer::new(addresses, None), protocol));
    }
    let name = plan.target.server_name().map_err(|_| LoadError::Name)?;
    let dialer = |alpn: &[&[u8]]| -> Result<Dialer, LoadError> {
        let config = Arc::new(dial::tls(&plan.trust, alpn)?);
        Ok(Dialer::new(addresses.clone(), Some((config, name.clone()))))
    };
    let protocol = match plan.protocol {
        Some(protocol) => protocol,
        None => {
            let probe = dialer(&[b"h2", b"http/1.1"])?;
            let began = Instant::now();
            let mut deadline = Deadline::new(plan.timeout);
            // Should it fail, the requests will fail too, and say how.
            match deadline.within(|| began, probe.dial()).await {
                Ok(stream) if stream.alpn() == Some(b"h2") => Protocol::Http2,
                _ => Protocol::Http1,
            }
        }
    };
    let alpn: &[u8] = match protocol {
        Protocol::Http1 | Protocol::WebSocket => b"http/1.1",
        Protocol::Http2 => b"h2",
        Protocol::Http3 => b"h3",
    };
    Ok((dialer(&[alpn])?, protocol))
}

/// Opens the connections of all, so that the first requests find them open. One that fails here is
/// tried again by its first request, and counted there.
async fn connect(clients: Vec<Client>, plan: &Plan) -> Vec<Client> {
    if plan.new_connections {
        return clients;
    }
    let began = Instant::now();
    let mut opening = JoinSet::new();
    for mut client in clients {
        let mut deadline = Deadline::new(plan.timeout);
        opening.spawn(async move {
            drop(deadline.within(|| began, client.connect()).await);
            client
        });
    }
    opening.join_all().await
}

/// The command, without what only its owner should know.
fn command(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut is_header = false;
    let hide = |word: String| {
        let hidden = match word
            .strip_prefix("--header=")
            .or_else(|| word.strip_prefix("-H"))
        {
            Some(header) => header.trim_start_matches('='),
            None if is_header => word.as_str(),
            None => "",
        };
        is_header = matches!(word.as_str(), "--header" | "-H");
        match hidden.split_once(':') {
            Some((name, value)) if is_secret(name) => word.replace(value, " …"),
            _ => word,
        }
    };
    words.map(hide).collect()
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "cookie", "token", "key", "secret", "password"]
        .iter()
        .any(|word| name.contains(word))
}

fn commit() -> Option<String> {
    let said = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let said = said.ok().filter(|said| said.status.success())?;
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}

/// Why there is nothing to load.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The host has no address.
    #[error("cannot find {0}")]
    Resolve(String, #[source] io::Error),
    /// The host is none that a certificate could be for.
    #[error("no certificate can be for this host")]
    Name,
    /// It was called off.
    #[error("interrupted before it began")]
    Interrupted,
    /// The trust store is unusable.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
}

/// How often somebody may look.
const LOOK: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_in_the_command_that_is_stored() {
        let line = [
            "loadtest",
            "-H",
            "Authorization: canary",
            "--header=cookie: canary",
            "-Hx-api-key:canary",
            "--header",
            "Accept: a/b",
            "http://a",
        ];
        let stored = command(line.iter().map(|word| (*word).to_owned()));
        assert!(!stored.concat().contains("canary"), "{stored:?}");
        assert_eq!(stored[2], "Authorization: …");
        assert_eq!(stored[5..], line[5..]);
    }
}
