//! When to try again to reach the relay, and what makes it worth to try sooner.
//!
//! A relay that is being restarted is back within seconds, so at first tries follow each other closely. Later
//! they are rare, but not so rare that a request which is held for us (ten seconds, by default) is given up
//! between two of them: it cannot be known from here when a network far away works again. What can be known
//! begins the close tries anew: news of this machine's network, its waking up, and the end of a session that
//! the relay had begun to drain.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_shared::backoff::Backoff;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::clocks::Clocks;
use super::news::News;

/// The waits between tries to reach one relay.
#[derive(Debug)]
pub(super) struct Rest {
    soon: Backoff,
    later: Backoff,
    /// Between attempts that go on beside each other.
    brisk_steps: Backoff,
    steps: Backoff,
    /// Since when there is reason to expect the relay any moment.
    away: Instant,
    news: News,
    clocks: Clocks,
    /// A session that was drained has ended.
    left: Arc<Notify>,
}

impl Rest {
    /// Nothing was tried so far. `left` is notified when a session that was drained has ended.
    pub(super) fn new(left: Arc<Notify>) -> Self {
        let steps = |step| {
            let mut steps = Backoff::new(step, step);
            // Its first is none.
            steps.next_delay();
            steps
        };
        Self {
            soon: Backoff::new(FIRST_RETRY, BRISK_RETRY),
            later: Backoff::new(BRISK_RETRY, LAST_RETRY),
            brisk_steps: steps(BRISK_STEP),
            steps: steps(STEP),
            away: Instant::now(),
            news: News::subscribe(),
            clocks: Clocks::new(Instant::now().into_std(), SystemTime::now()),
            left,
        }
    }

    /// A session that had worked was lost: tries begin anew, the first at once.
    pub(super) fn begin_anew(&mut self) {
        self.soon.reset();
        self.hurry();
    }

    /// How long to wait before the next try.
    pub(super) fn delay(&mut self) -> Duration {
        if self.is_brisk() {
            self.soon.next_delay()
        } else {
            self.later.next_delay()
        }
    }

    /// Waits so long, or until there is reason not to. Safe to drop.
    pub(super) async fn wait(&mut self, delay: Duration) {
        if timeout(delay, self.stirred()).await.is_ok() {
            debug!("the network or the relay may be back; trying at once");
            self.hurry();
        }
    }

    /// Waits until one more attempt is to begin beside those that got no answer. Safe to drop.
    pub(super) async fn step(&mut self) {
        if !self.is_brisk() {
            let step = self.steps.next_delay();
            if timeout(step, self.stirred()).await.is_err() {
                return;
            }
            self.hurry();
        }
        sleep(self.brisk_steps.next_delay()).await;
    }

    /// Waits for a reason to expect the relay. Safe to drop.
    async fn stirred(&mut self) {
        loop {
            let told = async {
                tokio::select! {
                    () = self.news.any() => {}
                    () = self.left.notified() => {}
                }
            };
            if timeout(LOOK, told).await.is_ok() {
                // Changes come in bursts, and the last of them makes it work.
                sleep(CALM).await;
                return;
            }
            let now = Instant::now().into_std();
            if self.clocks.has_slept(now, SystemTime::now()) {
                return;
            }
        }
    }

    fn hurry(&mut self) {
        self.away = Instant::now();
        self.later.reset();
        // Without delay is only the first after a session.
        self.later.next_delay();
    }

    fn is_brisk(&self) -> bool {
        self.away.elapsed() < BRISK
    }
}

/// For how long the relay is expected back any moment: a restart takes less. Two thousand agents try some
/// five thousand times a second then, which costs a relay a fraction of a processor.
const BRISK: Duration = Duration::from_secs(10);
/// Waits between tries, the first of which is at once: in that time, and later.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const BRISK_RETRY: Duration = Duration::from_millis(500);
/// Half of the time for which relays hold requests by default.
pub(super) const LAST_RETRY: Duration = Duration::from_secs(5);
/// The longest time between two attempts beside each other, in that time and later; it is drawn between half
/// of this and all of it.
const BRISK_STEP: Duration = Duration::from_millis(400);
const STEP: Duration = Duration::from_secs(2);
/// How often clocks are compared.
const LOOK: Duration = Duration::from_secs(1);
/// How long a burst of news is given.
pub(super) const CALM: Duration = Duration::from_millis(75);

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has waited for so long that tries are rare, and what tells it that a session has ended.
    fn long_away() -> (Rest, Arc<Notify>) {
        let left = Arc::new(Notify::new());
        let mut rest = Rest::new(left.clone());
        rest.news = News::None;
        rest.away = Instant::now() - 2 * BRISK;
        for _ in 0..10 {
            rest.delay();
        }
        (rest, left)
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_was_long_away_tries_more_often_than_requests_are_given_up() {
        let (mut rest, _left) = long_away();
        for _ in 0..20 {
            let delay = rest.delay();
            assert!((LAST_RETRY / 2..=LAST_RETRY).contains(&delay), "{delay:?}");
            let began = Instant::now();
            rest.wait(delay).await;
            assert!(began.elapsed() >= delay);
            rest.step().await;
            assert!(began.elapsed() <= delay + STEP + Duration::from_millis(2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_session_that_was_drained_ends_the_wait_and_begins_close_tries() {
        let (mut rest, left) = long_away();
        let began = Instant::now();
        left.notify_one();
        rest.wait(LAST_RETRY).await;
        assert!(began.elapsed() < 2 * CALM, "{:?}", began.elapsed());
        for _ in 0..5 {
            assert!(rest.delay() <= BRISK_RETRY);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn news_of_the_network_end_the_wait() {
        let (mut rest, _left) = long_away();
        let (news, tell) = News::told();
        rest.news = news;
        let began = Instant::now();
        tell.notify_one();
        rest.wait(LAST_RETRY).await;
        assert!(began.elapsed() < 2 * CALM, "{:?}", began.elapsed());
        assert!(rest.is_brisk());
    }

    #[tokio::test(start_paused = true)]
    async fn news_in_the_middle_of_attempts_begin_another_soon() {
        let (mut rest, left) = long_away();
        left.notify_one();
        let began = Instant::now();
        rest.step().await;
        assert!(began.elapsed() <= CALM + BRISK_STEP + Duration::from_millis(4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_slept_does_not_wait_to_the_end() {
        let (mut rest, _left) = long_away();
        let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
        rest.clocks = Clocks::new(Instant::now().into_std(), an_hour_ago);
        let began = Instant::now();
        rest.wait(10 * LAST_RETRY).await;
        assert!(began.elapsed() <= LOOK + Duration::from_millis(2));
        assert!(rest.is_brisk());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_session_that_worked_the_first_try_is_at_once() {
        let (mut rest, _left) = long_away();
        rest.begin_anew();
        assert_eq!(rest.delay(), Duration::ZERO);
        let next = rest.delay();
        assert!((FIRST_RETRY / 2..=FIRST_RETRY).contains(&next), "{next:?}");
    }
}
