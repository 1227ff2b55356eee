//! Relay, agents and origins in one process; see `adit_tests`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "figures, beside what fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]

mod amplification;
mod away;
mod beside;
mod cancel;
mod carrier;
mod certified;
mod cookies;
mod distance;
mod doctor;
mod drain;
mod failures;
mod faults;
mod heads;
mod hostile;
mod http3;
mod inbox;
mod inspector;
mod interim;
mod isolation;
mod mirrors;
mod names;
mod notice;
mod outage;
mod proxied;
mod redirect;
mod resend;
mod restarts;
mod reuse;
mod shards;
mod simulate;
mod steer;
mod streaming;
mod streams;
mod succession;
mod switch;
mod vetted;
mod webhooks;
