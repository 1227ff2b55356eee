//! How slow a peer may be when we wait for it: a least rate, and for how long it may be below.
//!
//! Only time counts in which we wait. A peer has so much patience to begin with; waiting uses it up, and
//! every byte that comes or goes gives some of it back. So whoever is as fast as the rate on the average is
//! never late, and whoever stops altogether is late after all of the patience.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// What is expected of a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Least {
    /// Bytes a second, on the average.
    pub rate: u32,
    /// How long it may give nothing at all; none is waited for without end.
    pub patience: Option<Duration>,
}

impl Least {
    /// Nothing is expected.
    pub const NOTHING: Self = Self {
        rate: 0,
        patience: None,
    };
}

/// The pace of one peer. Costs a timer only once we wait for it.
#[derive(Debug)]
pub struct Pace {
    least: Least,
    left: Duration,
    /// Since when we wait.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// Of a peer of which this is expected.
    pub const fn new(least: Least) -> Self {
        let left = match least.patience {
            Some(patience) => patience,
            None => Duration::ZERO,
        };
        Self {
            least,
            left,
            since: None,
            timer: None,
        }
    }

    /// To be called when the peer lets us wait: ready when it is too late.
    pub fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.least.patience.is_none() {
            return Poll::Pending;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let end = since + self.left;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() > end {
            timer.as_mut().reset(end);
        }
        // One that fires too early is set anew only then: most waits are over long before.
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }

    /// The peer gave or took so many bytes.
    pub fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        self.credit(bytes);
    }

    /// We wait for something else than the peer.
    pub fn rest(&mut self) {
        self.moved(0);
    }

    /// What was is forgotten: it has all the patience again.
    pub fn forget(&mut self) {
        if self.since.take().is_some() {
            self.left = self.least.patience.unwrap_or_default();
        }
    }

    fn credit(&mut self, bytes: usize) {
        let Some(patience) = self.least.patience.filter(|most| self.left < *most) else {
            return;
        };
        let rate = f64::from(self.least.rate.max(1));
        let earned = Duration::try_from_secs_f64(bytes as f64 / rate).unwrap_or(patience);
        self.left = patience.min(self.left.saturating_add(earned));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const LEAST: Least = Least {
        rate: 100,
        patience: Some(Duration::from_secs(10)),
    };

    /// How long it is waited for `pace`, within a minute.
    async fn late(pace: &mut Pace) -> Option<Duration> {
        let since = Instant::now();
        let late = timeout(Duration::from_secs(60), poll_fn(|cx| pace.poll_late(cx)));
        late.await.ok().map(|()| since.elapsed())
    }

    fn is_about(took: Option<Duration>, seconds: u64) -> bool {
        took.is_some_and(|took| took.abs_diff(Duration::from_secs(seconds)).as_millis() < 10)
    }

    /// Lets `pace` wait for so long.
    async fn wait(pace: &mut Pace, span: Duration) -> bool {
        let late = timeout(span, poll_fn(|cx| pace.poll_late(cx)));
        late.await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stops_is_late_when_the_patience_is_over() {
        let mut pace = Pace::new(LEAST);
        let took = late(&mut pace).await;
        assert!(is_about(took, 10), "{took:?}");
        let mut pace = Pace::new(Least::NOTHING);
        assert_eq!(late(&mut pace).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_keeps_the_rate_is_never_late_and_a_trickle_is() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(LEAST);
        for _ in 0..100 {
            assert!(!wait(&mut pace, second).await);
            pace.moved(100);
        }
        let mut waits = 0;
        while !wait(&mut pace, second).await {
            pace.moved(10);
            waits += 1;
        }
        assert!((10..13).contains(&waits), "{waits}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_earned_is_no_more_than_the_patience() {
        let mut pace = Pace::new(LEAST);
        pace.moved(1 << 30);
        let took = late(&mut pace).await;
        assert!(is_about(took, 10), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_for_it_does_not_count() {
        let mut pace = Pace::new(LEAST);
        assert!(!wait(&mut pace, Duration::from_secs(4)).await);
        pace.rest();
        advance(Duration::from_secs(100)).await;
        let took = late(&mut pace).await;
        assert!(is_about(took, 6), "{took:?}");
    }
}
