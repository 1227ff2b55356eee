//! Congestion control that asks how fast data arrives, not whether some is lost.
//!
//! BBR keeps a model of the path (`model`) from its own measurements (`delivery`), sends what the
//! model says the path takes, and now and then a little more, to see whether it takes more. States
//! and constants follow draft-ietf-ccwg-bbr (BBRv3); three things differ.
//!
//! - The QUIC library lets us set a window and no rate: it paces at 1.25 windows a round trip. So
//!   where the draft paces, the window here is what the wanted rate has under way in one round trip.
//! - Loss alone is not congestion, however much of it there is (`round`).
//! - In deep queues that somebody else fills, probing goes further, or nothing would be left to us.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics};
use quinn_proto::RttEstimator;

use super::bursts::Bursts;
use super::delivery::{Deliveries, Sample};
use super::model::{GRAIN, Model};
use super::round::{Noise, Plateau, Round};

/// Makes a controller for each path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factory {
    /// Bytes in flight to begin with.
    pub(super) start: u64,
}

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Bbr::new(now, self.start, current_mtu))
    }
}

/// The congestion control of one path.
#[derive(Clone, Debug)]
struct Bbr {
    start: u64,
    mtu: u64,
    window: u64,
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// Whether the path was full at least once.
    is_full: bool,
    /// Whether somebody else keeps a deep queue filled.
    is_crowded: bool,
    /// How long the path is used before it is probed again.
    wait: Duration,
    deliveries: Deliveries,
    bursts: Bursts,
    model: Model,
    smoothed: Duration,
    round: Round,
    plateau: Plateau,
    noise: Noise,
}

/// What is being done (section 4.3 of the draft).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Twice as much each round trip, until the path gives no more.
    Startup,
    /// Less than arrives, until the queue that the start made is gone.
    Drain,
    /// The same after a probe.
    Down,
    /// As much as arrives.
    Cruise,
    /// For one round trip, without regard to earlier congestion.
    Refill,
    /// More than arrived so far.
    Up,
    /// Half as much, so that the shortest round trip shows; until then, once so little is in flight.
    Rest { until: Option<Instant> },
}

impl Bbr {
    fn new(now: Instant, start: u64, mtu: u16) -> Self {
        let mtu = u64::from(mtu);
        let start = start.max(mtu * LEAST);
        Self {
            start,
            mtu,
            window: start,
            phase: Phase::Startup,
            since: now,
            is_full: false,
            is_crowded: false,
            wait: WAIT,
            deliveries: Deliveries::new(now),
            bursts: Bursts::new(now),
            model: Model::new(now),
            smoothed: Duration::ZERO,
            round: Round::new(0),
            plateau: Plateau::default(),
            noise: Noise::default(),
        }
    }

    fn acknowledged(&mut self, now: Instant, sample: Sample, in_flight: u64) {
        let is_stale = self.model.took(now, sample.rtt);
        self.round.fastest = self.round.fastest.min(sample.rtt);
        if let Some(rate) = sample.rate {
            self.round.rate = self.round.rate.max(rate);
            self.model.arrived(rate, sample.is_idle);
        }
        self.bursts.took(now, sample.acked, self.model.most());
        if sample.before >= self.round.began {
            self.bursts.end_round();
            self.end_round(now, sample);
        }
        self.go_on(now, in_flight as f64);
        let is_resting = matches!(self.phase, Phase::Rest { .. });
        if is_stale && self.is_full && !is_resting {
            self.enter(Phase::Rest { until: None }, now);
        }
        self.resize(sample.acked);
    }

    /// A round trip is over: does what it showed end the phase?
    fn end_round(&mut self, now: Instant, sample: Sample) {
        let round = self.round;
        self.round = Round::new(sample.delivered);
        let delivered = sample.delivered - round.began;
        let is_queueing = round.is_queueing(&self.model);
        let is_congested = self
            .noise
            .is_exceeded(&round, delivered, &self.model, self.mtu);
        let rate = self.model.most();
        match self.phase {
            Phase::Startup => {
                // Where little is sent, little can arrive; but not late.
                let counts = !sample.is_idle || is_queueing;
                let is_flat = counts && self.plateau.rounds(rate, GROWTH) >= FLAT;
                if is_flat || is_congested {
                    self.is_full = true;
                    self.enter(Phase::Drain, now);
                }
            }
            Phase::Up => {
                let flat = self.plateau.rounds(rate, UP_GROWTH);
                // What is sent more shows in the second round.
                let is_waiting = flat >= 2 && self.model.is_queueing(round.fastest, UP_WAITING);
                if flat >= FLAT || is_waiting || is_congested {
                    self.enter(Phase::Down, now);
                }
            }
            Phase::Refill => {
                self.is_crowded = self.model.is_queueing(round.fastest, CROWDED);
                self.enter(Phase::Up, now);
            }
            Phase::Drain | Phase::Down | Phase::Cruise | Phase::Rest { .. } if is_congested => {
                self.model.congested(round.rate);
            }
            Phase::Down | Phase::Cruise
                if !sample.is_idle
                    && !self.is_crowded
                    && round.rate < rate * FALLEN
                    && self.model.is_queueing(round.fastest, CROWDED) =>
            {
                // What was a pipe's worth is a queue: the path has become narrow.
                self.model.fell(round.rate);
            }
            Phase::Drain | Phase::Rest { .. } => {}
            Phase::Down | Phase::Cruise => {
                if !is_queueing {
                    self.noise.learn(round.lost, delivered);
                }
            }
        }
    }

    /// What ends a phase between round trips.
    fn go_on(&mut self, now: Instant, in_flight: f64) {
        let lasted = now - self.since;
        match self.phase {
            Phase::Drain if in_flight <= self.pipe() => self.enter(Phase::Cruise, now),
            // Nearly nothing waits then, which shows how short a round trip can be. Were it nothing at all, the path
            // would be idle until what makes up for late timers while cruising has come again.
            Phase::Down
                if in_flight <= self.pipe() + self.nearly_nothing()
                    || lasted > self.model.shortest() * 4 =>
            {
                self.enter(Phase::Cruise, now);
            }
            Phase::Cruise if lasted > self.wait => self.enter(Phase::Refill, now),
            Phase::Rest { until: None } if in_flight <= self.target() + self.mtu as f64 => {
                let until = now + REST.max(self.model.shortest());
                self.phase = Phase::Rest { until: Some(until) };
            }
            Phase::Rest { until: Some(until) } if now >= until => self.enter(Phase::Cruise, now),
            Phase::Startup
            | Phase::Drain
            | Phase::Down
            | Phase::Cruise
            | Phase::Refill
            | Phase::Up
            | Phase::Rest { .. } => {}
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
        match phase {
            Phase::Down => {
                self.model.probed();
                // Not at the same time as others; what was delivered is as good as chance.
                let chance = self.deliveries.delivered() % 1024;
                self.wait = WAIT + WAIT.mul_f64(chance as f64 / 2048.0);
            }
            Phase::Refill => self.model.lift(),
            Phase::Up => self.plateau = Plateau::at(self.model.most()),
            Phase::Startup | Phase::Drain | Phase::Cruise | Phase::Rest { .. } => {}
        }
    }

    /// Bytes a second to send at, but for the gain of the phase.
    fn rate(&self) -> f64 {
        match self.phase {
            Phase::Startup | Phase::Drain | Phase::Refill | Phase::Up => self.model.most(),
            Phase::Down | Phase::Cruise | Phase::Rest { .. } => self.model.bounded(),
        }
    }

    /// What is under way when the path is full and nothing waits.
    fn pipe(&self) -> f64 {
        self.rate() * self.model.shortest().as_secs_f64()
    }

    /// What is under way on top, where the path is to stay full: for late timers and for acknowledgements that
    /// come in pairs or in bursts.
    fn room(&self) -> f64 {
        let late = self.rate() * GRAIN.as_secs_f64() + 3.0 * self.mtu as f64;
        self.bursts.most().min(self.pipe()).max(late)
    }

    /// What may wait where a round trip is to be as short as can be: whole packets, which are none on narrow paths.
    fn nearly_nothing(&self) -> f64 {
        let bytes = self.room().min(self.pipe() / 32.0);
        bytes - bytes % self.mtu as f64
    }

    /// What may be in flight in this phase.
    fn target(&self) -> f64 {
        let (pipe, room) = (self.pipe(), self.room());
        match self.phase {
            Phase::Startup => STARTUP_GAIN * pipe + room,
            Phase::Drain => DRAIN_GAIN * pipe,
            Phase::Down => DOWN_GAIN * pipe,
            Phase::Cruise | Phase::Refill => pipe + room,
            Phase::Up => {
                let most = if self.is_crowded {
                    CROWDED_GAIN
                } else {
                    UP_GAIN_MOST
                };
                let sent = UP_GAIN * self.rate() * self.smoothed.as_secs_f64();
                sent.min(most * pipe) + room
            }
            Phase::Rest { .. } => (REST_GAIN * pipe).max((LEAST * self.mtu) as f64),
        }
    }

    /// Leads the window to its target. It grows by what arrives, so that no burst comes of it; when
    /// it shrinks, one packet still leaves for two that arrive.
    fn resize(&mut self, acked: u64) {
        let target = (self.target() as u64).max(LEAST * self.mtu);
        if self.phase == Phase::Startup {
            if self.window < target || self.deliveries.delivered() < self.start {
                self.window += acked;
            }
        } else if self.window < target {
            self.window = target.min(self.window + acked);
        } else {
            self.window = target.max(self.window.saturating_sub(acked / 2));
        }
    }
}

impl Controller for Bbr {
    fn on_sent(&mut self, now: Instant, bytes: u64, _last_packet_number: u64) {
        self.deliveries.sent(now, bytes, self.model.shortest() / 32);
    }

    fn on_ack(
        &mut self,
        _now: Instant,
        sent: Instant,
        bytes: u64,
        _app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.deliveries.acked(sent, bytes);
        self.smoothed = rtt.get();
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        _largest_packet_num_acked: Option<u64>,
    ) {
        let shortest = self.model.shortest();
        if let Some(sample) = self.deliveries.end(now, in_flight, app_limited, shortest) {
            self.acknowledged(now, sample, in_flight);
        }
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        _sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        if is_persistent_congestion {
            // RFC 9002 section 7.6.2. What was known of the path is not worth more than the window.
            let mtu = u16::try_from(self.mtu).unwrap_or(u16::MAX);
            *self = Self::new(now, self.start, mtu);
            return;
        }
        self.deliveries.lost(lost_bytes);
        self.round.lost += lost_bytes;
        self.round.is_marked |= lost_bytes == 0;
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = u64::from(new_mtu);
        self.window = self.window.max(LEAST * self.mtu);
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.window;
        metrics.pacing_rate = Some((self.rate() * 8.0) as u64);
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.start
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Packets in flight that are always allowed.
const LEAST: u64 = 4;

/// How much more must arrive in each round trip of the start, and for how many it may not until
/// the path counts as full (draft, section 4.3.1.2); the same for a probe.
const GROWTH: f64 = 1.25;
const UP_GROWTH: f64 = 1.1;
const FLAT: u32 = 3;

/// At the start, what may be in flight beside what the path was seen to take: it doubles, and the
/// last measurement is old.
const STARTUP_GAIN: f64 = 2.5;
const DRAIN_GAIN: f64 = 0.75;
const DOWN_GAIN: f64 = 0.9;

/// How much more is sent to probe, and how much may be in flight for it: with 1.25 nothing is left
/// of us beside CUBIC in a queue of four pipes, with 1.55 nothing of CUBIC in one of half a pipe.
const UP_GAIN: f64 = 1.25;
const UP_GAIN_MOST: f64 = 1.4;
/// A probe that lets packets wait so long has found the end of the path.
const UP_WAITING: f64 = 1.2;

/// Round trips so long while we send no more than arrives mean that others fill a deep queue. Then
/// a probe must be as deep: with 2.25, the limit of the draft, we get a sixth beside CUBIC in a
/// queue of four pipes, with 3 a fifth.
const CROWDED: f64 = 2.5;
const CROWDED_GAIN: f64 = 3.0;

/// Below this share of what arrived before, the path itself has changed: beside others, or between
/// two probes, it varies less.
const FALLEN: f64 = 0.4;

/// How long the path is used before it is probed, at least (draft, section 4.3.3.6).
const WAIT: Duration = Duration::from_secs(2);

/// How little is sent for how long to find the shortest round trip (draft, section 4.3.4.3).
const REST_GAIN: f64 = 0.5;
const REST: Duration = Duration::from_millis(200);
