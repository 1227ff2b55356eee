//! How long a visitor is waited for.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A clock for one connection. It is set for each request, but the timer behind it only when that would fire
/// too late: a busy connection costs the timers nothing.
#[derive(Debug)]
pub(super) struct Patience {
    timer: Pin<Box<Sleep>>,
    since: Instant,
    limit: Duration,
}

/// What time it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Time {
    /// Nothing came for a while: what is kept only to be fast may go.
    Idle,
    /// It was waited long enough.
    Over,
}

impl Patience {
    /// Waits this long from now on.
    pub(super) fn new(limit: Duration) -> Self {
        let since = Instant::now();
        Self {
            timer: Box::pin(sleep_until(since + limit.min(TICK))),
            since,
            limit,
        }
    }

    /// Waits this long from now on.
    pub(super) fn begin(&mut self, limit: Duration) {
        (self.since, self.limit) = (Instant::now(), limit);
        let end = self.since + limit;
        if self.timer.deadline() > end {
            self.timer.as_mut().reset(end);
        }
    }

    /// Ready when it is time for something.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Time> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let (now, end) = (Instant::now(), self.since + self.limit);
            if now >= end {
                return Poll::Ready(Time::Over);
            }
            let is_idle = now.duration_since(self.since) >= TICK;
            let next = if is_idle { end } else { end.min(now + TICK) };
            self.timer.as_mut().reset(next);
            if is_idle {
                // It must be known when the time is over.
                let _ = self.timer.as_mut().poll(cx);
                return Poll::Ready(Time::Idle);
            }
        }
        Poll::Pending
    }
}

/// After this long a connection is idle.
const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn next(patience: &mut Patience) -> (Time, Duration) {
        let since = Instant::now();
        let time = poll_fn(|cx| patience.poll(cx)).await;
        (time, since.elapsed().max(TICK / 1000))
    }

    fn is_about(took: Duration, expected: Duration) -> bool {
        took.abs_diff(expected) <= Duration::from_millis(5)
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_after_a_moment_and_over_in_the_end() {
        let mut patience = Patience::new(Duration::from_secs(10));
        let (time, took) = next(&mut patience).await;
        assert!(time == Time::Idle && is_about(took, TICK), "{took:?}");
        let (time, took) = next(&mut patience).await;
        assert!(time == Time::Over && is_about(took, 9 * TICK), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_begins_anew_has_all_the_time_and_no_more() {
        let mut patience = Patience::new(Duration::from_secs(100));
        assert_eq!(next(&mut patience).await.0, Time::Idle);
        // The timer would fire in 99 seconds.
        patience.begin(Duration::from_millis(100));
        let (time, took) = next(&mut patience).await;
        assert!(time == Time::Over && is_about(took, TICK / 10), "{took:?}");

        let mut patience = Patience::new(Duration::from_secs(2));
        for _ in 0..10 {
            tokio::time::advance(Duration::from_millis(900)).await;
            patience.begin(Duration::from_secs(2));
        }
        let (time, took) = next(&mut patience).await;
        assert!(time == Time::Idle && took >= TICK, "{took:?}");
    }
}
