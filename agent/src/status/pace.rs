//! How many requests are told one by one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lets so many things through in each second, and counts the rest. Cheap to ask.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    /// The second since the start, and how many were let through in it.
    window: AtomicU64,
    kept_back: AtomicU64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            window: AtomicU64::new(0),
            kept_back: AtomicU64::new(0),
        }
    }

    /// Whether one more may pass at `now`. The answer may be off by a few around the turn of a second.
    pub(super) fn admit(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.start).as_secs() << COUNT_BITS;
        let window = self.window.load(Ordering::Relaxed);
        let passed = if window >> COUNT_BITS << COUNT_BITS == second {
            window - second
        } else {
            0
        };
        if passed >= A_SECOND {
            self.kept_back.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.window.store(second + passed + 1, Ordering::Relaxed);
        true
    }

    /// How many were kept back since this was asked last.
    pub(super) fn take_kept_back(&self) -> u64 {
        self.kept_back.swap(0, Ordering::Relaxed)
    }
}

/// More than anybody reads, and few enough to cost nothing under load.
const A_SECOND: u64 = 100;
const COUNT_BITS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_instead_of_told() {
        let pace = Pace::new();
        let passed = (0..10 * A_SECOND)
            .filter(|_| pace.admit(Instant::now()))
            .count() as u64;
        // The second may turn once in between.
        assert!((A_SECOND..=2 * A_SECOND).contains(&passed), "{passed}");
        assert_eq!(pace.take_kept_back(), 10 * A_SECOND - passed);
        assert_eq!(pace.take_kept_back(), 0);
    }
}
