//! UDP that a network strangles: it gets through, but much of it is thrown away where TCP is not. Nobody can see
//! from UDP alone whether another protocol would fare better, so TCP is tried, for as long as it takes to compare.
//!
//! What is compared is what the agent sends, responses; what the network does to requests is the relay's to see.

use std::collections::VecDeque;
use std::time::Duration;

use adit_shared::quic::{Path, Transport};
use tokio::time::Instant;

/// Watches how UDP fares, and how TCP does in its place.
#[derive(Debug)]
pub(super) struct Strangled {
    phase: Phase,
    last: Sample,
    /// How long UDP is left alone after a trial that was for nothing.
    rest: Duration,
}

/// What to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Advice {
    /// Try TCP.
    Try,
    /// Stay on TCP, which is so many times as fast.
    Stay { times: u64 },
    /// UDP was no worse.
    Return,
}

#[derive(Debug)]
enum Phase {
    /// How UDP fared in the last seconds.
    Watching { seconds: VecDeque<Second> },
    /// TCP has been tried since then; UDP brought so many bytes a second, TCP so many in each second.
    Trying { udp: u64, tcp: Vec<u64> },
    /// Nothing is tried until then.
    Resting { until: Instant },
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    sent: u64,
    lost: u64,
    bytes: u64,
}

impl Strangled {
    /// Of a session whose connection has sent what `path` says.
    pub(super) fn new(now: Instant, path: &Path) -> Self {
        Self {
            phase: Phase::watching(),
            last: Sample::of(now, path),
            rest: FIRST_REST,
        }
    }

    /// What to do, after about a second over `kind` of which `path` tells. Once it says [`Advice::Try`] it
    /// expects TCP until it says something else; when it hears of UDP before, the trial is over.
    pub(super) fn look(&mut self, now: Instant, kind: Transport, path: &Path) -> Option<Advice> {
        let this = Sample::of(now, path);
        let seen = Second::between(&self.last, &this);
        self.last = this;
        match (&mut self.phase, kind) {
            (Phase::Watching { seconds }, Transport::Udp) => {
                seconds.push_back(seen);
                if seconds.len() > SECONDS {
                    seconds.pop_front();
                }
                let bad = seconds.iter().filter(|second| second.is_bad()).count();
                if bad < BAD_SECONDS {
                    return None;
                }
                let busy = seconds.iter().filter(|second| second.is_busy());
                let udp = mean(busy.map(|second| second.arrived));
                let tcp = Vec::new();
                self.phase = Phase::Trying { udp, tcp };
                return Some(Advice::Try);
            }
            (Phase::Watching { seconds }, Transport::Tcp) => seconds.clear(),
            (Phase::Trying { .. }, Transport::Udp) => self.rest(now),
            (Phase::Trying { udp, tcp }, Transport::Tcp) => {
                tcp.push(seen.arrived);
                if tcp.len() < TRIAL_SECONDS {
                    return None;
                }
                // The first is that of the change.
                let tcp = mean(tcp[1..].iter().copied());
                let times = tcp / (*udp).max(1);
                if times >= BETTER {
                    self.phase = Phase::watching();
                    self.rest = FIRST_REST;
                    return Some(Advice::Stay { times });
                }
                self.rest(now);
                return Some(Advice::Return);
            }
            (Phase::Resting { until }, _) if now >= *until => {
                self.phase = Phase::watching();
            }
            (Phase::Resting { .. }, _) => {}
        }
        None
    }

    /// The trial is over, or never began: there is no TCP.
    pub(super) fn rest(&mut self, now: Instant) {
        let until = now + self.rest;
        self.phase = Phase::Resting { until };
        self.rest = (self.rest * 2).min(LAST_REST);
    }

    /// Whether TCP is being tried.
    pub(super) fn is_trying(&self) -> bool {
        matches!(self.phase, Phase::Trying { .. })
    }
}

impl Phase {
    fn watching() -> Self {
        let seconds = VecDeque::new();
        Self::Watching { seconds }
    }
}

impl Sample {
    fn of(at: Instant, path: &Path) -> Self {
        Self {
            at,
            sent: path.sent,
            lost: path.lost,
            bytes: path.bytes,
        }
    }
}

/// What became of what was sent in about a second.
#[derive(Debug)]
struct Second {
    sent: u64,
    lost: u64,
    /// Bytes a second.
    arrived: u64,
}

impl Second {
    fn between(from: &Sample, to: &Sample) -> Self {
        let sent = to.sent.saturating_sub(from.sent);
        // What is found lost now may have been sent before.
        let lost = to.lost.saturating_sub(from.lost).min(sent);
        let bytes = to.bytes.saturating_sub(from.bytes) as f64;
        let seconds = (to.at - from.at).as_secs_f64().max(0.001);
        let share = (sent - lost) as f64 / sent.max(1) as f64;
        Self {
            sent,
            lost,
            arrived: (bytes * share / seconds) as u64,
        }
    }

    fn is_busy(&self) -> bool {
        self.sent >= LEAST_SENT
    }

    fn is_bad(&self) -> bool {
        self.is_busy() && self.lost * MUCH >= self.sent
    }
}

fn mean(values: impl Iterator<Item = u64>) -> u64 {
    let (sum, count) = values.fold((0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / u64::max(count, 1)
}

/// How often to look.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// One packet in so many lost is much: few ways that are merely bad lose it, and those that throw away what
/// exceeds a rate do.
const MUCH: u64 = 10;
/// Packets a second; fewer tell nothing, and need no faster way.
const LEAST_SENT: u64 = 20;
/// In how many of the last seconds UDP must lose much: more than it takes to find the rate of a way, less than
/// all, since congestion control finds a rate at which little is thrown away, and tries again after a while.
const BAD_SECONDS: usize = 5;
const SECONDS: usize = 30;
/// How long TCP is tried.
const TRIAL_SECONDS: usize = 4;
/// How many times as much must arrive.
const BETTER: u64 = 2;
/// How long nothing is tried after a trial that was for nothing: to change costs about a round trip.
const FIRST_REST: Duration = Duration::from_secs(600);
const LAST_REST: Duration = Duration::from_secs(4 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    /// A session and its clock.
    struct Scene {
        now: Instant,
        path: Path,
        strangled: Strangled,
    }

    impl Scene {
        fn start() -> Self {
            let (now, path) = (Instant::now(), Path::default());
            let strangled = Strangled::new(now, &path);
            Self {
                now,
                path,
                strangled,
            }
        }

        /// A second in which so many packets of 1,000 bytes were sent.
        fn second(&mut self, kind: Transport, sent: u64, lost: u64) -> Option<Advice> {
            self.now += LOOK;
            self.path.sent += sent;
            self.path.lost += lost;
            self.path.bytes += sent * 1000;
            self.strangled.look(self.now, kind, &self.path)
        }

        fn bad_seconds(&mut self) -> Option<Advice> {
            let mut advice = None;
            for _ in 0..BAD_SECONDS {
                assert_eq!(advice, None);
                advice = self.second(Transport::Udp, 200, 40);
            }
            advice
        }
    }

    #[test]
    fn tcp_is_tried_when_udp_loses_much_for_long_and_only_then() {
        let mut scene = Scene::start();
        for (sent, lost) in [(1000, 99), (LEAST_SENT - 1, 15), (0, 0)] {
            for _ in 0..3 * BAD_SECONDS {
                assert_eq!(scene.second(Transport::Udp, sent, lost), None);
            }
        }
        for _ in 0..BAD_SECONDS {
            assert_eq!(scene.second(Transport::Udp, 200, 20), None);
            for _ in 0..SECONDS / (BAD_SECONDS - 1) {
                assert_eq!(scene.second(Transport::Udp, 200, 0), None, "that is rare");
            }
        }
        let mut scene = Scene::start();
        for _ in 1..BAD_SECONDS {
            assert_eq!(scene.second(Transport::Udp, 200, 20), None);
            assert_eq!(scene.second(Transport::Udp, 200, 0), None);
        }
        assert_eq!(scene.second(Transport::Udp, 200, 20), Some(Advice::Try));
    }

    #[test]
    fn the_faster_one_is_kept() {
        let mut scene = Scene::start();
        assert_eq!(scene.bad_seconds(), Some(Advice::Try));
        // What is lost in the change, and how little comes in its second, does not count.
        assert_eq!(scene.second(Transport::Tcp, 10, 10), None);
        assert_eq!(scene.second(Transport::Tcp, 800, 0), None);
        assert_eq!(scene.second(Transport::Tcp, 800, 0), None);
        let stay = Advice::Stay { times: 5 };
        assert_eq!(scene.second(Transport::Tcp, 800, 0), Some(stay));
        // When the session is back on UDP, it is no different from the first time.
        assert_eq!(scene.bad_seconds(), Some(Advice::Try));
    }

    #[test]
    fn a_trial_for_nothing_is_not_made_again_soon() {
        let mut scene = Scene::start();
        for rest in [FIRST_REST, FIRST_REST * 2] {
            assert_eq!(scene.bad_seconds(), Some(Advice::Try));
            for second in 1..=TRIAL_SECONDS {
                let advice = (second == TRIAL_SECONDS).then_some(Advice::Return);
                assert_eq!(scene.second(Transport::Tcp, 300, 0), advice);
            }
            for _ in 0..rest.as_secs() {
                assert_eq!(scene.second(Transport::Udp, 200, 40), None);
            }
        }
    }

    #[test]
    fn a_trial_that_the_network_ends_is_one_for_nothing() {
        let mut scene = Scene::start();
        assert_eq!(scene.bad_seconds(), Some(Advice::Try));
        assert_eq!(scene.second(Transport::Tcp, 800, 0), None);
        for _ in 0..FIRST_REST.as_secs() {
            assert_eq!(scene.second(Transport::Udp, 200, 40), None);
        }
    }
}
