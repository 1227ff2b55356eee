//! What one lane counts of bodies as they pass.

use std::sync::Arc;
use std::time::Instant;

use super::record::{Meter, Traffic};

/// Bytes that passed and have not been counted yet.
#[derive(Debug)]
pub(crate) struct Tally {
    meter: Arc<Meter>,
    traffic: Traffic,
}

impl Tally {
    pub(crate) fn new(meter: Arc<Meter>) -> Self {
        Self {
            meter,
            traffic: Traffic::default(),
        }
    }

    /// Takes bytes of an answer's body.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.traffic.received += bytes.len() as u64;
        if self.traffic.received >= MANY {
            self.flush(Instant::now());
        }
    }

    /// Takes that bytes of a request's body were sent.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.traffic.sent += bytes;
        if self.traffic.sent >= MANY {
            self.flush(Instant::now());
        }
    }

    /// Counts what has passed until now.
    pub(crate) fn flush(&mut self, now: Instant) {
        self.meter.traffic(now, std::mem::take(&mut self.traffic));
    }
}

/// From here on bytes are counted before their request has ended: a large body lasts for seconds,
/// and each second shall show its own.
const MANY: u64 = 64 << 10;
