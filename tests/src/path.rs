//! A UDP way between agent and relay that is as bad as asked: it delays, loses, reorders, cuts, has
//! a bottleneck, drops what is too large, and changes the address under which the relay sees the
//! agent. What is random follows from a seed.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use adit_shared::task::Tasks;
use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::Span;

/// How bad a way is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// How long every datagram takes, one way.
    pub delay: Duration,
    /// The share of datagrams that get lost, 0 to 1.
    pub loss: f64,
    /// The share of datagrams that take twice the delay and another millisecond.
    pub reorder: f64,
    /// Whether nothing at all gets through.
    pub cut: bool,
    /// How much gets through each way; all that comes when there is none.
    pub rate: Option<Rate>,
    /// The largest datagram that gets through; any size when there is none.
    pub max_datagram: Option<usize>,
}

/// The bottleneck of a way.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Bits a second, headers not counted.
    pub bits: u64,
    /// Bytes that may wait for their turn; what comes on top is lost.
    pub queue: u64,
}

impl Rate {
    /// A bottleneck of `bits` a second, before which the way's own product of rate and round trip
    /// may wait.
    pub fn with_usual_queue(bits: u64, round_trip: Duration) -> Self {
        let queue = u128::from(bits) * round_trip.as_nanos() / 8_000_000_000;
        Self {
            bits,
            queue: queue as u64,
        }
    }

    fn takes(&self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes * 8_000_000_000 / self.bits)
    }
}

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
    /// Bytes of the largest that was not.
    pub largest: usize,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    random: u64,
    /// Until when the bottleneck is busy: towards the relay, and towards the agent.
    busy: [Instant; 2],
    counts: Counts,
    /// Counts changes of address; a forwarder with an old number is retired.
    generation: u64,
}

impl Path {
    /// A perfect way to `relay` for one agent, with this seed for its later faults.
    #[allow(
        clippy::unused_async,
        reason = "it is waited for like every other part of a world"
    )]
    pub async fn to(relay: SocketAddr, seed: u64) -> Self {
        let inside = Arc::new(socket());
        let address = inside.local_addr().unwrap();
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let state = Arc::new(Mutex::new(State {
            faults: Faults::default(),
            random,
            busy: [Instant::now(); 2],
            counts: Counts::default(),
            generation: 0,
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

    /// From now on the relay sees the agent at another address, as after a NAT's rebinding.
    pub fn rebind(&self) {
        self.lock().generation += 1;
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
    let to_agent = delayed(inside.clone(), &tasks);
    loop {
        let Ok((len, agent)) = inside.recv_from(&mut buffer).await else {
            continue;
        };
        let generation = state.lock().unwrap().generation;
        let current = match outside.get(&agent) {
            Some((made, sender)) if *made == generation => sender.clone(),
            _ => {
                let socket = Arc::new(socket());
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
    let (lost, slow) = (state.random(), state.random());
    let faults = state.faults;
    if faults.cut || lost < faults.loss {
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
    let extra = if slow < faults.reorder {
        faults.delay + Duration::from_millis(1)
    } else {
        Duration::ZERO
    };
    let due = leaves + faults.delay + extra;
    drop(to.send(Late {
        due,
        datagram: datagram.to_vec(),
        address,
    }));
}

impl State {
    /// Between 0 and 1, from the seed (xorshift).
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
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
fn socket() -> UdpSocket {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let buffers = SockRef::from(&socket);
    buffers.set_recv_buffer_size(4 << 20).unwrap();
    buffers.set_send_buffer_size(4 << 20).unwrap();
    UdpSocket::from_std(socket).unwrap()
}

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
