//! When each request starts.
//!
//! In an open loop, request `i` is due `i / rate` after the start, whatever the server does. A lane
//! that is free takes the next one, sleeps until it is due, and sends it. While no lane is free, none
//! is taken, so what is due waits without taking memory; it is sent late, and the wait is part of its
//! latency. All earlier requests being taken by others, a lane that sleeps keeps nobody waiting.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::alarm::Alarm;

/// Says to each lane when its next request starts.
#[derive(Debug)]
pub(crate) struct Pace {
    start: Instant,
    /// None for a closed loop.
    rate: Option<f64>,
    /// The most requests that are started.
    most: u64,
    /// How many were.
    taken: AtomicU64,
    /// No request starts from then on, in nanoseconds after the start.
    end: AtomicU64,
    /// Lanes that sleep, in the order of what they have taken.
    asleep: Mutex<VecDeque<(Instant, Waker)>>,
    changed: Notify,
}

impl Pace {
    pub(crate) fn new(start: Instant, lasting: Duration, rate: Option<f64>, most: u64) -> Self {
        Self {
            start,
            rate,
            most,
            taken: AtomicU64::new(0),
            end: AtomicU64::new(u64::try_from(lasting.as_nanos()).unwrap_or(u64::MAX)),
            asleep: Mutex::new(VecDeque::new()),
            changed: Notify::new(),
        }
    }

    /// When the next request of a lane is due, once it is: `now` in a closed loop. None when there
    /// are no more. Dropping it in an open loop loses one request.
    pub(crate) async fn next(&self, now: Instant) -> Option<Instant> {
        // What is due and was not started until now never will be.
        if now >= self.end() {
            return None;
        }
        let index = self.taken.fetch_add(1, Ordering::Relaxed);
        if index >= self.most {
            return None;
        }
        let due = match self.rate {
            Some(rate) => self.start + Duration::from_secs_f64(index as f64 / rate),
            None => now,
        };
        if due >= self.end() {
            return None;
        }
        if due <= now {
            return Some(due);
        }
        self.sleep(due).await;
        (due < self.end()).then_some(due)
    }

    /// Wakes lanes when what they took is due. Never ends; safe to drop.
    pub(crate) async fn keep(&self) {
        let mut alarm = Alarm::new();
        loop {
            let Some(due) = self.wake(Instant::now()) else {
                self.changed.notified().await;
                continue;
            };
            tokio::select! {
                () = alarm.at(due) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// No request starts from now on.
    pub(crate) fn stop(&self, now: Instant) {
        let now = now.saturating_duration_since(self.start).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.end.fetch_min(now, Ordering::Relaxed);
        for (_, waker) in self.asleep().drain(..) {
            waker.wake();
        }
    }

    /// How many requests were due between `measure` and the end and were not started.
    pub(crate) fn unsent(&self, measure: Instant) -> u64 {
        let Some(rate) = self.rate else { return 0 };
        let until = |moment: Instant| {
            let time = moment.saturating_duration_since(self.start);
            ((time.as_secs_f64() * rate).ceil() as u64).min(self.most)
        };
        let started = self.taken.load(Ordering::Relaxed).max(until(measure));
        until(self.end()).saturating_sub(started)
    }

    fn end(&self) -> Instant {
        self.start + Duration::from_nanos(self.end.load(Ordering::Relaxed))
    }

    async fn sleep(&self, due: Instant) {
        let mut sleeps = false;
        poll_fn(|cx| {
            let now = Instant::now();
            if now >= due || now >= self.end() {
                return Poll::Ready(());
            }
            if !sleeps {
                sleeps = true;
                let mut asleep = self.asleep();
                asleep.push_back((due, cx.waker().clone()));
                if asleep.len() == 1 {
                    self.changed.notify_one();
                }
            }
            Poll::Pending
        })
        .await;
    }

    /// Wakes those whose request is due, and says when the next one is.
    fn wake(&self, now: Instant) -> Option<Instant> {
        let mut asleep = self.asleep();
        while let Some((due, _)) = asleep.front() {
            if *due > now {
                return Some(*due);
            }
            if let Some((_, waker)) = asleep.pop_front() {
                waker.wake();
            }
        }
        None
    }

    fn asleep(&self) -> MutexGuard<'_, VecDeque<(Instant, Waker)>> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn requests_are_due_whether_or_not_lanes_are_free() {
        let start = Instant::now() - SECOND;
        let pace = Pace::new(start, SECOND, Some(10.0), u64::MAX);
        // All are due already, so nobody sleeps.
        let now = start + SECOND - SECOND / 100;
        for index in 0..4 {
            assert_eq!(pace.next(now).await, Some(start + index * SECOND / 10));
        }
        assert_eq!(pace.next(start + SECOND).await, None);
        assert_eq!(pace.unsent(start), 6);
        assert_eq!(pace.unsent(start + SECOND / 2), 5);
        for _ in 4..10 {
            assert!(pace.next(now).await.is_some());
        }
        assert_eq!(pace.next(now).await, None);
        assert_eq!(pace.unsent(start), 0);
    }

    #[tokio::test]
    async fn a_sleeping_lane_is_woken_when_its_request_is_due() {
        let start = Instant::now();
        let pace = Pace::new(start, SECOND, Some(100.0), u64::MAX);
        let lane = async {
            assert_eq!(pace.next(start).await, Some(start));
            let due = pace.next(start).await.unwrap();
            (due, Instant::now())
        };
        let (due, woken) = tokio::select! {
            woken = lane => woken,
            () = pace.keep() => unreachable!(),
        };
        assert_eq!(due, start + SECOND / 100);
        assert!(woken >= due);
    }

    #[tokio::test]
    async fn the_end_wakes_all() {
        let start = Instant::now();
        let pace = Pace::new(start, 100 * SECOND, Some(0.02), 2);
        assert!(pace.next(start).await.is_some());
        let lane = async { assert_eq!(pace.next(start).await, None) };
        let stop = async { pace.stop(Instant::now()) };
        tokio::join!(lane, stop);
    }
}
