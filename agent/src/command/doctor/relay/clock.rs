//! Whether this machine knows the time.

use std::time::{Duration, SystemTime};

use adit_shared::certificate::validity;
use adit_shared::checkup::Row;

use super::trust::Shown;

/// Compares `now` with what the relay says the time is, or else with when its certificate is valid.
pub(super) fn row(relay: Option<SystemTime>, shown: Option<&Shown>, now: SystemTime) -> Row {
    if let Some(relay) = relay {
        return against(relay, now);
    }
    let Some(range) = shown.and_then(|shown| validity(shown.leaf())) else {
        return Row::skipped(NAME, "nobody said what the time is");
    };
    if range.contains(&now) {
        return Row::ok(
            NAME,
            "the relay's certificate is valid now; it said no exact time",
        );
    }
    let year =
        |time| jiff::Timestamp::try_from(time).map_or_else(|_| "?".to_owned(), |t| t.to_string());
    Row::warn(
        NAME,
        format!(
            "it is {} here, when the relay's certificate is not valid",
            year(now)
        ),
        FIX,
    )
}

fn against(relay: SystemTime, now: SystemTime) -> Row {
    // The relay says whole seconds, and some of one pass on the way.
    let (off, how) = match now.duration_since(relay) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if off <= TOLERATED {
        return Row::ok(NAME, "as the relay's, within 30 s");
    }
    Row::warn(NAME, format!("{} s {how} the relay's", off.as_secs()), FIX)
}

const NAME: &str = "clock";
const FIX: &str = "set the clock, and keep it: sudo timedatectl set-ntp true";
/// Certificates and signed webhooks bear as much.
const TOLERATED: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use adit_shared::checkup::Verdict;

    use super::*;

    #[test]
    fn half_a_minute_is_tolerated_either_way() {
        let now = SystemTime::now();
        let second = Duration::from_secs(1);
        for (relay, verdict) in [
            (now, Verdict::Ok),
            (now - 30 * second, Verdict::Ok),
            (now + 30 * second, Verdict::Ok),
            (now - 31 * second, Verdict::Warn),
            (now + 31 * second, Verdict::Warn),
        ] {
            assert_eq!(row(Some(relay), None, now).verdict, verdict);
        }
        assert_eq!(row(None, None, now).verdict, Verdict::Skipped);
    }
}
