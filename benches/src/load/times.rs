//! Times as histograms, and what is said of them. In nanoseconds until they are said.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::result::{Percentiles, Point};

pub(super) fn percentiles(times: &Histogram<u64>) -> Percentiles {
    let at = |quantile| micros(times.value_at_quantile(quantile));
    Percentiles {
        count: times.len(),
        min_us: micros(times.min()),
        mean_us: times.mean() / 1e3,
        deviation_us: times.stdev() / 1e3,
        p50_us: at(0.5),
        p75_us: at(0.75),
        p90_us: at(0.9),
        p95_us: at(0.95),
        p99_us: at(0.99),
        p999_us: at(0.999),
        p9999_us: at(0.9999),
        max_us: micros(times.max()),
    }
}

/// The whole curve: ever finer towards the end, as HDR histograms are usually plotted.
pub(super) fn distribution(times: &Histogram<u64>) -> Vec<Point> {
    if times.is_empty() {
        return Vec::new();
    }
    let steps = times.iter_quantiles(POINTS);
    let mut points: Vec<Point> = steps
        .map(|step| Point {
            percentile: step.quantile_iterated_to() * 100.0,
            value_us: micros(step.value_iterated_to().min(times.max())),
        })
        .collect();
    points.dedup_by_key(|point| point.percentile.to_bits());
    points
}

/// Three digits of every time from 100 ns to an hour.
pub(super) fn histogram() -> Histogram<u64> {
    // These bounds are good.
    Histogram::new_with_bounds(100, 3_600_000_000_000, 3).unwrap_or_else(|_| unreachable!())
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn micros(nanos: u64) -> u64 {
    (nanos + 500) / 1000
}

/// Points of a distribution for each halving of what is left.
const POINTS: u32 = 5;
