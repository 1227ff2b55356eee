//! The metrics of all shards together, as OpenMetrics text.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use adit_shared::stall::Sweep;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{self, ConstCounter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::{BOUNDS, Counter, Gauge, Metrics, bound};

/// What all shards have counted. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Report {
    shards: Arc<[Arc<Metrics>]>,
    limits: Arc<[Limit]>,
}

/// Name, meaning and value of a limit.
type Limit = (&'static str, &'static str, usize);

impl Report {
    /// On these shards. `limits` are shown beside what they bound.
    pub fn new(shards: &[Arc<Metrics>], limits: &[Limit]) -> Self {
        Self {
            shards: shards.into(),
            limits: limits.into(),
        }
    }

    /// Visitors' connections that are open.
    pub fn visitors(&self) -> i64 {
        self.level(|shard| &shard.visitors)
    }

    /// Requests between their head and their end.
    pub fn exchanges(&self) -> i64 {
        self.level(|shard| &shard.exchanges)
    }

    /// Each shard's sessions, visitors' connections, requests in flight, and requests so far.
    pub fn shards(&self) -> impl Iterator<Item = [(&'static str, i64); 4]> {
        self.shards.iter().map(|shard| {
            let requests: u64 = shard.durations.upto.iter().map(Counter::value).sum();
            [
                ("sessions", shard.sessions.value()),
                ("visitors", shard.visitors.value()),
                ("exchanges", shard.exchanges.value()),
                ("requests", i64::try_from(requests).unwrap_or(i64::MAX)),
            ]
        })
    }

    fn level(&self, pick: impl Fn(&Metrics) -> &Gauge) -> i64 {
        self.shards.iter().map(|shard| pick(shard).value()).sum()
    }

    fn count(&self, pick: impl Fn(&Metrics) -> &Counter) -> u64 {
        self.shards.iter().map(|shard| pick(shard).value()).sum()
    }

    /// Everything as OpenMetrics text, with how many requests wait for their agent, and what visitors
    /// that stopped reading hold.
    pub fn text(&self, held: usize, stalled: Sweep) -> String {
        let mut registry = Registry::with_prefix("adit_relay");
        self.gauges(&mut registry, held, stalled);
        self.counters(&mut registry);
        for (name, help, value) in self.limits.iter() {
            registry.register(format!("limit_{name}"), *help, number(*value));
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }

    fn gauges(&self, registry: &mut Registry, held: usize, stalled: Sweep) {
        let sessions = self.level(|shard| &shard.sessions);
        for (name, help, value) in [
            (
                "visitors",
                "Open connections of visitors",
                ConstGauge::new(self.visitors()),
            ),
            (
                "sessions",
                "Open sessions of agents",
                ConstGauge::new(sessions),
            ),
            (
                "exchanges",
                "Requests in flight",
                ConstGauge::new(self.exchanges()),
            ),
            ("held", "Requests that wait for their agent", number(held)),
            (
                "stalled",
                "Requests whose visitor has stopped reading",
                number(stalled.stalled),
            ),
        ] {
            registry.register(name, help, value);
        }
        registry.register_with_unit(
            "stalled",
            "What visitors that stopped reading may hold of the relay's memory",
            Unit::Bytes,
            number(usize::try_from(stalled.held).unwrap_or(usize::MAX)),
        );
    }

    fn counters(&self, registry: &mut Registry) {
        let count = |pick: fn(&Metrics) -> &Counter| ConstCounter::new(self.count(pick));
        registry.register(
            "handshakes_failed",
            "QUIC handshakes that did not become a session",
            count(|shard| &shard.handshakes_failed),
        );
        registry.register(
            "visitors_refused",
            "Connections of visitors refused because there were too many",
            count(|shard| &shard.visitors_refused),
        );
        registry.register("answers", "The relay's own answers by code", self.answers());
        registry.register(
            "responses",
            "Origins' responses by class of status",
            self.responses(),
        );
        registry.register(
            "visitor_left",
            "Requests whose visitor left before the end",
            count(|shard| &shard.visitor_left),
        );
        registry.register(
            "responses_cut",
            "Responses cut after their head",
            count(|shard| &shard.cut),
        );
        registry.register(
            "exchanges_reset_over_budget",
            "Requests reset because visitors that stopped reading held too much",
            count(|shard| &shard.over_budget),
        );
        registry.register_with_unit(
            "request_body",
            "Bodies of requests",
            Unit::Bytes,
            count(|shard| &shard.request_bytes),
        );
        registry.register_with_unit(
            "response_body",
            "Bodies of responses",
            Unit::Bytes,
            count(|shard| &shard.response_bytes),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request's head to the end of its response",
            Unit::Seconds,
            self.seconds(),
        );
    }

    fn answers(&self) -> Family<AnswerLabel, counter::Counter> {
        let mut sum = BTreeMap::<&'static str, u64>::new();
        for shard in self.shards.iter() {
            let answers = shard.answers.lock().unwrap_or_else(PoisonError::into_inner);
            for (code, count) in answers.iter() {
                *sum.entry(code).or_default() += count;
            }
        }
        let family = Family::<_, counter::Counter>::default();
        for (code, count) in sum {
            family.get_or_create(&AnswerLabel { code }).inc_by(count);
        }
        family
    }

    fn responses(&self) -> Family<ClassLabel, counter::Counter> {
        let family = Family::<_, counter::Counter>::default();
        for (at, class) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().enumerate() {
            let count = self.count(|shard| &shard.responses[at]);
            family.get_or_create(&ClassLabel { class }).inc_by(count);
        }
        family
    }

    fn seconds(&self) -> Seconds {
        let bucket = |place| {
            let bound = match place {
                BOUNDS => f64::INFINITY,
                place => bound(place).as_secs_f64(),
            };
            (bound, self.count(|shard| &shard.durations.upto[place]))
        };
        Seconds {
            buckets: (0..=BOUNDS).map(bucket).collect(),
            sum: self.count(|shard| &shard.durations.nanoseconds) as f64 / 1e9,
        }
    }
}

fn number(value: usize) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AnswerLabel {
    code: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ClassLabel {
    class: &'static str,
}

/// A histogram that is complete.
#[derive(Debug)]
struct Seconds {
    /// Upper bounds, and how many are above the one before.
    buckets: Vec<(f64, u64)>,
    sum: f64,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::metrics::Outcome;

    #[test]
    fn shards_are_added_up() {
        let shards = [Arc::<Metrics>::default(), Arc::default()];
        let [one, other] = &shards;
        one.visitors.inc();
        one.visitors.inc();
        other.visitors.inc();
        one.answer("agent-away");
        other.answer("agent-away");
        other.answer("unknown-name");
        one.request_bytes(7);
        let (ok, missing) = (Some(StatusCode::OK), Some(StatusCode::NOT_FOUND));
        one.request(ok, Outcome::Done, 5, Duration::from_millis(3));
        other.request(missing, Outcome::Cut, 5, Duration::from_secs(100));
        other.request(None, Outcome::VisitorLeft, 0, Duration::from_millis(1));
        let report = Report::new(&shards, &[("agents", "Sessions at once", 10)]);
        assert_eq!(report.visitors(), 3);
        let stalled = Sweep {
            stalled: 2,
            held: 300,
            cut: 0,
        };
        let text = report.text(4, stalled);
        for line in [
            "visitors 3",
            "held 4",
            "stalled 2",
            "stalled_bytes 300",
            "exchanges_reset_over_budget_total 0",
            "handshakes_failed_total 0",
            "answers_total{code=\"agent-away\"} 2",
            "answers_total{code=\"unknown-name\"} 1",
            "responses_total{class=\"1xx\"} 0",
            "responses_total{class=\"2xx\"} 1",
            "responses_total{class=\"4xx\"} 1",
            "visitor_left_total 1",
            "responses_cut_total 1",
            "request_body_bytes_total 7",
            "response_body_bytes_total 10",
            "request_duration_seconds_sum 100.004",
            "request_duration_seconds_count 3",
            "request_duration_seconds_bucket{le=\"0.001\"} 1",
            "request_duration_seconds_bucket{le=\"0.002\"} 1",
            "request_duration_seconds_bucket{le=\"0.004\"} 2",
            "request_duration_seconds_bucket{le=\"32.768\"} 2",
            "request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "limit_agents 10",
        ] {
            let line = format!("\nadit_relay_{line}\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(text.contains("# HELP adit_relay_visitors Open connections of visitors.\n"));
        assert!(text.contains("# UNIT adit_relay_request_duration_seconds seconds\n"));
        assert!(text.contains("# TYPE adit_relay_request_duration_seconds histogram\n"));
    }
}
