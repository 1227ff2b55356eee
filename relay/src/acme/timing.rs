//! When to renew, and when to try again.

use std::time::{Duration, SystemTime};

use adit_shared::backoff::random_fraction;

/// When to renew a certificate about which its authority suggests nothing: at two thirds of its
/// life, a little earlier by chance, so that many relays do not come at once.
pub(super) fn renewal(since: SystemTime, until: SystemTime) -> SystemTime {
    let life = until.duration_since(since).unwrap_or_default();
    since + life.mul_f64(2.0 / 3.0 - JITTER * random_fraction())
}

/// A moment in the window that the authority suggests (RFC 9773 section 4.2), but never so late that
/// nothing could be tried again before the certificate ends.
pub(super) fn suggested(
    (start, end): (SystemTime, SystemTime),
    (since, until): (SystemTime, SystemTime),
) -> SystemTime {
    let window = end.duration_since(start).unwrap_or_default();
    let life = until.duration_since(since).unwrap_or_default();
    let latest = until - life.mul_f64(LATEST);
    (start + window.mul_f64(random_fraction())).min(latest)
}

/// How long to wait before asking for a suggestion again: what the authority says, within reason
/// (RFC 9773 section 4.3.2).
pub(super) fn ask_again(told: Option<Duration>) -> Duration {
    told.map_or(HOUR, |told| told.clamp(MINUTE, DAY))
}

/// What an order failed by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cause {
    /// The authority, which counts it, and refuses after five within an hour.
    Refused,
    /// The way to the authority, which never took notice.
    Unreached,
    /// DNS, so that the authority was not asked.
    Astray,
}

/// How long to wait after this many failures by one cause.
pub(super) fn retry(failures: u32, cause: Cause) -> Duration {
    let (first, limit) = match cause {
        Cause::Refused => (10 * MINUTE, DAY),
        Cause::Unreached => (Duration::from_secs(5), HOUR),
        // Somebody is at it, and a look costs next to nothing.
        Cause::Astray => (Duration::from_secs(10), 5 * MINUTE),
    };
    let doublings = failures.saturating_sub(1).min(20);
    let full = first.saturating_mul(1 << doublings).min(limit);
    full.mul_f64(1.0 + 0.2 * random_fraction())
}

/// How long to wait, from its beginning, after this many orders in a row did not end. Authorities do not count
/// those as failures, and who restarts a relay thrice does not want to wait; but one that is restarted without
/// end must not order without end.
pub(super) fn after_interruptions(orders: u32) -> Duration {
    match orders.checked_sub(AT_ONCE) {
        None | Some(0) => Duration::ZERO,
        Some(more) => MINUTE.saturating_mul(1 << (more - 1).min(6)).min(HOUR),
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Orders that may be interrupted until one must wait.
const AT_ONCE: u32 = 3;
/// How much of a certificate's life a renewal may come early.
const JITTER: f64 = 1.0 / 30.0;
/// How much of its life must be left, whatever is suggested.
const LATEST: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_comes_at_two_thirds_or_a_little_earlier() {
        let since = SystemTime::UNIX_EPOCH;
        for _ in 0..100 {
            let at = renewal(since, since + 90 * DAY);
            let day = at.duration_since(since).unwrap().as_secs_f64() / DAY.as_secs_f64();
            assert!((57.0..=60.0).contains(&day), "{day}");
        }
    }

    #[test]
    fn a_suggestion_is_taken_unless_it_comes_too_late() {
        let since = SystemTime::UNIX_EPOCH;
        let life = (since, since + 90 * DAY);
        for _ in 0..100 {
            let at = suggested((since + 10 * DAY, since + 12 * DAY), life);
            assert!(at >= since + 10 * DAY && at <= since + 12 * DAY);
            let late = suggested((since + 95 * DAY, since + 99 * DAY), life);
            assert_eq!(late, since + 81 * DAY);
        }
        assert_eq!(ask_again(Some(Duration::ZERO)), MINUTE);
        assert_eq!(ask_again(Some(30 * DAY)), DAY);
    }

    #[test]
    fn failures_that_an_authority_counts_are_few_within_an_hour() {
        let mut after = Duration::ZERO;
        let mut within_an_hour = 0;
        for failures in 1..20 {
            after += retry(failures, Cause::Refused);
            within_an_hour += u32::from(after < HOUR);
            assert!(retry(failures, Cause::Refused) <= DAY.mul_f64(1.2));
            assert!(retry(failures, Cause::Unreached) <= HOUR.mul_f64(1.2));
            assert!(retry(failures, Cause::Astray) <= 6 * MINUTE);
        }
        // The first order fails twice at most.
        assert!(2 + within_an_hour <= 5);
    }

    #[test]
    fn an_interrupted_order_is_made_again_at_once_but_not_without_end() {
        assert_eq!(after_interruptions(3), Duration::ZERO);
        let within_three_hours = (1..).take_while(|n| after_interruptions(*n) < HOUR).count();
        // Let's Encrypt takes 300.
        assert!(within_three_hours < 12, "{within_three_hours}");
        assert_eq!(after_interruptions(4), MINUTE);
        assert_eq!(after_interruptions(u32::MAX), HOUR);
    }
}
