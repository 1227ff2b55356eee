//! What both ends of a tunnel agree on.
//!
//! This crate knows nothing of `relay` or `agent`; they know it. Modules are listed in reading
//! order, and a module uses only modules above it:
//!
//! - [`name`]: the names of things, made by parsing;
//! - [`paths`]: patterns of paths;
//! - [`quantity`]: durations and sizes, as people type them;
//! - [`wire`]: the protocol `adit/1`, as bytes;
//! - [`hop`]: header fields that are for one hop only;
//! - [`length`]: the length that a message declares;
//! - [`identity`]: the key pair by which a relay knows an agent;
//! - [`chunks`]: bytes that leave with the next write;
//! - [`intake`]: what was read from a socket;
//! - [`pace`]: how slow a peer may be;
//! - [`http1`]: HTTP/1.1 as text;
//! - [`turn`]: how much a task does before others have their turn;
//! - [`quic`]: the only place that names the QUIC library;
//! - [`stream`]: stream halves that reset on drop;
//! - [`control`]: the control stream, whole messages in and out;
//! - [`body`]: an HTTP message body into a stream and out of one;
//! - [`pump`]: raw bytes both ways, after an upgrade;
//! - [`stall`]: what readers that stopped reading hold, and a bound on it;
//! - `signal`: something that is said once, and heard by everybody;
//! - [`task`], [`backoff`], [`telemetry`], [`files`]: how programs run, retry, speak and open;
//! - [`https`]: a small client, for what is asked of strangers now and then;
//! - [`webhook`]: whose webhooks are, and whether they are genuine;
//! - [`certificate`], [`checkup`]: what the doctors of both programs read and say.

pub mod backoff;
pub mod body;
pub mod certificate;
pub mod checkup;
pub mod chunks;
pub mod control;
pub mod files;
pub mod hop;
pub mod http1;
pub mod https;
pub mod identity;
pub mod intake;
pub mod length;
pub mod name;
pub mod pace;
pub mod paths;
pub mod pump;
pub mod quantity;
pub mod quic;
mod signal;
pub mod stall;
pub mod stream;
pub mod task;
pub mod telemetry;
pub mod turn;
pub mod webhook;
pub mod wire;
