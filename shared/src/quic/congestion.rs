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
