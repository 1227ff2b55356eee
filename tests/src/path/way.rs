//! The forwarder that is a way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use adit_shared::task::Tasks;
use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::Span;

use super::Faults;
use crate::random::Random;

/// A forwarder on a port of its own, to be dialled in the relay's place.
#[derive(Debug)]
pub struct Path {
    /// Where the agent finds it.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    tasks: Tasks,
}

/// What a way has done with datagrams.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Lost because they were too large.
    pub too_large: u64,
    /// Lost because the queue was full.
    pub crowded: u64,
    /// Carried, each counted once.
    pub carried: u64,
    /// Bytes of the largest that was not.
    pub largest: usize,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    random: Random,
    /// Until when the bottleneck is busy: towards the relay, and towards the agent.
    busy: [Instant; 2],
    counts: Counts,
    /// Counts changes of address; a forwarder with an old number is retired.
    generation: u64,
    /// Where the relay sees the agent, if it can be chosen.
    seen_at: Ipv4Addr,
    blocked: Blocked,
}

/// What does not get through, whatever the faults.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Blocked {
    Nothing,
    Known { strangers: bool },
}

impl Path {
    /// A perfect way to `relay` for one agent, with this seed for its later faults.
    #[allow(
        clippy::unused_async,
        reason = "it is waited for like every other part of a world"
    )]
    pub async fn to(relay: SocketAddr, seed: u64) -> Self {
        let inside = Arc::new(socket(Ipv4Addr::LOCALHOST));
        let address = inside.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            faults: Faults::default(),
            random: Random::new(seed),
            busy: [Instant::now(); 2],
            counts: Counts::default(),
            generation: 0,
            seen_at: Ipv4Addr::LOCALHOST,
            blocked: Blocked::Nothing,
        }));
        let tasks = Tasks::default();
        tasks.spawn(
            Span::none(),
            forward(inside, relay, state.clone(), tasks.clone()),
        );
        Self {
            address,
            state,
            tasks,
        }
    }

    /// From now on the way is this bad.
    pub fn set(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// From now on the relay sees the agent at another port, as after a NAT's rebinding.
    pub fn rebind(&self) {
        self.lock().generation += 1;
    }

    /// From now on the relay sees the agent at another IP address. All of 127.0.0.0/8 must be this
    /// machine's, as on Linux.
    pub fn change_address(&self) {
        let mut state = self.lock();
        let [a, b, c, last] = state.seen_at.octets();
        state.seen_at = Ipv4Addr::new(a, b, c, last % 250 + 1);
        state.generation += 1;
    }

    /// From now on nothing gets through from where the agent is now; what comes from another of its
    /// ports does, but for connections that have moved there if `strangers`: as behind a load balancer
    /// that has lost its table.
    pub fn forget(&self, strangers: bool) {
        let mut state = self.lock();
        state.blocked = Blocked::Known { strangers };
    }

    /// From now on everything gets through again.
    pub fn remember(&self) {
        self.lock().blocked = Blocked::Nothing;
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

/// Carries datagrams of one agent, which may dial again from another port. Each change of address
/// opens another socket towards the relay, and the one before stays deaf.
async fn forward(
    inside: Arc<UdpSocket>,
    relay: SocketAddr,
    state: Arc<Mutex<State>>,
    tasks: Tasks,
) {
    let mut buffer = vec![0; 65536];
    let mut outside: HashMap<SocketAddr, (u64, mpsc::UnboundedSender<Late>)> = HashMap::new();
    let mut heard: HashMap<SocketAddr, Instant> = HashMap::new();
    let to_agent = delayed(inside.clone(), &tasks);
    let (mut blocked, mut was_blocked) = (HashSet::new(), Blocked::Nothing);
    loop {
        let Ok((len, agent)) = inside.recv_from(&mut buffer).await else {
            continue;
        };
        let last = heard.insert(agent, Instant::now());
        let (generation, seen_at, now_blocked) = {
            let mut state = state.lock().unwrap();
            let generation = state.generation_after(last);
            (generation, state.seen_at, state.blocked)
        };
        if now_blocked == Blocked::Nothing {
            was_blocked = now_blocked;
            blocked.clear();
        }
        if let Blocked::Known { strangers } = now_blocked {
            if std::mem::replace(&mut was_blocked, now_blocked) == Blocked::Nothing {
                blocked.extend(outside.drain().map(|(agent, _)| agent));
            }
            // RFC 9000 section 17: a long header belongs to a handshake.
            let begins = buffer[0] & 0x80 != 0;
            if strangers && !begins && !outside.contains_key(&agent) {
                blocked.insert(agent);
            }
            if blocked.contains(&agent) {
                continue;
            }
        }
        let current = match outside.get(&agent) {
            Some((made, sender)) if *made == generation => sender.clone(),
            _ => {
                let socket = Arc::new(socket(seen_at));
                let sender = delayed(socket.clone(), &tasks);
                let back = back(socket, agent, generation, state.clone(), to_agent.clone());
                tasks.spawn(Span::none(), back);
                outside.insert(agent, (generation, sender.clone()));
                sender
            }
        };
        pass(&state, TO_RELAY, &current, &buffer[..len], relay);
    }
}

async fn back(
    outside: Arc<UdpSocket>,
    agent: SocketAddr,
    generation: u64,
    state: Arc<Mutex<State>>,
    to_agent: mpsc::UnboundedSender<Late>,
) {
    let mut buffer = vec![0; 65536];
    loop {
        let Ok((len, _)) = outside.recv_from(&mut buffer).await else {
            continue;
        };
        if state.lock().unwrap().generation != generation {
            return;
        }
        pass(&state, TO_AGENT, &to_agent, &buffer[..len], agent);
    }
}

/// Decides what becomes of one datagram.
fn pass(
    state: &Mutex<State>,
    direction: usize,
    to: &mpsc::UnboundedSender<Late>,
    datagram: &[u8],
    address: SocketAddr,
) {
    let mut state = state.lock().unwrap();
    let [lost, slow, twice] = [(); 3].map(|()| state.random.share());
    let faults = state.faults;
    let one_way = [faults.cut_to_relay, faults.cut_to_agent];
    if faults.cut || one_way[direction] || lost < faults.loss {
        return;
    }
    if faults.max_datagram.is_some_and(|max| datagram.len() > max) {
        state.counts.too_large += 1;
        return;
    }
    state.counts.largest = state.counts.largest.max(datagram.len());
    let now = Instant::now();
    let mut leaves = now;
    if let Some(rate) = faults.rate {
        let free = state.busy[direction].max(now);
        if free - now > rate.takes(rate.queue) {
            state.counts.crowded += 1;
            return;
        }
        leaves = free + rate.takes(datagram.len() as u64);
        state.busy[direction] = leaves;
    }
    state.counts.carried += 1;
    let mut due = leaves + faults.delay;
    if slow < faults.reorder {
        due += faults.delay + LATE;
    }
    let copies = 1 + usize::from(twice < faults.duplicate);
    for due in [due, due + LATE].into_iter().take(copies) {
        drop(to.send(Late {
            due,
            datagram: datagram.to_vec(),
            address,
        }));
    }
}

impl State {
    /// The current generation, and a new one after too long a silence.
    fn generation_after(&mut self, last: Option<Instant>) -> u64 {
        let silence = last.map_or(Duration::ZERO, |last| last.elapsed());
        if self.faults.forgets.is_some_and(|after| silence > after) {
            self.generation += 1;
        }
        self.generation
    }
}

/// A datagram on its way.
#[derive(Debug)]
struct Late {
    due: Instant,
    datagram: Vec<u8>,
    address: SocketAddr,
}

/// A socket of loopback with room for bursts: what gets lost is for us to decide.
fn socket(ip: Ipv4Addr) -> UdpSocket {
    let socket = std::net::UdpSocket::bind((ip, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let buffers = SockRef::from(&socket);
    buffers.set_recv_buffer_size(4 << 20).unwrap();
    buffers.set_send_buffer_size(4 << 20).unwrap();
    UdpSocket::from_std(socket).unwrap()
}

/// By how much a datagram that is late comes after others.
const LATE: Duration = Duration::from_millis(1);
const TO_RELAY: usize = 0;
const TO_AGENT: usize = 1;

/// Sends what it is given when it is due.
fn delayed(socket: Arc<UdpSocket>, tasks: &Tasks) -> mpsc::UnboundedSender<Late> {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Late>();
    tasks.spawn(Span::none(), async move {
        let mut waiting: BTreeMap<(Instant, u64), Late> = BTreeMap::new();
        let mut count = 0;
        loop {
            let due = waiting.keys().next().map(|(due, _)| *due);
            tokio::select! {
                late = receiver.recv() => match late {
                    Some(late) => {
                        count += 1;
                        waiting.insert((late.due, count), late);
                    }
                    None => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    // Timers are coarse, so several are due at a time.
                    while let Some(next) = waiting.first_entry()
                        && next.key().0 <= Instant::now()
                    {
                        let late = next.remove();
                        // A full socket loses it, as any network may.
                        drop(socket.send_to(&late.datagram, late.address).await);
                    }
                }
            }
        }
    });
    sender
}
