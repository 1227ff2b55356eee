//! How much is kept.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub use crate::config::Limits;

/// Bytes that are kept, and how many may be.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes them if there are so many left.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// Takes them whether they are left or not.
    pub(super) fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether `more` would be too many.
    pub(super) fn is_short_of(&self, more: usize) -> bool {
        self.used().saturating_add(more) > self.limit
    }

    pub(super) fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Lets so many exchanges through in each second, and a burst of them at once.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    size: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub(super) fn new(rate: u32, size: usize) -> Self {
        let (rate, size) = (f64::from(rate), size as f64);
        Self {
            rate,
            size,
            state: Mutex::new((size, Instant::now())),
        }
    }

    pub(super) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, last) = *state;
        let since = now.saturating_duration_since(last).as_secs_f64();
        let level = (level + since * self.rate).min(self.size);
        let taken = level >= 1.0;
        *state = (if taken { level - 1.0 } else { level }, now.max(last));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let bucket = Bucket::new(10, 50);
        let start = Instant::now();
        let passed = |at: Duration| (0..100).filter(|_| bucket.take_at(start + at)).count();
        // The clock was read once more when it was made.
        assert!((50..=51).contains(&passed(Duration::ZERO)));
        assert_eq!(passed(Duration::from_secs(1)), 10);
        assert_eq!(passed(Duration::from_secs(60)), 50);
    }

    #[test]
    fn a_budget_is_never_exceeded_by_what_asks() {
        let budget = Budget::new(10);
        assert!(budget.take(7) && !budget.take(4) && budget.take(3));
        assert!(budget.is_short_of(1));
        budget.give(10);
        assert_eq!(budget.used(), 0);
    }
}
