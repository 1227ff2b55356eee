//! How fast what is sent arrives, from what the QUIC library tells.
//!
//! Follows the delivery rate estimation of draft-ietf-ccwg-bbr (section 4.1): a sample is what was
//! delivered between the acknowledgement that was newest when a packet left and the
//! acknowledgement of that packet. The library keeps nothing for us beside a packet, but names the
//! time it was sent; so the state of the connection is marked a few times a round trip, and found
//! again by time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What was sent and delivered on one path.
#[derive(Clone, Debug)]
pub(super) struct Deliveries {
    /// Bytes that were acknowledged.
    delivered: u64,
    delivered_at: Instant,
    /// When the packet left that was acknowledged last.
    sent_at: Instant,
    /// Bytes that are under way, as far as is known between two acknowledgements.
    in_flight: u64,
    /// What is sent before this many bytes are delivered shows how much there was to send, not how
    /// much the path takes.
    idle_until: u64,
    marks: VecDeque<Mark>,
    /// Of the acknowledgement that is being read: when its newest packet left, and its bytes.
    newest: Option<Instant>,
    acked: u64,
}

/// The state of a connection when a packet left.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    delivered: u64,
    delivered_at: Instant,
    sent_at: Instant,
    is_idle: bool,
}

/// What one acknowledgement tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Bytes that it acknowledged.
    pub(super) acked: u64,
    /// Bytes a second; none when it was not over a full round trip.
    pub(super) rate: Option<f64>,
    /// Whether there was too little to send for `rate` to be what the path takes.
    pub(super) is_idle: bool,
    /// From the newest acknowledged packet to its acknowledgement.
    pub(super) rtt: Duration,
    /// How much had been delivered when that packet left.
    pub(super) before: u64,
    /// How much is delivered now.
    pub(super) delivered: u64,
}

impl Deliveries {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            delivered: 0,
            delivered_at: now,
            sent_at: now,
            in_flight: 0,
            idle_until: 0,
            marks: VecDeque::new(),
            newest: None,
            acked: 0,
        }
    }

    /// Packets left. `apart` is how much time may lie between two marks.
    pub(super) fn sent(&mut self, now: Instant, bytes: u64, apart: Duration) {
        if self.in_flight == 0 {
            self.delivered_at = now;
            self.sent_at = now;
        }
        self.in_flight += bytes;
        let last = self.marks.back();
        if last.is_some_and(|mark| now.saturating_duration_since(mark.at) < apart) {
            return;
        }
        if self.marks.len() == MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark {
            at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            sent_at: self.sent_at,
            is_idle: self.delivered <= self.idle_until,
        });
    }

    /// One packet of an acknowledgement.
    pub(super) fn acked(&mut self, sent: Instant, bytes: u64) {
        self.acked += bytes;
        self.newest = self.newest.max(Some(sent));
    }

    /// Packets are lost.
    pub(super) fn lost(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// The acknowledgement is read. `in_flight` bytes are still under way; `is_idle` when there was
    /// nothing more to send.
    pub(super) fn end(
        &mut self,
        now: Instant,
        in_flight: u64,
        is_idle: bool,
        shortest: Duration,
    ) -> Option<Sample> {
        self.in_flight = in_flight;
        let newest = self.newest.take()?;
        let acked = std::mem::take(&mut self.acked);
        self.delivered += acked;
        self.delivered_at = now;
        if is_idle {
            self.idle_until = self.delivered + in_flight;
        }
        // What was acknowledged out of order says nothing new.
        let at = self.marks.partition_point(|mark| mark.at <= newest);
        let mark = *self.marks.get(at.checked_sub(1)?)?;
        self.marks.drain(..at - 1);
        self.sent_at = self.sent_at.max(newest);
        let sending = newest.saturating_duration_since(mark.sent_at);
        let arriving = now.saturating_duration_since(mark.delivered_at);
        let interval = sending.max(arriving);
        let delivered = self.delivered - mark.delivered;
        let is_full = !interval.is_zero() && interval >= shortest;
        Some(Sample {
            acked,
            rate: is_full.then(|| delivered as f64 / interval.as_secs_f64()),
            is_idle: mark.is_idle,
            rtt: now.saturating_duration_since(newest),
            before: mark.delivered,
            delivered: self.delivered,
        })
    }

    /// Bytes that were acknowledged.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }
}

/// More than are kept for eight round trips.
const MARKS: usize = 256;
