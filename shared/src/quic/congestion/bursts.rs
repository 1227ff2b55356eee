//! How much is acknowledged at once.
//!
//! Wi-Fi, and a machine with much to do, hand packets on in bursts, and nothing is acknowledged in between.
//! Who has only a pipe's worth in flight then has nothing to send with while the path waits. So what came
//! above the rate at once is in flight on top (draft-ietf-ccwg-bbr, section 4.5.5: extra_acked).

use std::time::Instant;

/// What was acknowledged above the rate.
#[derive(Clone, Debug)]
pub(super) struct Bursts {
    /// Since when it is compared with the rate, and what was acknowledged since then.
    since: Instant,
    acked: f64,
    /// The most of it in bytes, in the last rounds and in those before them.
    most: [f64; 2],
    rounds: u32,
}

impl Bursts {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            acked: 0.0,
            most: [0.0; 2],
            rounds: 0,
        }
    }

    /// So many bytes were acknowledged on a path that takes `rate` bytes a second.
    pub(super) fn took(&mut self, now: Instant, acked: u64, rate: f64) {
        let mut expected = rate * (now - self.since).as_secs_f64();
        if self.acked <= expected {
            (self.since, self.acked, expected) = (now, 0.0, 0.0);
        }
        self.acked += acked as f64;
        self.most[1] = self.most[1].max(self.acked - expected);
    }

    /// A round trip is over: what came long ago is forgotten.
    pub(super) fn end_round(&mut self) {
        self.rounds += 1;
        if self.rounds == ROUNDS {
            self.rounds = 0;
            self.most = [self.most[1], 0.0];
        }
    }

    /// The most of late, in bytes.
    pub(super) fn most(&self) -> f64 {
        self.most[0].max(self.most[1])
    }
}

/// Half of the round trips for which a burst is remembered.
const ROUNDS: u32 = 5;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_comes_at_once_is_remembered_for_a_while_and_what_flows_is_none() {
        let (start, rate, step) = (Instant::now(), 1e6, Duration::from_millis(1));
        let mut bursts = Bursts::new(start);
        let mut now = start;
        for _ in 0..100 {
            now += step;
            bursts.took(now, 1000, rate);
        }
        assert!(bursts.most() <= 1000.0, "{}", bursts.most());
        for _ in 0..10 {
            now += step * 8;
            bursts.took(now, 8000, rate);
        }
        assert!(
            (7999.0..8001.0).contains(&bursts.most()),
            "{}",
            bursts.most()
        );
        for _ in 0..2 * ROUNDS {
            bursts.end_round();
        }
        assert!(bursts.most() < 1.0);
    }
}
