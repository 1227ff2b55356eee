//! Counting: what came of each request, and when.
//!
//! Percentiles are never averaged: every figure comes from a histogram of all that it is about.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::times::{distribution, histogram, micros, nanos, percentiles};
use crate::failure::Failure;
use crate::result::{Percentiles, Point, Second, Totals};

/// Where all lanes count.
#[derive(Debug)]
pub(crate) struct Meter {
    measure: Instant,
    /// When it ends, in nanoseconds after `measure`: it may be called off.
    end: AtomicU64,
    /// Which moment of a request decides whether it counts.
    by: By,
    record: Mutex<Record>,
}

/// Which moment of a request must lie in the measured time for it to count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    /// When it was due: then what a stall kept waiting counts, however late it was answered.
    Due,
    /// When it was answered.
    End,
}

/// When things happened to one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// When it was meant to start.
    pub(crate) due: Instant,
    /// When it did.
    pub(crate) began: Instant,
    /// When its answer ended.
    pub(crate) ended: Instant,
}

/// Bytes of bodies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Meter {
    pub(crate) fn new(measure: Instant, duration: Duration, by: By) -> Self {
        Self {
            measure,
            end: AtomicU64::new(nanos(duration)),
            by,
            record: Mutex::new(Record::default()),
        }
    }

    /// When measuring ends.
    pub(crate) fn end(&self) -> Instant {
        self.measure + Duration::from_nanos(self.end.load(Ordering::Relaxed))
    }

    /// Ends measuring now, unless it has ended.
    pub(crate) fn stop(&self, now: Instant) {
        let now = nanos(now.saturating_duration_since(self.measure));
        self.end.fetch_min(now, Ordering::Relaxed);
    }

    /// Counts what came of a request, or of one event or message, and how its answer began.
    pub(crate) fn count(&self, times: Times, status: Option<u16>, outcome: &Result<(), Failure>) {
        let moment = match self.by {
            By::Due => times.due,
            By::End => times.ended,
        };
        if moment < self.measure || moment > self.end() {
            return;
        }
        let at = self.at(times.ended);
        let mut record = self.record();
        record.turn(at);
        record.last = record.last.max(times.ended - self.measure);
        if let Some(status) = status {
            *record.statuses.entry(status).or_default() += 1;
        }
        match outcome {
            Ok(()) => record.ok(times),
            Err(failure) => record.failed(failure),
        }
    }

    /// Counts bytes of bodies, also of a request that is still under way.
    pub(crate) fn traffic(&self, now: Instant, traffic: Traffic) {
        let over = self.by == By::End && now > self.end();
        if now < self.measure || over || (traffic.received == 0 && traffic.sent == 0) {
            return;
        }
        let at = self.at(now);
        let mut record = self.record();
        record.turn(at);
        record.second.received += traffic.received;
        record.second.sent += traffic.sent;
        record.totals.received += traffic.received;
        record.totals.sent += traffic.sent;
    }

    /// A look in between.
    pub(crate) fn glance(&self) -> Glance {
        let record = self.record();
        Glance {
            ok: record.totals.ok,
            errors: record.errors.values().sum(),
            received: record.totals.received,
            sent: record.totals.sent,
            p50: micros(record.second_times.value_at_quantile(0.5)),
            p99: micros(record.second_times.value_at_quantile(0.99)),
        }
    }

    /// Everything that was counted.
    pub(crate) fn close(&self) -> Closed {
        let end = self.end();
        let mut record = self.record();
        let measured = end.saturating_duration_since(self.measure);
        record.turn(self.at(end));
        let last = record.close_second();
        let mut timeline = std::mem::take(&mut record.timeline);
        timeline.push(last);
        let seconds = match self.by {
            By::Due => measured.max(record.last),
            By::End => measured,
        };
        Closed {
            totals: Totals {
                seconds: seconds.as_secs_f64(),
                errors: named(&record.errors),
                statuses: named(&record.statuses),
                ..record.totals.clone()
            },
            latency: percentiles(&record.latency),
            service: percentiles(&record.service),
            distribution: distribution(&record.latency),
            timeline,
        }
    }

    /// The measured time that `moment` belongs to. What came late belongs to the last second: others
    /// would be shorter than it, and look slower.
    fn at(&self, moment: Instant) -> Duration {
        let last = self.end() - Duration::from_nanos(1);
        moment.min(last).saturating_duration_since(self.measure)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How it goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Glance {
    /// Requests answered as they should be.
    pub ok: u64,
    /// Those that were not.
    pub errors: u64,
    /// Bytes of bodies received.
    pub received: u64,
    /// Bytes of bodies sent.
    pub sent: u64,
    /// Median latency in the second that is being measured, in microseconds.
    pub p50: u64,
    /// 99 % of its latencies are at most this.
    pub p99: u64,
}

/// Everything that was counted.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) totals: Totals,
    pub(crate) latency: Percentiles,
    pub(crate) service: Percentiles,
    pub(crate) distribution: Vec<Point>,
    pub(crate) timeline: Vec<Second>,
}

#[derive(Debug)]
struct Record {
    totals: Totals,
    errors: BTreeMap<Failure, u64>,
    statuses: BTreeMap<u16, u64>,
    latency: Histogram<u64>,
    service: Histogram<u64>,
    timeline: Vec<Second>,
    second: Second,
    second_times: Histogram<u64>,
    last: Duration,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            totals: Totals::default(),
            errors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            latency: histogram(),
            service: histogram(),
            timeline: Vec::new(),
            second: Second::default(),
            second_times: histogram(),
            last: Duration::ZERO,
        }
    }
}

impl Record {
    fn ok(&mut self, times: Times) {
        let latency = nanos(times.ended - times.due);
        self.latency.saturating_record(latency);
        self.service
            .saturating_record(nanos(times.ended - times.began));
        self.second_times.saturating_record(latency);
        self.second.ok += 1;
        self.totals.ok += 1;
    }

    fn failed(&mut self, failure: &Failure) {
        self.second.errors += 1;
        if let Some(count) = self.errors.get_mut(failure) {
            *count += 1;
        } else {
            // A server could send another code with each answer.
            let failure = match failure {
                Failure::Adit(_) if self.errors.len() >= CLASSES => Failure::Adit("other".into()),
                failure => failure.clone(),
            };
            *self.errors.entry(failure).or_default() += 1;
        }
    }

    /// Begins the second in which `at` lies.
    fn turn(&mut self, at: Duration) {
        while self.timeline.len() < usize::try_from(at.as_secs()).unwrap_or(usize::MAX) {
            let second = self.close_second();
            self.timeline.push(second);
        }
    }

    fn close_second(&mut self) -> Second {
        let times = &mut self.second_times;
        let second = Second {
            at_s: self.timeline.len() as f64,
            p50_us: micros(times.value_at_quantile(0.5)),
            p99_us: micros(times.value_at_quantile(0.99)),
            max_us: micros(times.max()),
            ..self.second
        };
        times.reset();
        self.second = Second::default();
        second
    }
}

fn named<K: ToString>(counts: &BTreeMap<K, u64>) -> BTreeMap<String, u64> {
    counts
        .iter()
        .map(|(name, count)| (name.to_string(), *count))
        .collect()
}

/// How many classes of errors there can be before others are put together.
const CLASSES: usize = 64;
#[cfg(test)]
mod tests {
    use super::*;

    fn meter(by: By) -> (Meter, Instant) {
        let start = Instant::now();
        (Meter::new(start, Duration::from_secs(3), by), start)
    }

    fn times(start: Instant, due: u64, ended: u64) -> Times {
        let at = |millis| start + Duration::from_millis(millis);
        Times {
            due: at(due),
            began: at(due),
            ended: at(ended),
        }
    }

    #[test]
    fn a_closed_loop_counts_what_ended_in_time_and_an_open_one_what_was_due() {
        let late = |start| times(start, 2_900, 3_100);
        let (closed, start) = meter(By::End);
        closed.count(late(start), None, &Ok(()));
        assert_eq!(closed.close().totals.ok, 0);
        let (open, start) = meter(By::Due);
        open.count(late(start), None, &Ok(()));
        let closed = open.close();
        assert_eq!((closed.totals.ok, closed.timeline.len()), (1, 3));
        assert!((closed.totals.seconds - 3.1).abs() < 1e-9);
        assert_eq!(closed.latency.p50_us / 1000, 200);
    }

    #[test]
    fn seconds_without_answers_are_in_the_timeline() {
        let (meter, start) = meter(By::End);
        meter.count(times(start, 0, 100), None, &Ok(()));
        let traffic = Traffic {
            received: 7,
            sent: 1,
        };
        meter.traffic(start + Duration::from_millis(2_500), traffic);
        meter.count(times(start, 0, 2_500), None, &Err(Failure::Timeout));
        let timeline = meter.close().timeline;
        let seen: Vec<_> = timeline
            .iter()
            .map(|s| (s.ok, s.errors, s.received))
            .collect();
        assert_eq!(seen, [(1, 0, 0), (0, 0, 0), (0, 1, 7)]);
        assert_eq!(timeline[0].p50_us / 1000, 100);
    }

    #[test]
    fn a_server_cannot_make_classes_without_end() {
        let (meter, start) = meter(By::End);
        for code in 0..1000 {
            let failure = Failure::Adit(format!("code-{code}").into());
            meter.count(times(start, 0, 1), None, &Err(failure));
        }
        let errors = meter.close().totals.errors;
        assert_eq!(errors.len(), CLASSES + 1);
        assert_eq!(errors["adit:other"], 1000 - CLASSES as u64);
    }

    #[test]
    fn an_early_end_ends_the_timeline() {
        let (meter, start) = meter(By::End);
        meter.count(times(start, 0, 100), None, &Ok(()));
        meter.stop(start + Duration::from_millis(1_500));
        let closed = meter.close();
        assert_eq!(closed.timeline.len(), 2);
        assert!((closed.totals.seconds - 1.5).abs() < 1e-9);
    }
}
