//! What a load test found, as `result.json` holds it. Times are in microseconds where the name ends in
//! `_us` and in seconds where it ends in `_s`; sizes are in bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything about one load test.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LoadResult {
    /// Always [`FORMAT`].
    pub format: String,
    /// When it began (RFC 3339).
    pub at: String,
    /// The command that was given, with its arguments.
    pub command: Vec<String>,
    /// The commit of the working directory, if that is a repository.
    pub commit: Option<String>,
    /// Where the load tester ran.
    pub machine: Machine,
    /// What was asked for.
    pub plan: Plan,
    /// What came of it, the warm-up left out.
    pub totals: Totals,
    /// From the moment a request was meant to start (open loop) or did start (closed loop) to the end of its answer.
    pub latency: Percentiles,
    /// From the moment a request was really sent to the end of its answer.
    pub service: Percentiles,
    /// The whole distribution of `latency`: percentile from 0 to 100, and its value.
    pub distribution: Vec<Point>,
    /// One entry for each second. The last may be shorter; answers that came after the end of an open
    /// loop are counted in it.
    pub timeline: Vec<Second>,
    /// Processes that were watched.
    pub processes: Vec<Process>,
}

/// The first field of every result.
pub const FORMAT: &str = "adit-loadtest/1";

/// Where a load tester ran.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Machine {
    /// Operating system and its version.
    pub system: String,
    /// The processor's own name.
    pub processor: String,
    /// Processors that may be used.
    pub cores: usize,
    /// Memory in all.
    pub memory: u64,
}

/// What was asked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Plan {
    /// The URL.
    pub url: String,
    /// `http1`, `http2`, `http3` or `websocket`.
    pub protocol: String,
    /// What each connection does: `request`, `upload`, `download`, `events` or `echo`.
    pub work: String,
    /// Requests a second in all for an open loop; none for a closed one.
    pub rate: Option<f64>,
    /// Connections.
    pub connections: usize,
    /// Requests at once on each connection.
    pub streams: usize,
    /// Measured time.
    pub duration_s: f64,
    /// Time before it that does not count.
    pub warmup_s: f64,
    /// How request bodies are made, in words.
    pub body: String,
}

/// Sums over the measured time.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Totals {
    /// Time that was measured.
    pub seconds: f64,
    /// Requests (or messages) answered as they should be.
    pub ok: u64,
    /// Those that were not, by class.
    pub errors: BTreeMap<String, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<String, u64>,
    /// Requests that an open loop was to start and could not before the end.
    pub unsent: u64,
    /// Bytes of bodies received.
    pub received: u64,
    /// Bytes of bodies sent.
    pub sent: u64,
    /// Connections opened.
    pub connects: u64,
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Percentiles {
    /// How many.
    pub count: u64,
    /// The smallest.
    pub min_us: u64,
    /// The mean.
    pub mean_us: f64,
    /// Standard deviation.
    pub deviation_us: f64,
    /// Half are at most this.
    pub p50_us: u64,
    /// 75 %.
    pub p75_us: u64,
    /// 90 %.
    pub p90_us: u64,
    /// 95 %.
    pub p95_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// 99.9 %.
    pub p999_us: u64,
    /// 99.99 %.
    pub p9999_us: u64,
    /// The largest.
    pub max_us: u64,
}

/// One point of a distribution.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Point {
    /// From 0 to 100.
    pub percentile: f64,
    /// At most this.
    pub value_us: u64,
}

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Second {
    /// When it began, since the start of measuring.
    pub at_s: f64,
    /// Requests answered as they should be.
    pub ok: u64,
    /// Those that were not.
    pub errors: u64,
    /// Bytes of bodies received.
    pub received: u64,
    /// Bytes of bodies sent.
    pub sent: u64,
    /// Median latency.
    pub p50_us: u64,
    /// 99 % of the latencies are at most this.
    pub p99_us: u64,
    /// The largest latency.
    pub max_us: u64,
}

/// A process that was watched.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Process {
    /// What it was called in the command.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// Processor time in the measured time.
    pub cpu_s: f64,
    /// Resident memory when measuring began.
    pub rss_before: u64,
    /// Resident memory when measuring ended.
    pub rss_after: u64,
    /// The most resident memory that was seen.
    pub rss_most: u64,
    /// How it went.
    pub samples: Vec<Sample>,
}

/// A look at a process.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Sample {
    /// When, since the start of measuring.
    pub at_s: f64,
    /// Processor time since the look before, as a share of one processor: 1.0 is all of it.
    pub cpu: f64,
    /// Resident memory.
    pub rss: u64,
}
