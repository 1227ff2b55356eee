//! A way between an agent and a relay that is as bad as asked: it delays and loses datagrams, carries
//! only so many bits a second through a queue of bounded length, and changes the address under which
//! the relay sees the agent.
//!
//! Both ways run in one task. Timers are exact to a millisecond, so what is due together leaves
//! together, as from a network card that merges interrupts.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use super::{orders, say};

/// How bad a way is. The default carries everything at once.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Way {
    /// How long a datagram takes, one way.
    pub delay_ms: f64,
    /// The share that gets lost, each way, 0 to 1.
    pub loss: f64,
    /// What it carries each way, in millions of bits a second; 0 is without a bound.
    pub mbit: f64,
    /// How much waits at most when there is more, as time on the way. What is beyond gets lost.
    pub queue_ms: f64,
    /// The largest datagram; larger ones get lost. 0 is any.
    pub mtu: usize,
    /// How often the agent's address changes; 0 is never.
    pub rebind_ms: u64,
    /// Whether it changes now, once.
    pub rebind_now: bool,
    /// Whether nothing gets through.
    pub cut: bool,
}

pub(super) async fn run(to: SocketAddr) -> anyhow::Result<()> {
    let inside = socket().await?;
    say(&serde_json::json!({ "address": inside.local_addr()? }))?;
    let mut orders = orders();
    let mut way = Way::default();
    let mut outside = socket().await?;
    let mut agent = None;
    let (mut there, mut back) = (Lane::new(1), Lane::new(2));
    let mut rebind = None;
    let mut moves = 0_u64;
    let mut buffer = vec![0; 65536];
    loop {
        let due = [there.due(), back.due()].into_iter().flatten().min();
        tokio::select! {
            biased;
            order = orders.recv() => {
                let Some(order) = order else { return Ok(()) };
                way = serde_json::from_str(&order)?;
                rebind = next_move(&way);
                if way.rebind_now {
                    outside = socket().await?;
                    moves += 1;
                }
                say(&serde_json::json!({
                    "carried": there.carried + back.carried,
                    "lost": there.lost + back.lost,
                    "overflowed": there.overflowed + back.overflowed,
                    "moves": moves,
                }))?;
            }
            () = until(rebind) => {
                outside = socket().await?;
                moves += 1;
                rebind = next_move(&way);
            }
            ready = inside.readable() => ready?,
            ready = outside.readable() => ready?,
            () = until(due) => {}
        }
        let now = Instant::now();
        for _ in 0..BURST {
            match inside.try_recv_from(&mut buffer) {
                Ok((len, from)) => {
                    agent = Some(from);
                    there.take(&buffer[..len], &way, now);
                }
                Err(_) => break,
            }
        }
        for _ in 0..BURST {
            match outside.try_recv_from(&mut buffer) {
                Ok((len, _)) => back.take(&buffer[..len], &way, now),
                Err(_) => break,
            }
        }
        there.send(now, &outside, to);
        if let Some(agent) = agent {
            back.send(now, &inside, agent);
        }
    }
}

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => pending().await,
    }
}

fn next_move(way: &Way) -> Option<Instant> {
    (way.rebind_ms > 0).then(|| Instant::now() + Duration::from_millis(way.rebind_ms))
}

async fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    // A full queue of the system's would be a loss that nobody asked for.
    drop(SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER));
    drop(SockRef::from(&socket).set_send_buffer_size(SOCKET_BUFFER));
    Ok(socket)
}

/// One direction.
struct Lane {
    /// In the order in which they are due.
    waiting: VecDeque<(Instant, Vec<u8>)>,
    /// When the last of them has left the narrow part of the way.
    free: Option<Instant>,
    random: u64,
    carried: u64,
    lost: u64,
    overflowed: u64,
}

impl Lane {
    fn new(seed: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            free: None,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            carried: 0,
            lost: 0,
            overflowed: 0,
        }
    }

    fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Decides what becomes of one datagram.
    fn take(&mut self, datagram: &[u8], way: &Way, now: Instant) {
        if way.cut || self.random() < way.loss || (way.mtu > 0 && datagram.len() > way.mtu) {
            self.lost += 1;
            return;
        }
        let mut leaves = now;
        if way.mbit > 0.0 {
            let free = self.free.filter(|free| *free > now).unwrap_or(now);
            if free - now > Duration::from_secs_f64(way.queue_ms / 1e3) {
                self.overflowed += 1;
                return;
            }
            leaves = free + Duration::from_secs_f64(datagram.len() as f64 * 8.0 / way.mbit / 1e6);
            self.free = Some(leaves);
        }
        let due = leaves + Duration::from_secs_f64(way.delay_ms / 1e3);
        self.waiting.push_back((due, datagram.to_vec()));
    }

    fn send(&mut self, now: Instant, socket: &UdpSocket, to: SocketAddr) {
        while self.due().is_some_and(|due| due <= now) {
            if let Some((_, datagram)) = self.waiting.pop_front() {
                // A full socket loses it, as any network may.
                drop(socket.try_send_to(&datagram, to));
                self.carried += 1;
            }
        }
    }

    /// Between 0 and 1, from the seed (xorshift).
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Datagrams of one direction that are taken before the other has its turn.
const BURST: usize = 64;
const SOCKET_BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_way_takes_its_time_and_overflows() {
        let way = Way {
            delay_ms: 10.0,
            mbit: 8.0,
            queue_ms: 3.5,
            mtu: 1000,
            ..Way::default()
        };
        let (mut lane, now) = (Lane::new(1), Instant::now());
        lane.take(&[0; 1001], &way, now);
        assert_eq!(lane.lost, 1);
        // A millisecond each, and four of them wait before the queue is longer than it may be.
        for _ in 0..6 {
            lane.take(&[0; 1000], &way, now);
        }
        assert_eq!((lane.waiting.len(), lane.overflowed), (4, 2));
        let due = lane.waiting.iter().map(|(due, _)| (*due - now).as_millis());
        assert_eq!(due.collect::<Vec<_>>(), [11, 12, 13, 14]);
    }

    #[test]
    fn as_much_is_lost_as_asked() {
        let way = Way {
            loss: 0.05,
            ..Way::default()
        };
        let (mut lane, now) = (Lane::new(7), Instant::now());
        for _ in 0..10_000 {
            lane.take(b"datagram", &way, now);
        }
        assert!((400..600).contains(&lane.lost), "{}", lane.lost);
    }
}
