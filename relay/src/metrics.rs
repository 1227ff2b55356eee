//! What the relay counts, and how it is read: OpenMetrics text.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Counters and gauges of one relay. All updates are relaxed atomics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Visitors' connections that are open.
    pub visitors: Gauge,
    /// Sessions that are open.
    pub sessions: Gauge,
    /// Requests between their head and their end.
    pub exchanges: Gauge,
    /// Requests that wait for an agent.
    pub held: Gauge,
    /// Requests whose visitor has stopped reading.
    pub stalled: Gauge,
    /// What they may hold of the relay's memory.
    pub stalled_bytes: Gauge,
    /// QUIC handshakes that were refused, timed out or failed.
    pub handshakes_failed: Counter,
    /// Visitors' connections that were refused because there were too many.
    pub visitors_refused: Counter,
    answers: Family<AnswerLabel, Counter>,
    responses: [Counter; 5],
    visitor_left: Counter,
    cut: Counter,
    over_budget: Counter,
    request_bytes: Counter<u64, AtomicU64>,
    response_bytes: Counter<u64, AtomicU64>,
    seconds: Histogram,
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

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AnswerLabel {
    code: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ClassLabel {
    class: &'static str,
}

impl Metrics {
    /// All zero. `limits` are shown beside what they bound.
    pub fn new(limits: &[(&'static str, &'static str, usize)]) -> Self {
        let mut registry = Registry::with_prefix("adit_relay");
        let classes = Family::<ClassLabel, Counter>::default();
        let class = |class| classes.get_or_create_owned(&ClassLabel { class });
        let responses = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class);
        let metrics = Self {
            visitors: Gauge::default(),
            sessions: Gauge::default(),
            exchanges: Gauge::default(),
            held: Gauge::default(),
            handshakes_failed: Counter::default(),
            visitors_refused: Counter::default(),
            answers: Family::default(),
            responses,
            visitor_left: Counter::default(),
            cut: Counter::default(),
            over_budget: Counter::default(),
            stalled: Gauge::default(),
            stalled_bytes: Gauge::default(),
            request_bytes: Counter::default(),
            response_bytes: Counter::default(),
            // 1 ms to 32 s.
            seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register(
            "visitors",
            "Open connections of visitors",
            metrics.visitors.clone(),
        );
        r.register(
            "sessions",
            "Open sessions of agents",
            metrics.sessions.clone(),
        );
        r.register("exchanges", "Requests in flight", metrics.exchanges.clone());
        r.register(
            "held",
            "Requests that wait for their agent",
            metrics.held.clone(),
        );
        r.register(
            "handshakes_failed",
            "QUIC handshakes that did not become a session",
            metrics.handshakes_failed.clone(),
        );
        r.register(
            "visitors_refused",
            "Connections of visitors refused because there were too many",
            metrics.visitors_refused.clone(),
        );
        r.register(
            "answers",
            "The relay's own answers by code",
            metrics.answers.clone(),
        );
        r.register(
            "responses",
            "Origins' responses by class of status",
            classes,
        );
        r.register(
            "visitor_left",
            "Requests whose visitor left before the end",
            metrics.visitor_left.clone(),
        );
        r.register(
            "responses_cut",
            "Responses cut after their head",
            metrics.cut.clone(),
        );
        r.register(
            "exchanges_reset_over_budget",
            "Requests reset because visitors that stopped reading held too much",
            metrics.over_budget.clone(),
        );
        r.register(
            "stalled",
            "Requests whose visitor has stopped reading",
            metrics.stalled.clone(),
        );
        r.register_with_unit(
            "stalled",
            "What visitors that stopped reading may hold of the relay's memory",
            Unit::Bytes,
            metrics.stalled_bytes.clone(),
        );
        r.register_with_unit(
            "request_body",
            "Bodies of requests",
            Unit::Bytes,
            metrics.request_bytes.clone(),
        );
        r.register_with_unit(
            "response_body",
            "Bodies of responses",
            Unit::Bytes,
            metrics.response_bytes.clone(),
        );
        r.register_with_unit(
            "request_duration",
            "From a request's head to the end of its response",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        for (name, help, value) in limits {
            let gauge = Gauge::<i64>::default();
            gauge.set(i64::try_from(*value).unwrap_or(i64::MAX));
            r.register(format!("limit_{name}"), *help, gauge);
        }
        Self {
            registry,
            ..metrics
        }
    }

    /// Counts one of the relay's own answers.
    pub fn answer(&self, code: &'static str) {
        self.answers.get_or_create(&AnswerLabel { code }).inc();
    }

    /// Counts bytes of a request's body that was sent whole.
    pub fn request_bytes(&self, bytes: u64) {
        self.request_bytes.inc_by(bytes);
    }

    /// Counts a request that has ended.
    pub fn request(&self, status: Option<StatusCode>, outcome: Outcome, sent: u64, took: Duration) {
        if let Some(status) = status
            && let Some(class) = self.responses.get(usize::from(status.as_u16() / 100) - 1)
        {
            class.inc();
        }
        match outcome {
            Outcome::VisitorLeft => drop(self.visitor_left.inc()),
            Outcome::Cut => drop(self.cut.inc()),
            Outcome::OverBudget => drop(self.over_budget.inc()),
            Outcome::Done | Outcome::Failed => {}
        }
        self.response_bytes.inc_by(sent);
        self.seconds.observe(took.as_secs_f64());
    }

    /// Everything as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
