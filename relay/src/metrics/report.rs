//! The metrics of all shards together, as OpenMetrics text.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use adit_shared::stall::Sweep;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{self, ConstCounter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{self, ConstGauge};
use prometheus_client::registry::{Registry, Unit};

use super::seconds::Seconds;
use super::{Counter, Gauge, Holds, Inboxes, Kept, Metrics, Paths};
use crate::edge::tls::issued::Issued;

/// What all shards have counted. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Report {
    shards: Arc<[Arc<Metrics>]>,
    limits: Arc<[Limit]>,
}

/// Name, meaning and value of a limit.
type Limit = (&'static str, &'static str, usize);

/// Requests that wait for their agent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waiting {
    /// How many.
    pub requests: usize,
    /// How many bytes they may hold.
    pub bytes: usize,
}

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

    /// Everything as OpenMetrics text, with how many requests wait for their agent and what they hold, what became of those
    /// that did, how the agents are reached, what visitors that stopped reading hold, what an authority
    /// issued, and what is kept for agents that are away.
    pub fn text(
        &self,
        held: Waiting,
        holds: &Holds,
        paths: &Paths,
        stalled: Sweep,
        issued: Option<&Issued>,
        inboxes: Option<(&Inboxes, Kept)>,
    ) -> String {
        let mut registry = Registry::with_prefix("adit_relay");
        self.gauges(&mut registry, held, stalled);
        self.paths(&mut registry, paths);
        self.counters(&mut registry);
        count_holds(&mut registry, holds);
        if let Some(issued) = issued {
            count_certificates(&mut registry, issued);
        }
        if let Some((counts, kept)) = inboxes {
            count_inboxes(&mut registry, counts, kept);
        }
        for (name, help, value) in self.limits.iter() {
            registry.register(format!("limit_{name}"), *help, number(*value));
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }

    fn gauges(&self, registry: &mut Registry, held: Waiting, stalled: Sweep) {
        let sessions = self.level(|shard| &shard.sessions);
        for (name, help, value) in [
            (
                "visitors",
                "Open connections of visitors",
                ConstGauge::new(self.visitors()),
            ),
            (
                "visitors_over_http3",
                "Those of them that speak HTTP/3",
                ConstGauge::new(self.level(|shard| &shard.visitors_over_http3)),
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
            (
                "held",
                "Requests that wait for their agent",
                number(held.requests),
            ),
            (
                "stalled",
                "Requests whose visitor has stopped reading",
                number(stalled.stalled),
            ),
        ] {
            registry.register(name, help, value);
        }
        registry.register_with_unit(
            "held",
            "What requests that wait for their agent may hold of the relay's memory",
            Unit::Bytes,
            number(held.bytes),
        );
        registry.register_with_unit(
            "stalled",
            "What visitors that stopped reading may hold of the relay's memory",
            Unit::Bytes,
            number(usize::try_from(stalled.held).unwrap_or(usize::MAX)),
        );
    }

    fn paths(&self, registry: &mut Registry, paths: &Paths) {
        for (name, help, value) in [
            (
                "sessions_over_tcp",
                "Open sessions that go over TCP now, because UDP is blocked",
                number(paths.over_tcp),
            ),
            (
                "carriers",
                "Open TCP connections of agents that carry QUIC",
                ConstGauge::new(self.level(|shard| &shard.carriers)),
            ),
        ] {
            registry.register(name, help, value);
        }
        let family = Family::<ShareLabel, gauge::Gauge<f64, AtomicU64>>::default();
        for (share, name) in SHARES {
            let rtt = paths.rtt(share).unwrap_or_default();
            let label = ShareLabel { quantile: name };
            family.get_or_create(&label).set(rtt.as_secs_f64());
        }
        registry.register_with_unit(
            "session_rtt",
            "Round trips to agents over their sessions now, by quantile",
            Unit::Seconds,
            family,
        );
    }

    fn counters(&self, registry: &mut Registry) {
        for (name, help, pick) in COUNTERS {
            registry.register(name, help, ConstCounter::new(self.count(pick)));
        }
        for (name, help, pick) in BYTES {
            let count = ConstCounter::new(self.count(pick));
            registry.register_with_unit(name, help, Unit::Bytes, count);
        }
        registry.register("answers", "The relay's own answers by code", self.answers());
        registry.register(
            "limited",
            "What was refused or cut by the limit that it met",
            self.limited(),
        );
        registry.register(
            "responses",
            "Origins' responses by class of status",
            self.responses(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request's head to the end of its response",
            Unit::Seconds,
            self.seconds(),
        );
    }

    fn answers(&self) -> Family<AnswerLabel, counter::Counter> {
        self.words(|shard| &shard.answers, |code| AnswerLabel { code })
    }

    fn limited(&self) -> Family<LimitLabel, counter::Counter> {
        self.words(|shard| &shard.limited, |limit| LimitLabel { limit })
    }

    /// What is counted by words.
    fn words<L: Clone + Eq + Hash>(
        &self,
        pick: impl Fn(&Metrics) -> &Mutex<BTreeMap<&'static str, u64>>,
        label: impl Fn(&'static str) -> L,
    ) -> Family<L, counter::Counter> {
        let mut sum = BTreeMap::<&'static str, u64>::new();
        for shard in self.shards.iter() {
            let counts = pick(shard).lock().unwrap_or_else(PoisonError::into_inner);
            for (word, count) in counts.iter() {
                *sum.entry(word).or_default() += count;
            }
        }
        let family = Family::<_, counter::Counter>::default();
        for (word, count) in sum {
            family.get_or_create(&label(word)).inc_by(count);
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
        let all = self.shards.iter().map(|shard| &shard.durations);
        Seconds::of(&all.collect::<Vec<_>>())
    }
}

fn count_holds(registry: &mut Registry, holds: &Holds) {
    registry.register(
        "holds_expired",
        "Requests that waited for their agent in vain",
        ConstCounter::new(holds.expired.value()),
    );
    registry.register(
        "holds_refused",
        "Requests that could not wait for their agent because too many did",
        ConstCounter::new(holds.refused.value()),
    );
    registry.register_with_unit(
        "hold_duration",
        "How long requests waited for their agent",
        Unit::Seconds,
        Seconds::of(&[&holds.times]),
    );
}

fn count_inboxes(registry: &mut Registry, counts: &Inboxes, kept: Kept) {
    let level = |value| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(
        "inbox_waiting",
        "Requests in inboxes that will be delivered",
        level(kept.waiting),
    );
    registry.register(
        "inbox_dead",
        "Requests in inboxes that were tried too often",
        level(kept.dead),
    );
    registry.register_with_unit("inbox", "What inboxes hold", Unit::Bytes, level(kept.bytes));
    for (name, help, counter) in [
        ("inbox_kept", "Requests put into an inbox", &counts.kept),
        (
            "inbox_refused",
            "Requests that should have been kept, and were refused",
            &counts.refused,
        ),
        (
            "inbox_delivered",
            "Requests delivered from an inbox",
            &counts.delivered,
        ),
        (
            "inbox_retried",
            "Failed deliveries that are tried again",
            &counts.retried,
        ),
        ("inbox_given_up", "Requests that became dead", &counts.dead),
        (
            "inbox_forgotten",
            "Requests forgotten because their host got another owner",
            &counts.forgotten,
        ),
        (
            "inbox_early",
            "Requests answered although the origin still worked on them",
            &counts.late,
        ),
    ] {
        registry.register(name, help, ConstCounter::new(counter.value()));
    }
}

fn count_certificates(registry: &mut Registry, issued: &Issued) {
    let ends: Vec<_> = issued.list().into_values().collect();
    registry.register(
        "certificates",
        "Certificates that an authority issued",
        number(ends.len()),
    );
    if let Some(first) = ends.into_iter().min() {
        let left = first.duration_since(SystemTime::now()).unwrap_or_default();
        registry.register(
            "certificate_days_left",
            "Until the first certificate ends, in days",
            ConstGauge::new(left.as_secs_f64() / 86_400.0),
        );
    }
    registry.register(
        "certificate_orders",
        "Orders for certificates that were begun",
        ConstCounter::new(issued.orders.value()),
    );
    registry.register(
        "certificate_failures",
        "Orders for certificates that failed",
        ConstCounter::new(issued.failures.value()),
    );
    registry.register(
        "certificates_astray",
        "Certificates that were not ordered when they were due, because DNS did not lead the host here",
        ConstCounter::new(issued.astray.value()),
    );
}

fn number(value: usize) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Name, meaning and counter of each shard.
type Row = (&'static str, &'static str, fn(&Metrics) -> &Counter);

/// What is counted, but for what has labels or a unit.
const COUNTERS: [Row; 16] = [
    (
        "handshakes_failed",
        "QUIC handshakes that did not become a session",
        |shard| &shard.handshakes_failed,
    ),
    (
        "migrations",
        "Changes of an agent's address that its session survived",
        |shard| &shard.migrations,
    ),
    ("packets_sent", "QUIC packets to agents", |shard| {
        &shard.packets_sent
    }),
    (
        "packets_lost",
        "QUIC packets to agents that were lost on the way",
        |shard| &shard.packets_lost,
    ),
    (
        "knocks",
        "Knocks of agents that had heard nothing for a while, answered",
        |shard| &shard.knocks,
    ),
    (
        "visitors_refused",
        "Connections of visitors refused because there were too many",
        |shard| &shard.visitors_refused,
    ),
    (
        "proxy_headers_refused",
        "Connections of proxies refused for want of a proper PROXY header",
        |shard| &shard.proxy_headers_refused,
    ),
    (
        "notices",
        "Requests of browsers answered with the notice, or with the way on from it",
        |shard| &shard.notices,
    ),
    (
        "reconnects",
        "Sessions of agents that came back to a name of theirs",
        |shard| &shard.reconnects,
    ),
    (
        "mirrored",
        "Copies of requests that a mirror has answered",
        |shard| &shard.mirrored,
    ),
    (
        "mirror_dropped",
        "Copies for which a mirror had no room, or that it did not answer",
        |shard| &shard.mirror_dropped,
    ),
    (
        "resent",
        "Requests sent once more because their session was lost or did not begin with them",
        |shard| &shard.resent,
    ),
    (
        "carriers_refused",
        "TCP connections of agents refused because there were too many",
        |shard| &shard.carriers_refused,
    ),
    (
        "visitor_left",
        "Requests whose visitor left before the end",
        |shard| &shard.visitor_left,
    ),
    ("responses_cut", "Responses cut after their head", |shard| {
        &shard.cut
    }),
    (
        "exchanges_reset_over_budget",
        "Requests reset because visitors that stopped reading held too much",
        |shard| &shard.over_budget,
    ),
];

/// What is counted in bytes.
const BYTES: [Row; 2] = [
    ("request_body", "Bodies of requests", |shard| {
        &shard.request_bytes
    }),
    ("response_body", "Bodies of responses", |shard| {
        &shard.response_bytes
    }),
];

/// Which round trips are told, as shares of the sessions.
const SHARES: [(f64, &str); 4] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99"), (1.0, "1")];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ShareLabel {
    quantile: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AnswerLabel {
    code: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct LimitLabel {
    limit: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ClassLabel {
    class: &'static str,
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
        other.migrations.inc();
        other.packets_sent.add(9);
        one.answer("agent-away");
        other.answer("agent-away");
        other.answer("unknown-name");
        other.limited("visitors");
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
        one.resent.inc();
        other.reconnects.inc();
        let holds = Holds::default();
        holds.expired.inc();
        holds.times.add(Duration::from_secs(2));
        let held = Waiting {
            requests: 4,
            bytes: 400,
        };
        let text = report.text(held, &holds, &Paths::default(), stalled, None, None);
        for line in [
            "visitors 3",
            "held 4",
            "held_bytes 400",
            "stalled 2",
            "stalled_bytes 300",
            "exchanges_reset_over_budget_total 0",
            "handshakes_failed_total 0",
            "migrations_total 1",
            "packets_sent_total 9",
            "packets_lost_total 0",
            "sessions_over_tcp 0",
            "session_rtt_seconds{quantile=\"0.99\"} 0.0",
            "knocks_total 0",
            "answers_total{code=\"agent-away\"} 2",
            "answers_total{code=\"unknown-name\"} 1",
            "limited_total{limit=\"visitors\"} 1",
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
            "resent_total 1",
            "reconnects_total 1",
            "holds_expired_total 1",
            "holds_refused_total 0",
            "hold_duration_seconds_sum 2.0",
            "hold_duration_seconds_count 1",
            "limit_agents 10",
        ] {
            let line = format!("\nadit_relay_{line}\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(text.contains("# HELP adit_relay_visitors Open connections of visitors.\n"));
        assert!(text.contains("# UNIT adit_relay_request_duration_seconds seconds\n"));
        assert!(text.contains("# TYPE adit_relay_request_duration_seconds histogram\n"));
    }

    #[test]
    fn every_metric_is_documented_and_nothing_else() {
        let limits = crate::config::Limits::default().list();
        let shard = Arc::<Metrics>::default();
        // What has labels only shows when there is one.
        shard.answer("unknown-name");
        shard.limited("visitors");
        let limits = [&limits[..], &crate::queue::Limits::default().list()].concat();
        let report = Report::new(&[shard], &limits);
        let text = report.text(
            Waiting::default(),
            &Holds::default(),
            &Paths::default(),
            Sweep::default(),
            None,
            Some((&Inboxes::default(), Kept::default())),
        );
        let page = include_str!("../../../docs/metrics.md");
        let documented: Vec<_> = page
            .split('`')
            .skip(1)
            .step_by(2)
            .map(|name| name.split('{').next().unwrap_or_default())
            .collect();
        let told: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE adit_relay_"))
            .filter_map(|line| line.split_once(' '))
            .map(|(name, kind)| match kind {
                "counter" => format!("{name}_total"),
                _ => name.to_owned(),
            })
            .collect();
        for name in &told {
            assert!(
                documented.contains(&name.as_str()),
                "{name} is not in docs/metrics.md"
            );
        }
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let rows = rows.filter_map(|line| line.split('|').nth(1));
        for name in rows.flat_map(|names| names.split('`').skip(1).step_by(2)) {
            let name = name.split('{').next().unwrap_or_default();
            assert!(told.iter().any(|told| told == name), "there is no {name}");
        }
    }
}
