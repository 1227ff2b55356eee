//! What two runs are compared by, second by second.

use crate::{
    result::{LoadResult, Process, Second},
    unit::Unit,
};

use super::{Change, Reason, Row, SMALLEST, Verdict};

/// One thing that both runs measured in each second.
#[derive(Debug)]
pub(super) struct Measure {
    pub(super) name: String,
    pub(super) unit: Unit,
    pub(super) direction: Direction,
    pub(super) kind: Kind,
    pub(super) old: Seconds,
    pub(super) new: Seconds,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Direction {
    MoreIsBetter,
    LessIsBetter,
}

/// How two figures are set against each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// By their ratio, less 1.
    Ratio,
    /// By their difference: for shares, which may well be zero.
    Difference,
}

/// What each second of a run contributes, and what it makes together.
#[derive(Debug)]
pub(super) enum Seconds {
    /// The first of each pair, summed, over the second, summed.
    Quotient(Vec<(f64, f64)>),
    /// The value in the middle.
    Median(Vec<f64>),
}

impl Kind {
    /// From an earlier to a later figure. Nothing if both are zero and their ratio is wanted.
    pub(super) fn change(self, old: f64, new: f64) -> Option<f64> {
        match self {
            Self::Difference => Some(new - old),
            Self::Ratio if old == 0.0 && new == 0.0 => None,
            // From nothing to something is infinitely more.
            Self::Ratio => Some(new / old - 1.0),
        }
    }

    /// The smallest change that counts.
    pub(super) fn smallest(self) -> f64 {
        match self {
            Self::Ratio => SMALLEST,
            // One request in ten thousand.
            Self::Difference => 0.0001,
        }
    }
}

impl Seconds {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Quotient(pairs) => pairs.len(),
            Self::Median(values) => values.len(),
        }
    }

    /// The figure of the whole run.
    pub(super) fn figure(&self) -> Option<f64> {
        self.figure_of(0..self.len(), &mut Vec::new())
    }

    /// The figure of these seconds of the run; `room` saves allocating for each of many draws.
    pub(super) fn figure_of(
        &self,
        seconds: impl Iterator<Item = usize>,
        room: &mut Vec<f64>,
    ) -> Option<f64> {
        match self {
            Self::Quotient(pairs) => {
                let (above, below) = seconds.fold((0.0, 0.0), |sums, second| {
                    (sums.0 + pairs[second].0, sums.1 + pairs[second].1)
                });
                (below > 0.0).then_some(above / below)
            }
            Self::Median(values) => {
                room.clear();
                room.extend(seconds.map(|second| values[second]));
                if room.is_empty() {
                    return None;
                }
                let middle = room.len() / 2;
                let is_even = room.len().is_multiple_of(2);
                let (below, upper, _) = room.select_nth_unstable_by(middle, f64::total_cmp);
                let lower = below.iter().copied().max_by(f64::total_cmp);
                let lower = lower.filter(|_| is_even).unwrap_or(*upper);
                Some(f64::midpoint(lower, *upper))
            }
        }
    }
}

/// All that can be judged, what matters most first.
pub(super) fn measures(new: &LoadResult, old: &LoadResult) -> Vec<Measure> {
    let both = |make: fn(&LoadResult) -> Seconds| (make(old), make(new));
    let mut all = Vec::new();
    let mut add = |name: &str, unit, direction, kind, (old, new)| {
        all.push(Measure {
            name: name.into(),
            unit,
            direction,
            kind,
            old,
            new,
        });
    };
    let (more, less) = (Direction::MoreIsBetter, Direction::LessIsBetter);
    let rate = |run: &LoadResult| quotient(run, |second| (second.ok as f64, 1.0));
    add("answers", Unit::PerSecond, more, Kind::Ratio, both(rate));
    if is_bulk(new) || is_bulk(old) {
        let bytes = |run: &LoadResult| {
            quotient(run, |second| ((second.received + second.sent) as f64, 1.0))
        };
        add(
            "body bytes",
            Unit::BytesPerSecond,
            more,
            Kind::Ratio,
            both(bytes),
        );
    }
    let p50 = |run: &LoadResult| median(run, |second| second.p50_us);
    add(
        "latency p50, typical second",
        Unit::Micros,
        less,
        Kind::Ratio,
        both(p50),
    );
    let p99 = |run: &LoadResult| median(run, |second| second.p99_us);
    add(
        "latency p99, typical second",
        Unit::Micros,
        less,
        Kind::Ratio,
        both(p99),
    );
    let errors = |run: &LoadResult| {
        quotient(run, |second| {
            (second.errors as f64, (second.ok + second.errors) as f64)
        })
    };
    add("errors", Unit::Share, less, Kind::Difference, both(errors));
    for process in &new.processes {
        if let Some(before) = old.processes.iter().find(|old| old.name == process.name) {
            let name = format!("CPU per answer, {}", process.name);
            let pair = (work(old, before), work(new, process));
            add(&name, Unit::Seconds, less, Kind::Ratio, pair);
        }
    }
    all
}

/// What is one figure a run.
pub(super) fn single(new: &LoadResult, old: &LoadResult) -> Vec<Row> {
    let row = |name: String, unit, old: f64, new: f64| Row {
        name,
        unit,
        old,
        new,
        change: Kind::Ratio.change(old, new).map(|seen| Change {
            seen,
            interval: None,
            points: false,
        }),
        verdict: Verdict::Unknown(Reason::Single),
    };
    let (after, before) = (new.latency, old.latency);
    let mut rows = Vec::new();
    if after.count > 0 && before.count > 0 {
        for (name, old, new) in [
            ("latency p99, whole run", before.p99_us, after.p99_us),
            ("latency p99.9, whole run", before.p999_us, after.p999_us),
            ("latency p99.99, whole run", before.p9999_us, after.p9999_us),
            ("latency, longest", before.max_us, after.max_us),
        ] {
            rows.push(row(name.into(), Unit::Micros, old as f64, new as f64));
        }
    }
    for process in &new.processes {
        if let Some(before) = old.processes.iter().find(|old| old.name == process.name) {
            let name = format!("most memory, {}", process.name);
            let (old, new) = (before.rss_most as f64, process.rss_most as f64);
            rows.push(row(name, Unit::Bytes, old, new));
        }
    }
    rows
}

fn quotient(run: &LoadResult, pair: fn(&Second) -> (f64, f64)) -> Seconds {
    Seconds::Quotient(whole_seconds(run).map(pair).collect())
}

/// Seconds without an answer have no percentiles.
fn median(run: &LoadResult, value: fn(&Second) -> u64) -> Seconds {
    let answered = whole_seconds(run).filter(|second| second.ok > 0);
    Seconds::Median(answered.map(|second| value(second) as f64).collect())
}

/// A process's processor time and the answers of the same second.
fn work(run: &LoadResult, process: &Process) -> Seconds {
    let mut spent: Vec<(f64, u32)> = Vec::new();
    let mut last = 0.0;
    for sample in &process.samples {
        // A look tells of the time since the look before it; its middle says in which second that was.
        let middle = f64::midpoint(last, sample.at_s).max(0.0) as usize;
        last = sample.at_s;
        if middle < run.timeline.len() && sample.cpu.is_finite() {
            spent.resize(spent.len().max(middle + 1), (0.0, 0));
            spent[middle].0 += sample.cpu;
            spent[middle].1 += 1;
        }
    }
    let seconds = whole_seconds(run).filter_map(|second| {
        let (sum, looks) = *spent.get(second.at_s.max(0.0).round() as usize)?;
        (looks > 0).then(|| (sum / f64::from(looks), second.ok as f64))
    });
    Seconds::Quotient(seconds.collect())
}

/// The seconds that were measured to their end.
pub(crate) fn whole_seconds(run: &LoadResult) -> impl Iterator<Item = &Second> {
    let end = run.totals.seconds + 0.05;
    let seconds = run.timeline.iter();
    seconds.filter(move |second| second.at_s > -0.05 && second.at_s + 1.0 <= end)
}

/// Bodies so large that bytes say more than requests.
pub(crate) fn is_bulk(run: &LoadResult) -> bool {
    let bytes = run.totals.received + run.totals.sent;
    bytes / run.totals.ok.max(1) >= 16 * 1024
}
