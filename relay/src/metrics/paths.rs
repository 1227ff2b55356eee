//! What is known of the ways to the agents.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use adit_shared::quic::{Connection, Transport};

use super::Metrics;

/// What of one connection is counted already.
#[derive(Debug, Default)]
pub struct Tally {
    sent: AtomicU64,
    lost: AtomicU64,
}

impl Tally {
    /// Counts on `metrics` what came since the last time. The connection counts for itself until somebody
    /// asks, so that no packet costs anything here.
    pub fn count(&self, connection: &Connection, metrics: &Metrics) {
        let path = connection.path();
        metrics.packets_sent.add(news(&self.sent, path.sent));
        metrics.packets_lost.add(news(&self.lost, path.lost));
    }
}

/// By how much `now` is more than all that was told before.
fn news(told: &AtomicU64, now: u64) -> u64 {
    now.saturating_sub(told.fetch_max(now, Ordering::Relaxed))
}

/// The ways of all sessions at one moment.
#[derive(Debug, Default)]
pub struct Paths {
    rtts: Vec<Duration>,
    /// How many sessions go over TCP.
    pub over_tcp: usize,
}

impl Paths {
    /// Of these connections.
    pub fn of<'a>(connections: impl Iterator<Item = &'a Connection>) -> Self {
        let mut paths = Self::default();
        for connection in connections {
            paths.rtts.push(connection.rtt());
            paths.over_tcp += usize::from(connection.transport() == Transport::Tcp);
        }
        paths.rtts.sort_unstable();
        paths
    }

    /// The round trip that this share of the sessions, of 1, does not exceed; `None` without sessions.
    pub fn rtt(&self, share: f64) -> Option<Duration> {
        let rank = (share * self.rtts.len() as f64).ceil() as usize;
        self.rtts.get(rank.max(1) - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_counted() {
        let told = AtomicU64::new(0);
        let counted = [5, 5, 3, 9].map(|now| news(&told, now));
        assert_eq!(counted, [5, 0, 0, 4]);
    }

    #[test]
    fn a_share_of_the_round_trips_is_at_most_what_is_said() {
        let ms = Duration::from_millis;
        let mut paths = Paths::default();
        assert_eq!(paths.rtt(0.5), None);
        paths.rtts = (1..=10).map(ms).collect();
        let said = [0.5, 0.9, 0.99, 1.0].map(|share| paths.rtt(share));
        assert_eq!(said, [5, 9, 10, 10].map(|n| Some(ms(n))));
    }
}
