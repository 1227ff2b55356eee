//! How fast something comes: a bucket that leaks, in one number.

use std::sync::atomic::{AtomicU64, Ordering};

/// When the bucket will be empty, in nanoseconds: each that comes moves it by one interval.
#[derive(Debug, Default)]
pub(crate) struct Rate(AtomicU64);

impl Rate {
    /// Whether another one may come at `now`, of `rate` a second and up to `burst` at once. A rate of 0 is
    /// no bound.
    pub(crate) fn allows(&self, now: u64, rate: usize, burst: usize) -> bool {
        if rate == 0 {
            return true;
        }
        let interval = SECOND / rate as u64;
        let room = interval.saturating_mul(burst.max(1) as u64);
        let next = |empty: u64| {
            let next = empty.max(now) + interval;
            (next - now <= room).then_some(next)
        };
        let update = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        update.is_ok()
    }

    /// Whether it has forgotten all that came.
    pub(crate) fn is_fresh(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }
}

const SECOND: u64 = 1_000_000_000;
