//! Lets single packets past a full congestion window.
//!
//! A window is full for one of two reasons: the way is busy, or the way is dead and nothing is
//! acknowledged any more. In the second case the QUIC library holds back even the packet that would
//! find out that the way is alive again, acknowledgements included, until its own probe is due; and
//! that delay doubles each time. So who knocks opens the gate: a few packets leave, whatever is in
//! flight, and it is closed again.
//!
//! A CONNECTION_CLOSE is held back likewise (quinn issue 2785, not in a release yet). A connection that
//! is closed reads no acknowledgements, so its window never empties, and the peer hears neither that it
//! is closed nor why. The gate stays open for that; nothing but the close is sent then.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics};
use quinn_proto::RttEstimator;

/// The handle of a connection's gate. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    /// Something is to leave now.
    knocking: Arc<AtomicBool>,
    /// The connection is closed here.
    closing: Arc<AtomicBool>,
    /// The endpoint that it belongs to is.
    endpoint_closing: Arc<AtomicBool>,
    /// How often its connections were moved to a way of another kind.
    moves: Arc<AtomicU64>,
}

impl Gate {
    /// For another connection of the same endpoint.
    pub(super) fn sibling(&self) -> Self {
        Self {
            endpoint_closing: self.endpoint_closing.clone(),
            moves: self.moves.clone(),
            ..Self::default()
        }
    }

    /// The next packets may leave at once: a few, and only those.
    pub(super) fn open_once(&self) {
        self.knocking.store(true, Ordering::Relaxed);
    }

    /// The connection is about to be closed.
    pub(super) fn close_connection(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// All connections of the endpoint are about to be closed.
    pub(super) fn close_endpoint(&self) {
        self.endpoint_closing.store(true, Ordering::Relaxed);
    }

    /// The connections of the endpoint go another way, of which nothing is known: congestion control
    /// begins anew (RFC 9000 section 9.4), which the library does only at the other end.
    pub(super) fn begin_anew(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// A controller as `usual` makes them, with this gate.
    pub(super) fn around(
        &self,
        usual: Arc<dyn ControllerFactory + Send + Sync>,
        now: Instant,
        mtu: u16,
    ) -> Box<dyn Controller> {
        Box::new(Gated {
            usual: usual.clone().build(now, mtu),
            fresh: usual,
            moves: self.moves.load(Ordering::Relaxed),
            since: now,
            gate: self.clone(),
            in_flight: 0,
            mtu: mtu.into(),
        })
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed) || self.endpoint_closing.load(Ordering::Relaxed)
    }
}

/// Any congestion control, until its gate opens.
struct Gated {
    usual: Box<dyn Controller>,
    /// What made it.
    fresh: Arc<dyn ControllerFactory + Send + Sync>,
    /// How often it was made anew, and since when it is.
    moves: u64,
    since: Instant,
    gate: Gate,
    /// Bytes that are not acknowledged. What the library does not tell makes it too large: packets of
    /// acknowledgements alone, and probes of packet sizes that were lost.
    in_flight: u64,
    mtu: u64,
}

impl Controller for Gated {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.in_flight = self.in_flight.saturating_add(bytes);
        if self.gate.knocking.load(Ordering::Relaxed) {
            self.gate.knocking.store(false, Ordering::Relaxed);
        }
        let moves = self.gate.moves.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.moves, moves) != moves {
            let mtu = u16::try_from(self.mtu).unwrap_or(u16::MAX);
            self.usual = self.fresh.clone().build(now, mtu);
            self.since = now;
        }
        self.usual.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        // What went the way before says nothing of this one.
        if sent >= self.since {
            self.usual.on_ack(now, sent, bytes, app_limited, rtt);
        }
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.in_flight = in_flight;
        self.usual
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.in_flight = self.in_flight.saturating_sub(lost_bytes);
        if sent >= self.since {
            self.usual
                .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = new_mtu.into();
        self.usual.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        let usual = self.usual.window();
        if self.gate.is_closing() {
            OPEN
        } else if self.gate.knocking.load(Ordering::Relaxed) {
            // What leaves first closes the gate, so that even a number that is too large lets no more
            // out than one call to the system carries.
            self.in_flight.max(usual) + A_FEW * self.mtu
        } else {
            usual
        }
    }

    fn metrics(&self) -> ControllerMetrics {
        self.usual.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            usual: self.usual.clone_box(),
            fresh: self.fresh.clone(),
            gate: self.gate.clone(),
            ..*self
        })
    }

    fn initial_window(&self) -> u64 {
        self.usual.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// More than anything in flight; above 32 bits the library does not pace either.
const OPEN: u64 = 1 << 40;
/// Packets. The library wants room for one more than it sends.
const A_FEW: u64 = 3;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quinn::congestion::CubicConfig;

    use super::*;

    const MTU: u16 = 1200;

    fn gated() -> (Gate, Box<dyn Controller>) {
        let gate = Gate::default();
        let usual = Arc::new(CubicConfig::default());
        let gated = gate.around(usual, Instant::now(), MTU);
        (gate, gated)
    }

    #[test]
    fn a_knock_lets_a_few_packets_past_what_is_in_flight_and_no_more() {
        let (gate, mut gated) = gated();
        let now = Instant::now();
        let usual = gated.window();
        let in_flight = usual + 50 * u64::from(MTU);
        gated.on_sent(now, in_flight, 1);
        assert_eq!(gated.window(), usual);
        gate.open_once();
        let room = gated.window() - in_flight;
        assert!(
            (u64::from(MTU)..=3 * u64::from(MTU)).contains(&room),
            "{room}"
        );
        gated.on_sent(now, u64::from(MTU), 2);
        assert_eq!(gated.window(), usual, "what left has closed it");
    }

    #[test]
    fn on_another_way_the_window_is_what_it_is_at_the_start() {
        let (gate, mut gated) = gated();
        let now = Instant::now();
        let start = gated.window();
        gated.on_congestion_event(now, now, true, 5000);
        assert_ne!(gated.window(), start);
        gate.sibling().begin_anew();
        let moved = now + Duration::from_millis(10);
        gated.on_sent(moved, u64::from(MTU), 1);
        assert_eq!(gated.window(), start);
        gated.on_congestion_event(moved, now, true, 5000);
        assert_eq!(gated.window(), start, "what was lost on the way before");
        gated.on_congestion_event(moved, moved, true, 5000);
        assert_ne!(gated.window(), start);
    }

    #[test]
    fn what_was_acknowledged_or_lost_is_in_flight_no_more() {
        let (gate, mut gated) = gated();
        let now = Instant::now();
        gated.on_sent(now, 1 << 20, 1);
        gated.on_end_acks(now, 100_000, false, None);
        gated.on_congestion_event(now, now, false, 40_000);
        gate.open_once();
        assert_eq!(gated.window(), 60_000 + A_FEW * u64::from(MTU));
    }

    #[test]
    fn a_gate_stays_open_for_a_close_of_the_connection_or_its_endpoint() {
        let (gate, mut gated) = gated();
        let sibling = gate.sibling();
        gate.close_connection();
        gated.on_sent(Instant::now(), 5000, 1);
        assert_eq!(gated.window(), OPEN);
        assert!(!sibling.is_closing());
        sibling.close_endpoint();
        assert!(gate.sibling().is_closing());
    }
}
