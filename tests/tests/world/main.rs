//! Relay, agents and origins in one process; see `adit_tests`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]

mod away;
mod cancel;
mod distance;
mod drain;
mod failures;
mod heads;
mod hostile;
mod interim;
mod isolation;
mod names;
mod reuse;
mod shards;
mod steer;
mod streaming;
mod streams;
mod switch;
