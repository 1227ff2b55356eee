//! What the benches of single parts work on. They are a package of their own so that counting
//! instructions builds neither load tester nor suite.
//!
//! - [`heads`]: heads as relay and agent send them;
//! - [`streams`]: what comes in on a stream, and reading it.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on panics")]
#![allow(clippy::missing_panics_doc, reason = "as above")]

pub mod heads;
pub mod streams;
