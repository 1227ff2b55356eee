//! Durations of all shards, as one histogram.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::{BOUNDS, Durations, bound};

/// A histogram that is complete.
#[derive(Debug)]
pub(super) struct Seconds {
    /// Upper bounds, and how many are above the one before.
    buckets: Vec<(f64, u64)>,
    sum: f64,
}

impl Seconds {
    /// Of all of them together.
    pub(super) fn of(all: &[&Durations]) -> Self {
        let sum = |pick: &dyn Fn(&Durations) -> u64| all.iter().map(|one| pick(one)).sum::<u64>();
        let bucket = |place| {
            let bound = match place {
                BOUNDS => f64::INFINITY,
                place => bound(place).as_secs_f64(),
            };
            (bound, sum(&|one| one.upto[place].value()))
        };
        Self {
            buckets: (0..=BOUNDS).map(bucket).collect(),
            sum: sum(&|one| one.nanoseconds.value()) as f64 / 1e9,
        }
    }
}

impl EncodeMetric for Seconds {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let count = self.buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum, count, &self.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
