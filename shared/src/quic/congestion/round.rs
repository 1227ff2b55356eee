//! What one round trip showed, and what that says: congestion, or a path that gives no more.

use std::time::Duration;

use super::model::Model;

/// From an acknowledgement until what was sent after it is acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// Bytes that had been delivered when it began. What is sent from then on ends it.
    pub(super) began: u64,
    /// Bytes lost.
    pub(super) lost: u64,
    /// Whether the network marked packets instead of losing them.
    pub(super) is_marked: bool,
    /// The shortest round trip in it.
    pub(super) fastest: Duration,
    /// The highest rate in it, in bytes a second.
    pub(super) rate: f64,
}

impl Round {
    pub(super) fn new(began: u64) -> Self {
        Self {
            began,
            lost: 0,
            is_marked: false,
            fastest: Duration::MAX,
            rate: 0.0,
        }
    }

    /// Whether packets waited all through it.
    pub(super) fn is_queueing(&self, model: &Model) -> bool {
        model.is_queueing(self.fastest, WAITING)
    }
}

/// What a path loses without being full.
///
/// The draft takes 2 % of loss for congestion. A radio link loses more than that whatever we send,
/// and one that is never sent less than it takes needs no mercy. Congestion differs in two ways: a
/// queue stands before the packets that overflow it, and when we send less, it ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noise {
    lost: f64,
    all: f64,
}

impl Noise {
    /// Counts a round in which we probed for nothing and nothing queued: older ones fade.
    pub(super) fn learn(&mut self, lost: u64, delivered: u64) {
        self.lost = self.lost * FADING + lost as f64;
        self.all = self.all * FADING + (lost + delivered) as f64;
    }

    /// Whether `round` of `delivered` bytes shows that the path is full.
    pub(super) fn is_exceeded(
        &self,
        round: &Round,
        delivered: u64,
        model: &Model,
        mtu: u64,
    ) -> bool {
        if round.is_marked {
            return true;
        }
        if round.lost < mtu * FEW {
            return false;
        }
        let usual = if self.all > 0.0 {
            self.lost / self.all
        } else {
            0.0
        };
        let excess = round.lost as f64 / (round.lost + delivered) as f64 - usual;
        let most = if round.is_queueing(model) {
            WITH_QUEUE
        } else {
            WITHOUT_QUEUE
        };
        excess > most
    }
}

/// Rounds in which the path gave no more than before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plateau {
    rate: f64,
    rounds: u32,
}

impl Plateau {
    /// Begins at `rate` bytes a second.
    pub(super) fn at(rate: f64) -> Self {
        Self { rate, rounds: 0 }
    }

    /// After another round: how many there are since the rate grew to `times` what it was.
    pub(super) fn rounds(&mut self, rate: f64, times: f64) -> u32 {
        if rate >= self.rate * times {
            *self = Self::at(rate);
        } else {
            self.rounds += 1;
        }
        self.rounds
    }
}

/// Above this many shortest round trips, a round trip means that packets wait.
const WAITING: f64 = 1.1;

/// So few lost packets mean nothing.
const FEW: u64 = 8;

/// The share lost beyond the usual that means congestion: with packets that wait as the draft says
/// (section 2.7). Without, the queue must be so small that it hardly shows in the round trip.
const WITH_QUEUE: f64 = 0.02;
const WITHOUT_QUEUE: f64 = 0.1;

const FADING: f64 = 0.875;
