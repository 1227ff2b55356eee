//! A relay that stays away, which is told without a line for each try.

/// What was said of it since it was lost.
#[derive(Debug, Default)]
pub(super) struct Outage {
    tries: u64,
    /// The reasons that were said.
    reasons: Vec<String>,
}

impl Outage {
    /// One more try failed: what to begin its line with, if it is worth one. That is each reason once, and then
    /// the tenth try, the hundredth and so on.
    pub(super) fn failed(&mut self, reason: &str) -> Option<String> {
        self.tries += 1;
        if self.tries >= 10 && 10_u64.pow(self.tries.ilog10()) == self.tries {
            return Some(format!("still offline after {} tries", self.tries));
        }
        if self.reasons.iter().any(|said| said == reason) || self.reasons.len() == MAX_REASONS {
            return None;
        }
        self.reasons.push(reason.to_owned());
        Some("offline".to_owned())
    }
}

/// Reasons are the system's words, and few.
const MAX_REASONS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_said_once_and_then_that_it_goes_on() {
        let mut outage = Outage::default();
        let mut said = |reason: &str| outage.failed(reason);
        assert_eq!(said("no route").as_deref(), Some("offline"));
        assert_eq!(said("no route"), None);
        assert_eq!(said("no name").as_deref(), Some("offline"));
        let told: Vec<_> = (4..=1000).filter(|_| said("no route").is_some()).collect();
        assert_eq!(told, [10, 100, 1000]);
        assert_eq!(said("no name"), None);
    }

    #[test]
    fn reasons_that_are_always_new_are_no_flood() {
        let mut outage = Outage::default();
        let told: Vec<_> = (1..=99)
            .filter(|n| outage.failed(&n.to_string()).is_some())
            .collect();
        assert_eq!(told, [1, 2, 3, 4, 5, 6, 7, 8, 10]);
    }
}
