//! What the tests stand on: [`World`] runs a relay, agents and origins in one process; [`Path`] is a
//! UDP way between them that delays, loses, reorders and cuts on request; [`origin`] and [`visit`]
//! are the two outer ends, byte by byte where it matters; [`mix`] is every kind of exchange at once.
//!
//! Nothing here sleeps to let something happen: helpers wait for a condition under a deadline.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::missing_panics_doc, reason = "as above")]

pub mod corpus;
pub mod http3;
pub mod kept;
pub mod knot;
pub mod mix;
pub mod origin;
pub mod path;
pub mod pebble;
pub mod program;
pub mod random;
pub mod tcp_path;
pub mod visit;
pub mod world;

use std::future::Future;
use std::time::Duration;

pub use path::Path;
pub use tcp_path::TcpPath;
pub use world::World;

/// How long anything may take that should happen soon.
pub const SOON: Duration = Duration::from_secs(10);

/// Ends when `condition` holds; panics with `what` when it does not hold soon.
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let wait = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !condition().await {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(SOON, wait)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// The result of `work`; panics with `what` when it is not there soon.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}
