//! What both ends of a tunnel agree on.
//!
//! This crate knows nothing of `relay` or `agent`; they know it. Modules are listed in reading
//! order, and a module uses only modules above it:
//!
//! - [`name`]: the names of things, made by parsing;
//! - [`wire`]: the protocol `adit/1`, as bytes;
//! - [`hop`]: header fields that are for one hop only;
//! - [`identity`]: the key pair by which a relay knows an agent;
//! - [`chunks`]: bytes that leave with the next write;
//! - [`intake`]: what was read from a socket;
//! - [`quic`]: the only place that names the QUIC library;
//! - [`stream`]: stream halves that reset on drop;
//! - [`control`]: the control stream, whole messages in and out;
//! - [`body`]: an HTTP message body into a stream and out of one;
//! - [`pump`]: raw bytes both ways, after an upgrade;
//! - [`stall`]: what readers that stopped reading hold, and a bound on it;
//! - [`task`], [`backoff`], [`telemetry`], [`files`]: how programs run, retry, speak and open.

pub mod backoff;
pub mod body;
pub mod chunks;
pub mod control;
pub mod files;
pub mod hop;
pub mod identity;
pub mod intake;
pub mod name;
pub mod pump;
pub mod quic;
pub mod stall;
pub mod stream;
pub mod task;
pub mod telemetry;
pub mod wire;
