//! What one lane counts of bodies as they pass.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::events::Events;
use super::record::{Meter, Times, Traffic};

/// Bytes that passed and have not been counted yet; and the events in them, if these count.
///
/// One lane uses it, but may send and receive at once.
#[derive(Debug)]
pub(crate) struct Tally {
    meter: Arc<Meter>,
    received: AtomicU64,
    sent: AtomicU64,
    events: Option<Mutex<Feed>>,
}

/// A stream of events.
#[derive(Debug)]
struct Feed {
    events: Events,
    /// When it began, or its last event came.
    last: Instant,
}

impl Tally {
    pub(crate) fn new(meter: Arc<Meter>, counts_events: bool) -> Self {
        let feed = Feed {
            events: Events::default(),
            last: Instant::now(),
        };
        Self {
            meter,
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            events: counts_events.then(|| Mutex::new(feed)),
        }
    }

    /// Takes bytes of an answer's body.
    pub(crate) fn received(&self, bytes: &[u8]) {
        let bytes_before = self
            .received
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let Some(feed) = &self.events {
            self.events(feed, bytes);
        }
        if bytes_before + bytes.len() as u64 >= MANY {
            self.flush(Instant::now());
        }
    }

    /// Takes that bytes of a request's body were sent.
    pub(crate) fn sent(&self, bytes: u64) {
        if self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes >= MANY {
            self.flush(Instant::now());
        }
    }

    /// Counts what has passed until now.
    pub(crate) fn flush(&self, now: Instant) {
        let traffic = Traffic {
            received: self.received.swap(0, Ordering::Relaxed),
            sent: self.sent.swap(0, Ordering::Relaxed),
        };
        self.meter.traffic(now, traffic);
    }

    /// A request begins.
    pub(crate) fn begin(&self, now: Instant) {
        if let Some(feed) = &self.events {
            let mut feed = feed.lock().unwrap_or_else(PoisonError::into_inner);
            feed.events = Events::default();
            feed.last = now;
        }
    }

    /// Since when the server owes something: since the last event, or since the request began.
    pub(crate) fn since(&self, began: Instant) -> Instant {
        self.events.as_ref().map_or(began, |feed| {
            feed.lock().unwrap_or_else(PoisonError::into_inner).last
        })
    }

    fn events(&self, feed: &Mutex<Feed>, bytes: &[u8]) {
        let mut feed = feed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = feed.events.read(bytes);
        if count == 0 {
            return;
        }
        let now = Instant::now();
        for _ in 0..count {
            let times = Times {
                due: feed.last,
                began: feed.last,
                ended: now,
            };
            self.meter.count(times, None, &Ok(()));
            feed.last = now;
        }
    }
}

/// From here on bytes are counted before their request has ended: a large body lasts for seconds,
/// and each second shall show its own.
const MANY: u64 = 64 << 10;
