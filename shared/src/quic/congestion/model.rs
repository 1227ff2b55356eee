//! What is known of a path: how much it takes, and how long its round trip is when nothing queues.

use std::time::{Duration, Instant};

/// How fast packets arrive, and how long they are under way at least.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// The highest rate since the last probe, and between that and the one before, in bytes a second.
    rates: [f64; 2],
    /// What congestion allows until the next probe.
    bound: Option<f64>,
    shortest: Shortest,
}

impl Model {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            rates: [0.0; 2],
            bound: None,
            shortest: Shortest {
                rtt: None,
                at: now,
                recent: None,
                recent_at: now,
            },
        }
    }

    /// The rate of one acknowledgement. When there was too little to send it shows only that the
    /// path takes at least so much.
    pub(super) fn arrived(&mut self, rate: f64, is_idle: bool) {
        if !is_idle || rate >= self.most() {
            self.rates[1] = self.rates[1].max(rate);
        }
    }

    /// A round trip took this long. Says whether it is long ago that one was as short as possible.
    pub(super) fn took(&mut self, now: Instant, rtt: Duration) -> bool {
        self.shortest.took(now, rtt)
    }

    /// The path was probed: what was seen before the probe before it is forgotten.
    pub(super) fn probed(&mut self) {
        self.rates = [self.rates[1], 0.0];
    }

    /// There was congestion at `rate`: no more than that is sent until [`lift`](Self::lift), but
    /// never less than a share of what was.
    pub(super) fn congested(&mut self, rate: f64) {
        let now = self.bounded();
        self.bound = Some(rate.max(now * BETA).min(now));
    }

    /// The path takes only `rate` any more: what was seen before goes down to it, in steps.
    pub(super) fn fell(&mut self, rate: f64) {
        let most = rate.max(self.most() * BETA);
        self.rates = self.rates.map(|seen| seen.min(most));
    }

    /// Congestion is forgotten.
    pub(super) fn lift(&mut self) {
        self.bound = None;
    }

    /// Bytes a second that the path takes.
    pub(super) fn most(&self) -> f64 {
        self.rates[0].max(self.rates[1])
    }

    /// The same, under the bound that congestion has set.
    pub(super) fn bounded(&self) -> f64 {
        self.most().min(self.bound.unwrap_or(f64::INFINITY))
    }

    /// A round trip when nothing queues; zero before the first.
    pub(super) fn shortest(&self) -> Duration {
        self.shortest.rtt.unwrap_or(Duration::ZERO)
    }

    /// Whether a round trip of `rtt` is longer than `times` the shortest, by more than the clocks
    /// of both ends explain.
    pub(super) fn is_queueing(&self, rtt: Duration, times: f64) -> bool {
        rtt.as_secs_f64() > self.shortest().as_secs_f64() * times + GRAIN.as_secs_f64()
    }
}

/// The shortest round trip of the last ten seconds, in two steps: so a new one is looked for in
/// time before the old one is forgotten.
#[derive(Clone, Copy, Debug)]
struct Shortest {
    rtt: Option<Duration>,
    at: Instant,
    recent: Option<Duration>,
    recent_at: Instant,
}

impl Shortest {
    fn took(&mut self, now: Instant, rtt: Duration) -> bool {
        let is_stale = now - self.recent_at > RECENT;
        if is_stale || self.recent.is_none_or(|recent| rtt < recent) {
            self.recent = Some(rtt);
            self.recent_at = now;
        } else if self
            .recent
            .is_some_and(|recent| rtt <= recent + recent / 32 + GRAIN)
        {
            // Clocks and timers are not exact: this is as short as it gets.
            self.recent_at = now;
        }
        if let Some(recent) = self.recent
            && (self.rtt.is_none_or(|rtt| recent <= rtt) || now - self.at > KEPT)
        {
            self.rtt = Some(recent);
            self.at = now;
        }
        is_stale
    }
}

/// How finely timers work, and so how much may queue without meaning anything: the time for which
/// the window allows more than the round trip needs.
pub(super) const GRAIN: Duration = Duration::from_millis(1);

/// What congestion leaves of the rate, at least (draft-ietf-ccwg-bbr section 2.7).
const BETA: f64 = 0.7;

/// When the shortest round trip is to be measured anew, and when it is forgotten (section 2.13).
const RECENT: Duration = Duration::from_secs(5);
const KEPT: Duration = Duration::from_secs(10);
