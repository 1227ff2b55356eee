//! What is known about one name: when to order its certificate, and what it has.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;

use super::whole;
use crate::acme::certificate::{Certificate, seconds};
use crate::acme::timing::{self, Cause};

/// One name that has a certificate or needs one.
#[derive(Default)]
pub(super) struct Job {
    /// When to order.
    pub(super) due: i64,
    /// Until when nothing makes it due, because it failed.
    not_before: i64,
    /// How often the authority was asked in vain.
    pub(super) failures: u32,
    /// How often since then it could not be asked.
    unasked: u32,
    /// How many orders in a row did not end, because the relay did.
    pub(super) interrupted: u32,
    pub(super) is_busy: bool,
    pub(super) has: Option<Has>,
}

/// The certificate that a name has.
pub(super) struct Has {
    pub(super) leaf: CertificateDer<'static>,
    pub(super) since: SystemTime,
    pub(super) until: SystemTime,
    /// When to ask whether it should be renewed early.
    pub(super) ask_at: i64,
    /// Whether the authority makes suggestions.
    pub(super) is_suggested: bool,
}

/// A suggestion when to renew: from when, until when, and how long it is good for.
pub(super) type Suggestion = (SystemTime, SystemTime, Duration);

impl Job {
    /// One that has this certificate, which is renewed in time.
    pub(super) fn with(certificate: &Certificate) -> Self {
        let &Certificate { since, until, .. } = certificate;
        let has = Has {
            leaf: certificate.chain[0].clone(),
            since,
            until,
            ask_at: 0,
            is_suggested: false,
        };
        Self {
            due: seconds(timing::renewal(since, until)),
            has: Some(has),
            ..Self::default()
        }
    }

    /// An order ended without a certificate. Says how often that was so, by this cause.
    pub(super) fn failed(&mut self, cause: Cause) -> u32 {
        self.is_busy = false;
        self.interrupted = 0;
        match cause {
            Cause::Refused => {
                self.unasked = 0;
                self.failures = self.failures.saturating_add(1);
                self.failures
            }
            Cause::Unreached | Cause::Astray => {
                self.unasked = self.unasked.saturating_add(1);
                self.unasked
            }
        }
    }

    /// It is ordered then, and not before.
    pub(super) fn wait_until(&mut self, time: i64) {
        self.due = time;
        self.not_before = time;
    }

    /// Plans by what the authority answered about `leaf`; nothing if it makes no suggestions, none if it could
    /// not be asked. Meanwhile another certificate may have come, about which that says nothing.
    pub(super) fn suggested(
        &mut self,
        leaf: &CertificateDer<'_>,
        answer: Option<Option<Suggestion>>,
        now: i64,
    ) {
        let Some(has) = self.has.as_mut().filter(|has| has.leaf == *leaf) else {
            return;
        };
        let again = match answer {
            Some(Some((start, end, again))) => {
                let at = seconds(timing::suggested((start, end), (has.since, has.until)));
                // What failed is not ordered again before its time, however urgent it is.
                self.due = at.max(self.not_before);
                has.is_suggested = true;
                timing::ask_again(Some(again))
            }
            // It may learn to.
            Some(None) => timing::ask_again(Some(Duration::MAX)),
            None => timing::ask_again(None),
        };
        has.ask_at = now + whole(again);
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivatePkcs8KeyDer;

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const DAY: i64 = 24 * 60 * 60;

    fn at(seconds: i64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds as u64)
    }

    /// A certificate of the days from 100 to 190.
    fn job(leaf: &'static [u8]) -> Job {
        Job::with(&Certificate {
            chain: vec![leaf.into()],
            key: PrivatePkcs8KeyDer::from(Vec::new()).into(),
            since: at(100 * DAY),
            until: at(190 * DAY),
        })
    }

    /// A window that began and ended before the certificate.
    fn urgent() -> Option<Option<Suggestion>> {
        Some(Some((at(DAY), at(2 * DAY), HOUR)))
    }

    #[test]
    fn an_urgent_suggestion_does_not_undo_the_wait_after_a_failure() {
        let mut job = job(b"leaf");
        let now = 120 * DAY;
        job.suggested(&b"leaf"[..].into(), urgent(), now);
        assert!(job.due <= now, "{}", job.due);
        assert_eq!(job.has.as_ref().unwrap().ask_at, now + whole(HOUR));
        assert_eq!(job.failed(Cause::Refused), 1);
        job.wait_until(now + 600);
        job.suggested(&b"leaf"[..].into(), urgent(), now + 60);
        assert_eq!(job.due, now + 600);
        // One for later is followed all the same.
        let later = Some(Some((at(150 * DAY), at(150 * DAY), HOUR)));
        job.suggested(&b"leaf"[..].into(), later, now + 60);
        assert_eq!(job.due, 150 * DAY);
    }

    #[test]
    fn only_what_an_authority_was_asked_counts_as_asked() {
        let mut job = Job::default();
        assert_eq!(job.failed(Cause::Unreached), 1);
        assert_eq!(job.failed(Cause::Astray), 2);
        assert_eq!(job.failures, 0);
        assert_eq!(job.failed(Cause::Refused), 1);
        assert_eq!(job.failed(Cause::Astray), 1);
        assert_eq!(job.failures, 1);
    }

    #[test]
    fn an_answer_about_the_certificate_before_is_no_answer() {
        let mut job = job(b"new leaf");
        let due = job.due;
        job.suggested(&b"old leaf"[..].into(), urgent(), 120 * DAY);
        assert_eq!(job.due, due);
        let has = job.has.as_ref().unwrap();
        assert_eq!((has.ask_at, has.is_suggested), (0, false));
    }
}
