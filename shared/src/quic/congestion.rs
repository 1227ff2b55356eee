//! Congestion control that lets the last word out.
//!
//! The QUIC library holds a CONNECTION_CLOSE back while the congestion window is full. A connection
//! that is closed reads no acknowledgements, so the window never empties, and the peer hears neither
//! that it is closed nor why (quinn issue 2785, not in a release yet). So the window opens when the
//! connection is closed here; nothing but the close is sent then.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

/// Set when a connection, or the endpoint that it belongs to, is closed here.
#[derive(Clone, Debug, Default)]
pub(super) struct Closing {
    connection: Arc<AtomicBool>,
    endpoint: Arc<AtomicBool>,
}

impl Closing {
    /// For another connection of the same endpoint.
    pub(super) fn sibling(&self) -> Self {
        Self {
            connection: Arc::default(),
            endpoint: self.endpoint.clone(),
        }
    }

    /// The connection is about to be closed.
    pub(super) fn connection(&self) {
        self.connection.store(true, Ordering::Relaxed);
    }

    /// All connections of the endpoint are about to be closed.
    pub(super) fn endpoint(&self) {
        self.endpoint.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.connection.load(Ordering::Relaxed) || self.endpoint.load(Ordering::Relaxed)
    }
}

/// The library's usual congestion control, for one connection that `closing` tells about. It begins
/// with `start` bytes in flight.
pub(super) fn factory(start: u64, closing: &Closing) -> Arc<dyn ControllerFactory + Send + Sync> {
    let mut usual = CubicConfig::default();
    usual.initial_window(start);
    Arc::new(Factory {
        usual: Arc::new(usual),
        closing: closing.clone(),
    })
}

struct Factory {
    usual: Arc<CubicConfig>,
    closing: Closing,
}

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Window {
            usual: self.usual.clone().build(now, current_mtu),
            closing: self.closing.clone(),
        })
    }
}

/// The usual window, until it opens.
struct Window {
    usual: Box<dyn Controller>,
    closing: Closing,
}

impl Controller for Window {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
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
        self.usual.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
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
        self.usual
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.usual.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        if self.closing.is_set() {
            OPEN
        } else {
            self.usual.window()
        }
    }

    fn metrics(&self) -> ControllerMetrics {
        self.usual.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            usual: self.usual.clone_box(),
            closing: self.closing.clone(),
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
