//! Tells that this machine has slept: the clock of the day went on meanwhile, the other one did not.

use std::time::{Duration, Instant, SystemTime};

/// Both clocks at the last look.
#[derive(Debug)]
pub(super) struct Clocks {
    awake: Instant,
    wall: SystemTime,
}

impl Clocks {
    /// As they stand.
    pub(super) const fn new(awake: Instant, wall: SystemTime) -> Self {
        Self { awake, wall }
    }

    /// Whether the machine slept since the last look. One whose clock was set looks the same, which does no
    /// harm.
    pub(super) fn has_slept(&mut self, awake: Instant, wall: SystemTime) -> bool {
        let before = std::mem::replace(self, Self::new(awake, wall));
        let awake = awake.saturating_duration_since(before.awake);
        let passed = wall.duration_since(before.wall).unwrap_or_default();
        passed > awake + SLEEP
    }
}

/// Clocks that run apart by more than this were not running both.
const SLEEP: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_went_on_alone_is_sleep_and_it_is_told_once() {
        let s = Duration::from_secs;
        let (awake, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + s(1000));
        let mut clocks = Clocks::new(awake, wall);
        assert!(!clocks.has_slept(awake + s(60), wall + s(61)));
        assert!(clocks.has_slept(awake + s(61), wall + s(3600)));
        assert!(!clocks.has_slept(awake + s(62), wall + s(3601)));
        assert!(!clocks.has_slept(awake + s(63), wall), "set back");
    }
}
