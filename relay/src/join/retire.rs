//! Ends a session whose agent process has a newer one.
//!
//! An agent that hears nothing for a while connects anew without giving the old connection up, and its
//! hosts move to the new session. What is in flight on the old one goes on as long as there is life in
//! it. The agent closes it; this is for when that is not heard.

use std::time::Duration;

use adit_shared::wire::code::Close;
use tokio::time::{Instant, interval};
use tracing::info;

use crate::route::Routes;
use crate::session::Session;

/// Waits until the session was superseded, and closes it when it has nothing left to do or is silent.
/// Safe to drop.
pub(super) async fn when_idle(session: &Session, routes: &Routes) {
    session.superseded().await;
    info!("superseded by a newer session of the same agent");
    let mut ticks = interval(LOOK);
    // The first is at once; the agent may still claim more of what this session serves.
    ticks.tick().await;
    let mut received = session.connection().path().received;
    let mut heard = Instant::now();
    loop {
        ticks.tick().await;
        let now = session.connection().path().received;
        if now != received {
            (received, heard) = (now, Instant::now());
        }
        let is_idle = session.in_flight() == 0 && routes.count(session.id) == 0;
        if is_idle || heard.elapsed() > SILENCE {
            session.close(Close::Replaced, "the same agent has a newer session");
            return;
        }
    }
}

const LOOK: Duration = Duration::from_secs(1);
/// A connection that is silent for this long after its agent has another one is dead.
const SILENCE: Duration = Duration::from_secs(5);
