//! What both ends of a tunnel agree on.
//!
//! This crate knows nothing of `relay` or `agent`; they know it. Modules are listed in reading
//! order, and a module uses only modules above it:
//!
//! - [`name`]: the names of things, made by parsing;
//! - [`wire`]: the protocol `adit/1`, as bytes;
//! - [`hop`]: header fields that are for one hop only;
//! - [`identity`]: the key pair by which a relay knows an agent;
//! - [`quic`]: the only place that names the QUIC library;
//! - [`stream`]: stream halves that reset on drop;
//! - [`control`]: the control stream, whole messages in and out;
//! - [`body`]: an HTTP message body into a stream and out of one;
//! - [`pump`]: raw bytes both ways, after an upgrade;
//! - [`stall`]: what readers that stopped reading hold, and a bound on it;
//! - [`task`], [`backoff`], [`telemetry`]: how programs run, retry and speak.

pub mod backoff;
pub mod body;
pub mod control;
pub mod hop;
pub mod identity;
pub mod name;
pub mod pump;
pub mod quic;
pub mod stall;
pub mod stream;
pub mod task;
pub mod telemetry;
pub mod wire;
