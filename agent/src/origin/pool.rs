//! HTTP/1.1 connections to the origin that wait for the next request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adit_shared::task::Tasks;
use tracing::Span;

use super::http1::connection::Connection;

/// Connections that are not in use, the last used one at the back. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Mutex<VecDeque<Idle>>>);

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    until: Instant,
}

impl Pool {
    /// An empty pool, swept until `tasks` are stopped.
    pub fn new(tasks: &Tasks) -> Self {
        let pool = Self(Arc::default());
        let (swept, stop) = (Arc::downgrade(&pool.0), tasks.clone());
        tasks.spawn(Span::none(), async move {
            let mut ticks = tokio::time::interval(SWEEP);
            loop {
                tokio::select! {
                    biased;
                    () = stop.stopped() => return,
                    _ = ticks.tick() => {}
                }
                let Some(idle) = swept.upgrade() else { return };
                let now = Instant::now();
                lock(&idle).retain_mut(|one| one.is_usable(now));
            }
        });
        pool
    }

    /// The connection that was used last, if there is one.
    pub fn take(&self) -> Option<Box<Connection>> {
        let mut idle = lock(&self.0);
        let now = Instant::now();
        while let Some(mut last) = idle.pop_back() {
            if last.is_usable(now) {
                return Some(last.connection);
            }
        }
        None
    }

    /// Gives a connection back whose response was read to its end. It may wait for as long as `keep`.
    pub fn give(&self, connection: Box<Connection>, keep: Duration) {
        let mut idle = lock(&self.0);
        if idle.len() >= MOST {
            idle.pop_front();
        }
        idle.push_back(Idle {
            connection,
            until: Instant::now() + keep,
        });
    }
}

impl Idle {
    fn is_usable(&mut self, now: Instant) -> bool {
        now < self.until && self.connection.is_idle()
    }
}

/// How long a connection may wait whose origin says this in `Keep-Alive`: a second less than the origin
/// keeps it, so that no request meets its closing.
pub fn keep(said: Option<&[u8]>) -> Duration {
    let said = said.and_then(|text| str::from_utf8(text).ok());
    let seconds = said.and_then(|text| {
        let timeout = text
            .split(',')
            .find_map(|part| part.trim().strip_prefix("timeout="));
        timeout?.parse::<u64>().ok()
    });
    seconds.map_or(KEEP, |seconds| {
        Duration::from_secs(seconds.saturating_sub(1)).min(KEEP)
    })
}

fn lock(idle: &Mutex<VecDeque<Idle>>) -> MutexGuard<'_, VecDeque<Idle>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections that wait at most.
const MOST: usize = 256;
/// How long a connection waits when the origin does not say.
const KEEP: Duration = Duration::from_secs(30);
/// How often connections that waited too long are closed.
const SWEEP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_kept_a_little_shorter_than_the_origin_says() {
        let kept = |value: &str| keep(Some(value.as_bytes()));
        assert_eq!(kept("timeout=5"), Duration::from_secs(4));
        assert_eq!(kept("max=100, timeout=1"), Duration::ZERO);
        assert_eq!(kept("timeout=600"), KEEP);
        assert_eq!(kept("timeout=x"), KEEP);
        assert_eq!(keep(None), KEEP);
    }
}
