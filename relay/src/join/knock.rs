//! Answers the knocks of one agent.
//!
//! A knock is heard when the agent has heard nothing for a while. The answer goes past a full congestion
//! window: it tells the agent that the way is alive, and what the agent says to it tells us which packets
//! were lost, long before our own next probe of a way that was dead.

use adit_shared::quic::{Connection, Lost};
use adit_shared::wire::datagram::Datagram;
use tokio::time::{Duration, Instant, timeout};
use tracing::{debug, info};

use crate::metrics::Metrics;

/// Answers until the connection has ended, and counts changes of the agent's address. Safe to drop.
pub(super) async fn answer(connection: &Connection, metrics: &Metrics) -> Lost {
    let mut remote = connection.remote();
    let mut last: Option<Instant> = None;
    loop {
        let datagram = match timeout(LOOK, connection.datagram()).await {
            Ok(Ok(datagram)) => Some(datagram),
            Ok(Err(lost)) => return lost,
            Err(_) => None,
        };
        let now_at = connection.remote();
        if now_at != remote {
            info!(from = %remote, to = %now_at, "agent migrated");
            metrics.migrations.inc();
            remote = now_at;
        }
        match datagram
            .map(|datagram| Datagram::decode(&datagram))
            .transpose()
        {
            Ok(Some(Some(Datagram::Knock { number }))) => {
                // Those that come in a bunch are about the same silence.
                if last.is_some_and(|last| last.elapsed() < LEAST) {
                    continue;
                }
                last = Some(Instant::now());
                metrics.knocks.inc();
                connection.knock(Datagram::Answer { number }.encode());
            }
            Ok(_) => {}
            Err(error) => debug!(%error, "a datagram that says nothing"),
        }
    }
}

/// How soon a change of address is noticed that no knock tells of.
const LOOK: Duration = Duration::from_secs(2);
/// Between two answers: less than agents wait between two knocks.
const LEAST: Duration = Duration::from_millis(20);
