//! One direction of a path: a rate, a queue before it, a delay after it, and what goes wrong.

use std::time::Duration;

use super::Path;
use super::random::Random;

/// Bytes of IPv4 and UDP headers, which take their share of the rate.
const HEADERS: u64 = 28;

#[derive(Debug)]
pub struct Link {
    path: Path,
    is_bottleneck: bool,
    random: Random,
    backlog: f64,
    seen: Duration,
    last: Duration,
    /// Packets that found the queue full.
    pub overflowed: u64,
}

impl Link {
    /// The direction that the rate and the queue of `path` are in.
    pub fn bottleneck(path: &Path, random: Random) -> Self {
        Self::new(path, true, random)
    }

    /// The other direction, in which nothing queues.
    pub fn back(path: &Path, random: Random) -> Self {
        Self::new(path, false, random)
    }

    fn new(path: &Path, is_bottleneck: bool, random: Random) -> Self {
        Self {
            path: path.clone(),
            is_bottleneck,
            random,
            backlog: 0.0,
            seen: Duration::ZERO,
            last: Duration::ZERO,
            overflowed: 0,
        }
    }

    /// When a datagram of `size` bytes arrives at the other end, if it does.
    pub fn carry(&mut self, now: Duration, size: usize) -> Option<Duration> {
        let is_cut = self
            .path
            .cut
            .is_some_and(|(from, to)| now >= from && now < to);
        if is_cut || self.random.happens(self.path.loss) {
            return None;
        }
        let mut arrival = now + self.path.rtt / 2;
        if self.is_bottleneck {
            arrival += self.queue(now, size as u64 + HEADERS)?;
        }
        if self.random.happens(self.path.reorder) {
            return Some(arrival + self.path.rtt / 8);
        }
        if let Some(burst) = self.path.burst {
            let bursts = arrival.as_nanos().div_ceil(burst.as_nanos());
            arrival = burst * u32::try_from(bursts).unwrap();
        }
        arrival = arrival.max(self.last);
        self.last = arrival;
        Some(arrival)
    }

    /// How long a packet waits until it is on the wire.
    fn queue(&mut self, now: Duration, size: u64) -> Option<Duration> {
        let rate = self.path.rate(now);
        let drained = rate * (now - self.seen).as_secs_f64();
        self.backlog = (self.backlog - drained).max(0.0);
        self.seen = now;
        if self.backlog + size as f64 > self.path.queue as f64 + size as f64 {
            self.overflowed += 1;
            return None;
        }
        self.backlog += size as f64;
        Some(Duration::from_secs_f64(self.backlog / rate))
    }
}
