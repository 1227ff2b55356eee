//! How long to wait before trying again.

use std::time::Duration;

/// Delays that double up to a limit, each drawn between half of itself and itself so that many
/// programs that lost the same peer do not come back in one wave. The first retry is at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    tries: u32,
}

impl Backoff {
    /// Delays of 0, `first`, twice `first`, ... up to `limit`.
    pub fn new(first: Duration, limit: Duration) -> Self {
        Self {
            first,
            limit,
            tries: 0,
        }
    }

    /// How long to wait before the next try.
    pub fn next_delay(&mut self) -> Duration {
        let doublings = self.tries.checked_sub(1);
        self.tries = self.tries.saturating_add(1);
        let Some(doublings) = doublings else {
            return Duration::ZERO;
        };
        let full = self
            .first
            .saturating_mul(1 << doublings.min(20))
            .min(self.limit);
        full.mul_f64(0.5 + 0.5 * random_fraction())
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// Between 0 and 1. Without system randomness it is 1/2: back-off still works, less spread.
pub fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_at_once_then_doubling_with_jitter_up_to_the_limit() {
        let (first, limit) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut backoff = Backoff::new(first, limit);
        for _ in 0..2 {
            assert_eq!(backoff.next_delay(), Duration::ZERO);
            for full in [100, 200, 400, 800, 1000, 1000, 1000] {
                let full = Duration::from_millis(full);
                let delay = backoff.next_delay();
                assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
            }
            backoff.reset();
        }
    }
}
