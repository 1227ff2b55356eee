//! Connections over a simulated bottleneck, in virtual time.
//!
//! Both ends are the QUIC library's own, so pacing, loss detection and acknowledgements are what the
//! programs have. Only clocks, sockets and the network are replaced: a run is as long as its packets
//! take to be computed, and the same each time (but for the keys of TLS, which change no length).

#![allow(unreachable_pub, reason = "also part of an example")]
#![allow(clippy::unwrap_used, reason = "a test's helper")]

mod link;
mod peer;
mod random;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quinn::congestion::ControllerFactory;
use quinn_proto::EcnCodepoint;

use self::link::Link;
use self::peer::Peer;
use self::random::Random;

/// Makes the congestion control of a sender.
pub type Control = Arc<dyn ControllerFactory + Send + Sync>;

/// The way between senders and receivers.
#[derive(Clone, Debug)]
pub struct Path {
    /// Bytes a second, from when on.
    pub rates: Vec<(Duration, f64)>,
    /// There and back, without queues.
    pub rtt: Duration,
    /// Bytes that may wait before the bottleneck.
    pub queue: u64,
    /// The share of packets that is lost, each way.
    pub loss: f64,
    /// The share of packets that others overtake.
    pub reorder: f64,
    /// How much time's packets come at once, as over Wi-Fi or through a busy machine.
    pub burst: Option<Duration>,
    /// When nothing gets through.
    pub cut: Option<(Duration, Duration)>,
    /// The largest datagram, in bytes.
    pub mtu: u16,
}

impl Path {
    /// A path of `megabits` a second with a round trip of `rtt`, and a queue of `queue` times what
    /// is under way when it is full.
    pub fn new(megabits: f64, rtt: Duration, queue: f64) -> Self {
        let rate = megabits * 1e6 / 8.0;
        Self {
            rates: vec![(Duration::ZERO, rate)],
            rtt,
            queue: (rate * rtt.as_secs_f64() * queue).max(15e3) as u64,
            loss: 0.0,
            reorder: 0.0,
            burst: None,
            cut: None,
            mtu: 1452,
        }
    }

    /// Bytes a second at `now`.
    pub fn rate(&self, now: Duration) -> f64 {
        let at = self.rates.partition_point(|(from, _)| *from <= now);
        self.rates[at - 1].1
    }
}

/// What is to happen.
#[derive(Debug)]
pub struct Plan {
    pub path: Path,
    /// Until when.
    pub length: Duration,
    /// How often the first sender writes a message of 1 KiB beside its bulk.
    pub messages: Option<Duration>,
    pub seed: u64,
}

/// What came of one sender.
#[derive(Debug)]
pub struct Flow {
    /// Bytes that were read in order, by the end of each tenth of a second.
    pub received: Vec<u64>,
    /// Window and smoothed round-trip time at the same times.
    pub states: Vec<(u64, Duration)>,
    /// How long each message took, in order; those still under way count until the end.
    pub messages: Vec<Duration>,
    /// Packets deemed lost.
    pub lost: u64,
}

impl Flow {
    /// Bytes a second between two times.
    pub fn goodput(&self, from: Duration, to: Duration) -> f64 {
        let at = |time: Duration| {
            let index = (time.as_millis() / TICK.as_millis()) as usize;
            self.received[..index].last().copied().unwrap_or(0)
        };
        (at(to) - at(from)) as f64 / (to - from).as_secs_f64()
    }

    /// The message that took longer than all but 1 % of them.
    pub fn p99(&self) -> Duration {
        let mut sorted = self.messages.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() * 99).div_ceil(100) - 1]
    }

    /// The median of all messages.
    pub fn p50(&self) -> Duration {
        let mut sorted = self.messages.clone();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    }
}

/// How evenly flows share: 1 when all get the same, 1/n when one gets all (Jain's index).
pub fn jain(rates: &[f64]) -> f64 {
    let sum: f64 = rates.iter().sum();
    let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
    sum * sum / (rates.len() as f64 * squares)
}

/// How often the state of flows is noted.
const TICK: Duration = Duration::from_millis(100);
/// How finely the timers of the runtime work.
const TIMER: u64 = 1_000_000;
const MESSAGE: usize = 1024;

enum Happening {
    Arrival(usize, Option<EcnCodepoint>, BytesMut),
    Wake(usize),
    Join(usize),
    Message,
    Tick,
}

struct Sim {
    start: Instant,
    there: Link,
    back: Link,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    happenings: HashMap<u64, Happening>,
    sequence: u64,
    /// Senders are even, their receivers odd.
    peers: Vec<Option<Peer>>,
    woken: Vec<Option<Duration>>,
}

/// Runs senders against each other, each with its congestion control and its time to begin.
pub fn run(plan: &Plan, senders: &[(Control, Duration)]) -> Vec<Flow> {
    let mut random = Random(plan.seed);
    let (certificate, pin) = peer::identity();
    let remote = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 443));
    let mut sim = Sim {
        start: Instant::now(),
        there: Link::bottleneck(&plan.path, Random(plan.seed ^ 1)),
        back: Link::back(&plan.path, Random(plan.seed ^ 2)),
        queue: BinaryHeap::new(),
        happenings: HashMap::new(),
        sequence: 0,
        peers: Vec::new(),
        woken: vec![None; senders.len() * 2],
    };
    for (number, (_, begin)) in senders.iter().enumerate() {
        sim.peers.extend([None, None]);
        sim.at(*begin, Happening::Join(number * 2));
    }
    sim.at(TICK, Happening::Tick);
    if let Some(every) = plan.messages {
        // After the start, which is measured by itself.
        sim.at(every.max(Duration::from_secs(1)), Happening::Message);
    }
    let mut flows: Vec<_> = senders
        .iter()
        .map(|_| Flow {
            received: Vec::new(),
            states: Vec::new(),
            messages: Vec::new(),
            lost: 0,
        })
        .collect();
    while let Some(Reverse((now, key))) = sim.queue.pop() {
        if now > plan.length {
            break;
        }
        match sim.happenings.remove(&key).unwrap() {
            Happening::Arrival(to, ecn, data) => {
                if let Some(peer) = &mut sim.peers[to] {
                    peer.receive(now, ecn, data);
                }
                sim.drive(to, now);
            }
            Happening::Wake(whom) => {
                sim.woken[whom] = None;
                sim.wake(whom, now);
            }
            Happening::Join(sender) => {
                let control = &senders[sender / 2].0;
                let (mtu, begin) = (plan.path.mtu, sim.start);
                sim.peers[sender] = Some(Peer::sender(
                    control.clone(),
                    mtu,
                    pin,
                    remote,
                    begin,
                    now,
                    &mut random,
                ));
                sim.peers[sender + 1] = Some(Peer::receiver(
                    control.clone(),
                    mtu,
                    certificate.clone(),
                    remote,
                    begin,
                    &mut random,
                ));
                sim.drive(sender, now);
            }
            Happening::Message => {
                if let Some(peer) = &mut sim.peers[0] {
                    peer.say(now, MESSAGE);
                }
                sim.drive(0, now);
                let every = plan.messages.unwrap_or(plan.length);
                sim.at(now + every, Happening::Message);
            }
            Happening::Tick => {
                for (flow, pair) in flows.iter_mut().zip(sim.peers.chunks(2)) {
                    let received = pair[1].as_ref().map_or(0, |peer| peer.received);
                    flow.received.push(received);
                    let state = pair[0].as_ref().map(Peer::state).unwrap_or_default();
                    flow.states.push((state.0, state.1));
                    flow.lost = state.2;
                }
                sim.at(now + TICK, Happening::Tick);
            }
        }
    }
    for (flow, pair) in flows.iter_mut().zip(sim.peers.chunks(2)) {
        if let [Some(sender), Some(receiver)] = pair {
            let mut written: Vec<_> = sender.messages.iter().collect();
            written.sort_unstable_by_key(|(_, at)| **at);
            flow.messages.extend(
                written.into_iter().map(|(id, at)| {
                    receiver.messages.get(id).copied().unwrap_or(plan.length) - *at
                }),
            );
        }
    }
    flows
}

impl Sim {
    fn at(&mut self, time: Duration, happening: Happening) {
        self.sequence += 1;
        self.happenings.insert(self.sequence, happening);
        self.queue.push(Reverse((time, self.sequence)));
    }

    fn wake(&mut self, whom: usize, now: Duration) {
        if let Some(peer) = &mut self.peers[whom]
            && peer.deadline().is_some_and(|deadline| deadline <= now)
        {
            peer.wake(now);
        }
        self.drive(whom, now);
    }

    fn drive(&mut self, whom: usize, now: Duration) {
        let Some(mut peer) = self.peers[whom].take() else {
            return;
        };
        let is_sender = whom.is_multiple_of(2);
        peer.drive(now, |transmit, data| {
            for datagram in data.chunks(transmit.segment_size.unwrap_or(transmit.size)) {
                let link = if is_sender {
                    &mut self.there
                } else {
                    &mut self.back
                };
                if let Some(arrival) = link.carry(now, datagram.len()) {
                    let datagram = BytesMut::from(datagram);
                    self.at(
                        arrival,
                        Happening::Arrival(whom ^ 1, transmit.ecn, datagram),
                    );
                }
            }
        });
        let deadline = peer.deadline();
        self.peers[whom] = Some(peer);
        let Some(deadline) = deadline else { return };
        let ticks = (deadline.max(now).as_nanos() as u64).div_ceil(TIMER);
        let deadline = Duration::from_nanos(ticks * TIMER).max(now);
        if self.woken[whom].is_none_or(|at| at > deadline) {
            self.woken[whom] = Some(deadline);
            self.at(deadline, Happening::Wake(whom));
        }
    }
}
