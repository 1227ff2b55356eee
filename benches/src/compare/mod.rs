//! What changed between two load tests, and whether noise explains it.
//!
//! **Method.** A run is its seconds: each second has a count of answers and percentiles of its own, and how
//! much they differ from one another is the noise that the run shows. For each measure the seconds of both
//! runs are drawn anew, with replacement, many times (the `bootstrap`); how the change varies over the draws
//! gives an interval for it. The draws take blocks of neighbouring seconds (about the cube root of their
//! number), because a busy second is often followed by another. The seed is fixed: the same two files always
//! give the same answer. A drawn interval is too narrow when there are few blocks, so it is widened by as
//! much as Student's t exceeds the normal distribution at that size.
//!
//! - Requests and bytes a second: the mean over the seconds, as a ratio.
//! - Latency: the median over the seconds of their p50, and of their p99, as a ratio. One bad second moves
//!   the p99 of a whole run as far as it likes; it does not move that of the typical second.
//! - Errors: their share of all requests, as a difference; they come in bursts, and blocks respect that.
//! - Processor time a request, of each process watched in both runs: a ratio of sums over the same seconds.
//! - The far percentiles of whole runs, and memory, are one figure a run. They are shown without a verdict.
//!
//! **Verdict.** Better or worse if the [`LEVEL`] interval leaves out "no change" *and* the change is at
//! least [`SMALLEST`]; otherwise noise explains it. The level is high because several measures are looked at
//! together: of twenty comparisons of a thing with itself, about one may call some measure changed.
//! No verdict at all if the two runs had other plans or machines, or fewer than [`FEWEST`] seconds.
//!
//! **What it cannot see.** Seconds of one run say nothing about how runs differ: a program may lay out its
//! memory differently on each start, and a machine may be slower in the afternoon. That is why a change
//! below [`SMALLEST`] never counts, and why a change that matters deserves a second pair of runs.

mod bootstrap;
mod measure;
mod same;
mod show;

use crate::{result::LoadResult, unit::Unit};

use measure::{Direction, Kind, Measure};

pub(crate) use measure::{is_bulk, whole_seconds};
pub use same::Difference;

/// Compares a run with an earlier one.
pub fn compare(new: &LoadResult, old: &LoadResult) -> Comparison {
    let differences = same::differences(new, old);
    let mut rows = Vec::new();
    for measure in measure::measures(new, old) {
        rows.push(judged(measure, &differences));
    }
    rows.extend(measure::single(new, old));
    Comparison {
        differences,
        notes: same::notes(new, old),
        rows,
    }
}

/// Two load tests beside each other. `Display` writes it as a table for a terminal.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Where plan and machine differ in a way that forbids any verdict.
    pub differences: Vec<Difference>,
    /// What else to bear in mind, in whole sentences.
    pub notes: Vec<String>,
    /// The measures.
    pub rows: Vec<Row>,
}

/// One measure of both runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is measured.
    pub name: String,
    /// What the figures count.
    pub unit: Unit,
    /// In the earlier run; NaN if it has none.
    pub old: f64,
    /// In the later run; NaN if it has none.
    pub new: f64,
    /// From the earlier to the later, where both have a figure.
    pub change: Option<Change>,
    /// What to make of it.
    pub verdict: Verdict,
}

/// How far a measure moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The change that was seen: 0.1 is 10 % more; for a share, ten of a hundred more.
    pub seen: f64,
    /// What it may be, given the noise.
    pub interval: Option<(f64, f64)>,
    /// A difference between shares, rather than a ratio.
    pub points: bool,
}

/// What to make of a change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// More than noise, for the better.
    Better,
    /// More than noise, for the worse.
    Worse,
    /// No more than noise explains.
    Noise,
    /// There is no telling.
    Unknown(Reason),
}

/// Why there is no telling.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The runs differ in these fields.
    Different(Vec<&'static str>),
    /// The shorter run has only so many whole seconds with something to measure.
    Short(usize),
    /// Nothing was measured in one of the runs.
    Nothing,
    /// One figure a run: nothing shows its noise.
    Single,
}

/// How sure an interval is.
pub const LEVEL: f64 = 0.99;

/// The smallest change that counts, as a part of the earlier figure.
pub const SMALLEST: f64 = 0.03;

/// The fewest seconds of a run that say anything about its noise.
pub const FEWEST: usize = 8;

impl Comparison {
    /// The names of the measures with this verdict.
    pub fn with(&self, verdict: &Verdict) -> Vec<&str> {
        let rows = self.rows.iter().filter(|row| row.verdict == *verdict);
        rows.map(|row| row.name.as_str()).collect()
    }
}

fn judged(measure: Measure, differences: &[Difference]) -> Row {
    let (old, new) = (measure.old.figure(), measure.new.figure());
    let change = match (old, new) {
        (Some(old), Some(new)) => measure.kind.change(old, new).map(|seen| Change {
            seen,
            interval: None,
            points: measure.kind == Kind::Difference,
        }),
        _ => None,
    };
    let seconds = measure.old.len().min(measure.new.len());
    let mut row = Row {
        name: measure.name,
        unit: measure.unit,
        old: old.unwrap_or(f64::NAN),
        new: new.unwrap_or(f64::NAN),
        change,
        verdict: Verdict::Unknown(Reason::Nothing),
    };
    let Some(change) = &mut row.change else {
        return row;
    };
    if seconds < FEWEST {
        row.verdict = Verdict::Unknown(Reason::Short(seconds));
        return row;
    }
    let (low, high) = bootstrap::interval(&measure.old, &measure.new, measure.kind, change.seen);
    change.interval = Some((low, high));
    let counts = change.seen.abs() >= measure.kind.smallest();
    row.verdict = if !differences.is_empty() {
        let fields = differences.iter().map(|difference| difference.field);
        Verdict::Unknown(Reason::Different(fields.collect()))
    } else if !counts || (low <= 0.0 && high >= 0.0) {
        Verdict::Noise
    } else if (change.seen > 0.0) == (measure.direction == Direction::MoreIsBetter) {
        Verdict::Better
    } else {
        Verdict::Worse
    };
    row
}

#[cfg(test)]
pub(crate) mod tests;
