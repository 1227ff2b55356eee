//! What the relay counts. Each shard counts for itself, in memory that no other shard writes on the
//! path of an exchange; [`Report`] adds it up when somebody asks.

mod paths;
mod report;
mod seconds;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;

pub use self::paths::{Paths, Tally};
pub use self::report::{Report, Waiting};

/// Counters and gauges of one shard. All updates are relaxed atomics.
// Aligned so that no cache line is shared with what another shard writes: processors fetch lines in
// pairs of 64 bytes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Metrics {
    /// Visitors' connections that are open.
    pub visitors: Gauge,
    /// Those of them that speak HTTP/3.
    pub visitors_over_http3: Gauge,
    /// Sessions that are open.
    pub sessions: Gauge,
    /// Requests between their head and their end.
    pub exchanges: Gauge,
    /// QUIC handshakes that were refused, timed out or failed.
    pub handshakes_failed: Counter,
    /// Sessions that went on from another address.
    pub migrations: Counter,
    /// Knocks of agents that had heard nothing for a while.
    pub knocks: Counter,
    /// Visitors' connections that were refused because there were too many.
    pub visitors_refused: Counter,
    /// Connections that a proxy did not pass on as the PROXY protocol says.
    pub proxy_headers_refused: Counter,
    /// Visitors that were shown the notice, or went on from it.
    pub notices: Counter,
    /// Requests that were sent once more.
    pub resent: Counter,
    /// Sessions whose agent had been here before.
    pub reconnects: Counter,
    /// Copies of requests that a mirror has answered.
    pub mirrored: Counter,
    /// Those that no mirror got, or that it did not answer.
    pub mirror_dropped: Counter,
    /// Packets to agents.
    pub packets_sent: Counter,
    /// Those of them that were lost on the way.
    pub packets_lost: Counter,
    /// Connections of agents that carry QUIC inside TCP.
    pub carriers: Gauge,
    /// Such that were refused because there were too many.
    pub carriers_refused: Counter,
    visitor_left: Counter,
    cut: Counter,
    over_budget: Counter,
    request_bytes: Counter,
    response_bytes: Counter,
    responses: [Counter; 5],
    durations: Durations,
    answers: Mutex<BTreeMap<&'static str, u64>>,
    limited: Mutex<BTreeMap<&'static str, u64>>,
}

/// What became of requests that waited for their agent. They are few, so all shards count in one place.
#[derive(Debug, Default)]
pub struct Holds {
    /// How long each waited, whatever came of it.
    pub times: Durations,
    /// Nobody came in time.
    pub expired: Counter,
    /// Not allowed to wait: too many do.
    pub refused: Counter,
}

/// What became of requests for inboxes. All shards count in one place: what each costs is a sync of the disk.
#[derive(Debug, Default)]
pub struct Inboxes {
    /// Kept.
    pub kept: Counter,
    /// Not kept, though they should have been.
    pub refused: Counter,
    /// Delivered from an inbox.
    pub delivered: Counter,
    /// Set aside after a failure, to be tried again.
    pub retried: Counter,
    /// Tried too often.
    pub dead: Counter,
    /// Forgotten with the inbox of an owner whose host went to another one.
    pub forgotten: Counter,
    /// Answered although the origin still worked on them.
    pub late: Counter,
}

/// What inboxes hold now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept {
    /// Requests that will be delivered.
    pub waiting: u64,
    /// Requests that will not.
    pub dead: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// With a whole response.
    Done,
    /// The visitor left before.
    VisitorLeft,
    /// The agent or the origin failed after the head: the visitor saw a reset.
    Cut,
    /// The visitor stopped reading for longest when too much was held for such: it saw a reset.
    OverBudget,
    /// The relay answered for the origin.
    Failed,
}

impl Metrics {
    /// Counts one of the relay's own answers.
    pub fn answer(&self, code: &'static str) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(code).or_default() += 1;
    }

    /// Counts something that was refused or cut because of the `limit` so called.
    pub fn limited(&self, limit: &'static str) {
        let mut limited = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        *limited.entry(limit).or_default() += 1;
    }

    /// How often [`limited`](Self::limited) was said of this one.
    #[cfg(test)]
    pub(crate) fn has_limited(&self, limit: &str) -> u64 {
        let limited = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        limited.get(limit).copied().unwrap_or_default()
    }

    /// Counts bytes of a request's body that was sent whole.
    pub fn request_bytes(&self, bytes: u64) {
        self.request_bytes.add(bytes);
    }

    /// Counts a request that has ended.
    pub fn request(&self, status: Option<StatusCode>, outcome: Outcome, sent: u64, took: Duration) {
        if let Some(status) = status
            && let Some(class) = self.responses.get(usize::from(status.as_u16() / 100) - 1)
        {
            class.inc();
        }
        match outcome {
            Outcome::VisitorLeft => self.visitor_left.inc(),
            Outcome::Cut => self.cut.inc(),
            Outcome::OverBudget => self.over_budget.inc(),
            Outcome::Done | Outcome::Failed => {}
        }
        self.response_bytes.add(sent);
        self.durations.add(took);
    }
}

/// Something that is there now, and how often.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn dec(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that happened, and how often.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Once more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// As often as this more.
    pub fn add(&self, times: u64) {
        self.0.fetch_add(times, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long requests took: how many up to each of the bounds 1 ms, 2 ms, 4 ms and so on, and the
/// rest.
#[derive(Debug, Default)]
pub struct Durations {
    upto: [Counter; BOUNDS + 1],
    nanoseconds: Counter,
}

impl Durations {
    /// One more.
    pub fn add(&self, took: Duration) {
        let place = (0..BOUNDS).find(|place| took <= bound(*place));
        self.upto[place.unwrap_or(BOUNDS)].inc();
        self.nanoseconds
            .add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

fn bound(place: usize) -> Duration {
    Duration::from_millis(1 << place)
}

/// From 1 ms to 32.768 s.
const BOUNDS: usize = 16;
