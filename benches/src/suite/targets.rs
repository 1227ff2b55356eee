//! What the figures are held against.

use serde::Serialize;

use super::cases::{bulk, inbox, isolation, memory, paths, requests, shards, storm, websocket};
use super::figures::{Figures, Ratio, median};

/// A target, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// What is measured.
    pub measure: String,
    /// What it was, of the rounds.
    pub found: Option<Ratio>,
    /// What it is to be.
    pub bound: Bound,
    /// What it counts.
    pub unit: &'static str,
    /// Why there is no figure, if there is none.
    pub missing: &'static str,
}

/// On which side of it a figure is to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bound {
    /// As much or more.
    AtLeast(f64),
    /// As much or less.
    AtMost(f64),
}

impl Verdict {
    /// Whether it was met; none without a figure.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let found = self.found?.middle;
        Some(match self.bound {
            Bound::AtLeast(bound) => found >= bound,
            Bound::AtMost(bound) => found <= bound,
        })
    }

    /// By how much it was missed, as a share of the target; above zero when it was.
    pub(crate) fn gap(&self) -> Option<f64> {
        let found = self.found?.middle;
        Some(match self.bound {
            Bound::AtLeast(bound) => (bound - found) / bound,
            Bound::AtMost(bound) => (found - bound) / bound,
        })
    }
}

/// All of them.
pub(crate) fn verdicts(figures: &Figures) -> Vec<Verdict> {
    let held = Held(figures);
    let main = requests::MAIN;
    let alone = requests::ALONE;
    let times = |measure: &str, found, bound| Verdict {
        measure: measure.into(),
        found,
        bound,
        unit: "x",
        missing: NOT_RUN,
    };
    let peer = |name: &'static str, bound| Verdict {
        measure: format!("requests/s, {main}, against {name}"),
        found: held.ratio(main, "req/s", "adit", main, name),
        bound: Bound::AtLeast(bound),
        unit: "x",
        missing: "not installed, or not run",
    };
    let size = |measure: &str, found: Option<Ratio>, most, unit| Verdict {
        measure: measure.into(),
        found,
        bound: Bound::AtMost(most),
        unit,
        missing: NOT_RUN,
    };
    vec![
        times(
            "requests/s, 1 KiB x 64, against the one-hop proxy",
            held.ratio(main, "req/s", "adit", main, "hop"),
            Bound::AtLeast(0.80),
        ),
        times(
            "processor time of relay and agent per request, against the proxy's",
            held.ratio(main, "CPU us/req", "adit", main, "hop"),
            Bound::AtMost(1.25),
        ),
        times(
            "latency of one request at a time, p50, against the proxy",
            held.ratio(alone, "p50 us", "adit", alone, "hop"),
            Bound::AtMost(1.6),
        ),
        times(
            "requests/s, 1 KiB x 64, with the inspector against without",
            held.ratio(main, "req/s", "adit", main, requests::UNINSPECTED),
            Bound::AtLeast(0.95),
        ),
        peer("rathole", 1.2),
        peer("frp", 7.0),
        times(
            "processor time for 1 GiB down, against bare QUIC and the proxy together",
            held.bulk(bulk::DOWN),
            Bound::AtMost(1.2),
        ),
        times(
            "processor time for 1 GiB up, against bare QUIC and the proxy together",
            held.bulk(bulk::UP),
            Bound::AtMost(1.2),
        ),
        times(
            "p99 of small requests beside 128 stalled downloads, against none",
            held.isolation(),
            Bound::AtMost(1.3),
        ),
        size(
            "resident memory of the relay for an idle agent",
            held.value(storm::IDLE_AGENT, "relay RSS KiB"),
            64.0,
            "KiB",
        ),
        size(
            "resident memory of the relay for an idle exchange",
            held.value(memory::EXCHANGE, "relay RSS KiB"),
            8.0,
            "KiB",
        ),
        size(
            "growth of the relay after 1 GiB each way",
            held.value(memory::TRANSFER, "relay RSS MiB"),
            16.0,
            "MiB",
        ),
        size(
            "growth of the agent after 1 GiB each way",
            held.value(memory::TRANSFER, "agent RSS MiB"),
            16.0,
            "MiB",
        ),
        times(
            "WebSocket messages/s, 64 connections, against direct",
            held.ratio(
                websocket::ECHO,
                "messages/s",
                "adit",
                websocket::ECHO,
                "direct",
            ),
            Bound::AtLeast(0.4),
        ),
        times(
            "share of a path of 500 Mbit/s and 80 ms that one stream reaches",
            held.value(paths::FAT, paths::SHARE),
            Bound::AtLeast(0.8),
        ),
        Verdict {
            bound: Bound::AtLeast(3000.0),
            ..size(
                "webhooks of 2 KiB acknowledged, from 64 senders, each on disk before",
                held.value(inbox::INBOX, inbox::RATE),
                0.0,
                "/s",
            )
        },
        Verdict {
            missing: "this relay has no shards, or not run",
            ..times(
                "requests/s of two shards against one (two cores for everything)",
                held.ratio(
                    shards::SHARDS,
                    "req/s",
                    "two shards",
                    shards::SHARDS,
                    "one shard",
                ),
                Bound::AtLeast(0.9),
            )
        },
    ]
}

struct Held<'a>(&'a Figures);

impl Held<'_> {
    fn rounds(&self, case: &str, system: &str, measure: &str) -> Option<&[f64]> {
        let figure = self.0.find(case, system, measure)?;
        Some(&figure.rounds)
    }

    fn ratio(
        &self,
        case: &str,
        measure: &str,
        system: &str,
        against: &str,
        other: &str,
    ) -> Option<Ratio> {
        let above = self.rounds(case, system, measure)?;
        Ratio::of(above, self.rounds(against, other, measure)?)
    }

    fn value(&self, case: &str, measure: &str) -> Option<Ratio> {
        let rounds = self.rounds(case, "adit", measure)?;
        Ratio::of(rounds, &vec![1.0; rounds.len()])
    }

    fn bulk(&self, case: &str) -> Option<Ratio> {
        let cost = |system| self.rounds(case, system, "CPU s/GiB");
        let ceiling = cost("quinn")?.iter().zip(cost("hop")?);
        let ceiling: Vec<f64> = ceiling.map(|(quinn, hop)| quinn + hop).collect();
        Ratio::of(cost("adit")?, &ceiling)
    }

    /// A request that was lost is worse than any that was late.
    fn isolation(&self) -> Option<Ratio> {
        let stalled = isolation::case(128);
        let (p99, none) = (
            self.rounds(&stalled, "adit", "p99 us")?,
            self.rounds(&isolation::case(0), "adit", "p99 us")?,
        );
        let failed = self.rounds(&stalled, "adit", "failed")?;
        if median(failed) > 0.0 {
            return Some(Ratio {
                middle: f64::INFINITY,
                least: f64::INFINITY,
                most: f64::INFINITY,
            });
        }
        Ratio::of(p99, none)
    }
}

const NOT_RUN: &str = "not run";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_on_its_own_side() {
        let mut figures = Figures::default();
        for (system, value) in [("adit", 70.0), ("hop", 100.0)] {
            figures.note(requests::MAIN, system, "req/s", value);
            figures.note(requests::MAIN, system, "CPU us/req", value);
        }
        let verdicts = verdicts(&figures);
        assert_eq!(verdicts[0].is_met(), Some(false));
        assert!((verdicts[0].gap().unwrap() - 0.125).abs() < 1e-9);
        assert_eq!(verdicts[1].is_met(), Some(true));
        assert_eq!(verdicts[2].is_met(), None);
    }

    #[test]
    fn requests_that_were_lost_are_no_success() {
        let mut figures = Figures::default();
        for stalled in [0, 128] {
            let case = isolation::case(stalled);
            figures.note(&case, "adit", "p99 us", 300.0);
            figures.note(&case, "adit", "failed", stalled as f64);
        }
        let isolated = verdicts(&figures);
        let isolated = isolated.iter().find(|v| v.measure.contains("stalled"));
        assert_eq!(isolated.unwrap().is_met(), Some(false));
    }
}
