//! When to knock, and what silence means.
//!
//! Nothing but packets of our own tells that the way is dead, and that it is alive again: the QUIC
//! library's probes come ever more rarely, and its keep-alives wait behind a full congestion window. So,
//! while something is or was of late in flight and nothing was heard for some round trips, we knock. A
//! knock that is answered is not followed by many: what stays open and says nothing costs about one a
//! second. One that is not is followed by another soon, for as long as it takes.
//!
//! Pure timing; [`super::path`] does what is decided here.

use std::time::{Duration, Instant, SystemTime};

use super::clocks::Clocks;

/// What one session hears.
#[derive(Debug)]
pub(super) struct Pulse {
    received: u64,
    heard: Instant,
    /// Those that were not answered.
    knocks: Option<Knocks>,
    /// The number of the last one.
    number: u64,
    /// When an exchange was last known to be open, and how many had been by then.
    used: Instant,
    exchanges: u64,
    /// When answered knocks are paid for: a burst of them lies in the past.
    paid: Instant,
    /// How long knocks may stay unanswered before the way is in doubt.
    patience: Duration,
    told: Told,
    clocks: Clocks,
}

/// Knocks without an answer.
#[derive(Clone, Copy, Debug)]
struct Knocks {
    /// Since when nothing was heard, as far as something was to be expected.
    since: Instant,
    first: Instant,
    last: Instant,
    /// The number of the first.
    from: u64,
}

/// What is known at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// UDP datagrams that came so far.
    pub received: u64,
    /// The round trip.
    pub rtt: Duration,
    /// Whether exchanges are open.
    pub open: bool,
    /// How many were opened so far.
    pub exchanges: u64,
}

/// What follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Verdict {
    /// Knock now, with this number.
    pub knock: Option<u64>,
    /// Something has changed.
    pub sign: Option<Sign>,
    /// How long nothing else follows, unless something is heard.
    pub wait: Duration,
}

/// A change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sign {
    /// Knocks were not answered for so long that the way may be gone for good.
    Silent,
    /// A knock was answered, after silence or a suspicion.
    Back {
        /// How long none was.
        stalled: Duration,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    Nothing,
    Suspicion,
    Silence,
}

impl Pulse {
    /// Begins with a connection that was heard `now`.
    pub(super) fn new(now: Instant, wall: SystemTime, received: u64) -> Self {
        Self {
            received,
            heard: now,
            knocks: None,
            number: 0,
            used: now,
            exchanges: 0,
            paid: now.checked_sub(BURST * EACH).unwrap_or(now),
            patience: PATIENCE,
            told: Told::Nothing,
            clocks: Clocks::new(now, wall),
        }
    }

    /// The way has changed: it has to prove itself, and soon.
    pub(super) fn suspect(&mut self, now: Instant) {
        self.told = self.told.max(Told::Suspicion);
        self.patience = SHORT_PATIENCE;
        // As if a knock had gone out before: the next one is due.
        self.outstanding(now, now).last = now.checked_sub(OVERDUE).unwrap_or(now);
    }

    /// Decides.
    pub(super) fn look(&mut self, now: Instant, wall: SystemTime, seen: Seen) -> Verdict {
        if self.clocks.has_slept(now, wall) {
            self.suspect(now);
        }
        if std::mem::replace(&mut self.exchanges, seen.exchanges) != seen.exchanges || seen.open {
            self.used = now;
        }
        if std::mem::replace(&mut self.received, seen.received) != seen.received {
            self.heard = now;
        }
        let knock = (now >= self.due(now, seen)).then(|| self.knock(now, seen.rtt));
        let mut sign = None;
        if let Some(knocks) = self.knocks
            && self.told != Told::Silence
            && now.saturating_duration_since(knocks.first) >= self.patience
        {
            self.told = Told::Silence;
            sign = Some(Sign::Silent);
        }
        let look = if seen.open {
            quiet(seen.rtt) / 2
        } else if self.is_fresh(now) {
            EACH / 4
        } else {
            EACH
        };
        let due = self.due(now, seen);
        let wait = due.saturating_duration_since(now).min(look).max(LEAST);
        Verdict { knock, sign, wait }
    }

    /// The relay has answered a knock.
    pub(super) fn answer(&mut self, now: Instant, number: u64) -> Option<Sign> {
        self.heard = now;
        let knocks = self.knocks.take_if(|knocks| number >= knocks.from)?;
        self.patience = PATIENCE;
        let told = std::mem::replace(&mut self.told, Told::Nothing);
        let stalled = now.saturating_duration_since(knocks.since);
        (told != Told::Nothing).then_some(Sign::Back { stalled })
    }

    fn knock(&mut self, now: Instant, rtt: Duration) -> u64 {
        self.number += 1;
        if self.knocks.is_none() {
            self.paid = self.paid.max(now.checked_sub(BURST * EACH).unwrap_or(now)) + EACH;
        }
        let since = now.checked_sub(quiet(rtt)).unwrap_or(now).max(self.heard);
        self.outstanding(now, since).last = now;
        self.number
    }

    fn outstanding(&mut self, now: Instant, since: Instant) -> &mut Knocks {
        let from = self.number;
        self.knocks.get_or_insert(Knocks {
            since,
            first: now,
            last: now,
            from,
        })
    }

    /// When the next knock is due.
    fn due(&self, now: Instant, seen: Seen) -> Instant {
        if let Some(knocks) = self.knocks {
            knocks.last + seen.rtt.max(SOON)
        } else if seen.open {
            (self.heard + quiet(seen.rtt)).max(self.paid)
        } else {
            self.heard + if self.is_fresh(now) { EACH } else { AT_REST }
        }
    }

    /// Whether it was used of late.
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < FRESH
    }
}

impl Told {
    fn max(self, other: Self) -> Self {
        if self == Self::Silence { self } else { other }
    }
}

/// How long nothing may come while exchanges are open.
fn quiet(rtt: Duration) -> Duration {
    (2 * rtt).max(SOON)
}

/// Nothing is quiet before this.
const SOON: Duration = Duration::from_millis(100);
/// Nothing looks more often than this.
const LEAST: Duration = Duration::from_millis(10);
/// Between two knocks that are answered while nothing else comes, in the long run.
const EACH: Duration = Duration::from_secs(1);
/// So many may go faster.
const BURST: u32 = 4;
/// Between two knocks of a session that was not used for [`FRESH`]: as often as NATs want it.
const AT_REST: Duration = Duration::from_secs(5);
/// A session that was used this recently is likely to be used again.
const FRESH: Duration = Duration::from_secs(120);
/// Knocks that stay unanswered for this long put the way in doubt.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same after something happened to the way.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);
/// A knock this old is due again.
const OVERDUE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    /// A pulse on a way of which a test says what it does.
    struct Way {
        pulse: Pulse,
        start: Instant,
        now: Duration,
        received: u64,
        open: bool,
        alive: bool,
        /// The relay does not hear us, and says so.
        deaf: bool,
        slept: Duration,
        knocks: Vec<Duration>,
        signs: Vec<(Duration, Sign)>,
    }

    impl Way {
        fn new() -> Self {
            let start = Instant::now();
            Self {
                pulse: Pulse::new(start, SystemTime::UNIX_EPOCH, 0),
                start,
                now: Duration::ZERO,
                received: 0,
                open: true,
                alive: true,
                deaf: false,
                slept: Duration::ZERO,
                knocks: Vec::new(),
                signs: Vec::new(),
            }
        }

        /// Lets time pass; each answer takes a round trip, and data comes as often as `data` says.
        fn pass(&mut self, time: Duration, data: Option<Duration>) {
            let end = self.now + time;
            let mut answer = None;
            let mut next = data.map(|data| self.now + data);
            let mut look = self.now;
            while self.now < end {
                if let Some((at, number)) = answer
                    && at <= self.now
                {
                    answer = None;
                    if self.alive {
                        self.received += 1;
                        let sign = self.pulse.answer(self.start + self.now, number);
                        self.signs.extend(sign.map(|sign| (self.now, sign)));
                    }
                }
                if let (Some(at), Some(data)) = (next, data)
                    && at <= self.now
                {
                    next = Some(at + data);
                    self.received += u64::from(self.alive || self.deaf);
                }
                if self.now >= look {
                    let seen = Seen {
                        received: self.received,
                        rtt: RTT,
                        open: self.open,
                        exchanges: 0,
                    };
                    let wall = SystemTime::UNIX_EPOCH + self.now + self.slept;
                    let verdict = self.pulse.look(self.start + self.now, wall, seen);
                    if let Some(number) = verdict.knock {
                        self.knocks.push(self.now);
                        answer = Some((self.now + RTT, number));
                    }
                    self.signs.extend(verdict.sign.map(|sign| (self.now, sign)));
                    look = self.now + verdict.wait;
                }
                self.now += Duration::from_millis(5);
            }
        }

        fn knocked(&mut self) -> usize {
            std::mem::take(&mut self.knocks).len()
        }
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_flows_is_not_knocked_for() {
        let mut way = Way::new();
        way.pass(s(60), Some(Duration::from_millis(30)));
        assert_eq!((way.knocked(), way.signs.len()), (0, 0));
    }

    #[test]
    fn what_is_open_and_says_nothing_costs_about_one_knock_a_second() {
        let mut way = Way::new();
        way.pass(s(60), None);
        assert!((58..=66).contains(&way.knocked()));
        way.pass(s(60), Some(Duration::from_millis(300)));
        assert!(
            way.knocked() <= 66,
            "data now and then is no reason for more"
        );
        assert_eq!(way.signs.len(), 0);
    }

    #[test]
    fn what_is_not_used_is_kept_alive_and_no_more() {
        let mut way = Way::new();
        way.open = false;
        way.pass(s(60), None);
        assert!((50..=61).contains(&way.knocked()), "it was used of late");
        way.pass(s(60), None);
        way.knocked();
        way.pass(s(100), None);
        assert!((18..=20).contains(&way.knocked()));
    }

    #[test]
    fn silence_is_found_soon_knocked_at_and_told_once() {
        let mut way = Way::new();
        way.pass(s(10), Some(Duration::from_millis(30)));
        way.alive = false;
        way.pass(s(5), Some(Duration::from_millis(30)));
        let first = way.knocks[0] - s(10);
        assert!(first < Duration::from_millis(200), "{first:?}");
        assert!((44..=50).contains(&way.knocked()));
        let [(at, Sign::Silent)] = way.signs[..] else {
            panic!("{:?}", way.signs);
        };
        assert!((s(12)..s(13)).contains(&at), "{at:?}");
        way.alive = true;
        way.pass(s(1), None);
        let [_, (_, Sign::Back { stalled })] = way.signs[..] else {
            panic!("{:?}", way.signs);
        };
        assert!((s(5)..s(6)).contains(&stalled), "{stalled:?}");
    }

    #[test]
    fn a_relay_that_speaks_but_does_not_hear_is_silent() {
        let mut way = Way::new();
        way.pass(s(10), None);
        (way.alive, way.deaf) = (false, true);
        way.pass(s(5), Some(Duration::from_millis(400)));
        assert!(matches!(way.signs[..], [(_, Sign::Silent)]));
    }

    #[test]
    fn a_suspicion_is_looked_into_at_once_and_its_end_is_told() {
        let mut way = Way::new();
        way.pass(s(10), None);
        way.knocked();
        way.pulse.suspect(way.start + way.now);
        way.pass(Duration::from_millis(100), None);
        assert_eq!(way.knocked(), 1);
        let [(_, Sign::Back { stalled })] = way.signs[..] else {
            panic!("{:?}", way.signs);
        };
        assert!(stalled < Duration::from_millis(250), "{stalled:?}");
    }

    #[test]
    fn a_machine_that_slept_looks_at_once() {
        let mut way = Way::new();
        way.open = false;
        way.pass(s(130), None);
        way.knocked();
        way.slept = s(3600);
        way.alive = false;
        way.pass(s(6), None);
        assert!(way.knocked() > 5);
        assert!(matches!(way.signs[..], [(_, Sign::Silent)]));
    }
}
