//! The relay's socket: UDP, and every carrier that came to the same shard.
//!
//! QUIC knows peers by their addresses, so each carrier gets one that nobody else has, of the block
//! that is set aside for what goes nowhere (100::/64, RFC 6666). To QUIC a session that changes to a
//! carrier is a peer that moved to another network, with all that this takes: its new address is
//! validated, and congestion control begins anew (RFC 9000 sections 9.3 and 9.4).

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tracing::{Span, debug};

use super::inbox::{Inbox, Ready};
use super::pump::Pump;
use super::queues::Queues;
use super::{Carrier, Ended};
use crate::quic::socket::Udp;
use crate::task::Tasks;

/// The carriers of one shard. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Carriers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    shard: u16,
    inbox: Arc<Inbox>,
    table: Mutex<HashMap<u64, Seat>>,
    tasks: Tasks,
    next: AtomicU64,
    /// The connection that is about to send, by the number of its [`Room`].
    asking: AtomicU64,
    /// The connection that has found no room, likewise, and on which carrier.
    refused: AtomicU64,
    full: Mutex<Option<Arc<Queues>>>,
}

/// A carrier's place in the table.
#[derive(Debug)]
struct Seat {
    queues: Arc<Queues>,
    peer: SocketAddr,
    /// When a session used it last, or when it came.
    used: Instant,
}

impl Carriers {
    pub(in crate::quic) fn new(shard: u16) -> Self {
        Self(Arc::new(Shared {
            shard,
            inbox: Arc::default(),
            table: Mutex::default(),
            tasks: Tasks::default(),
            next: AtomicU64::new(1),
            asking: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            full: Mutex::default(),
        }))
    }

    /// Lets QUIC use `carrier` until it ends; then `guard` is dropped.
    ///
    /// # Errors
    ///
    /// Whatever the system says about a connection that is gone already.
    pub fn attach(&self, carrier: Carrier, guard: impl Send + 'static) -> io::Result<()> {
        let peer = carrier.peer()?;
        let here = carrier.tcp.local_addr()?.ip().to_canonical();
        let queues = Arc::new(Queues::new());
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let key = (u64::from(self.0.shard) << 48) | number;
        let ready = Ready {
            queues: queues.clone(),
            from: address(key, peer.port()),
            to: Some(here),
        };
        let pump = Pump::new(carrier, self.0.inbox.clone(), ready);
        let seat = Seat {
            queues,
            peer,
            used: Instant::now(),
        };
        self.table().insert(key, seat);
        let carriers = self.clone();
        self.0.tasks.spawn(Span::current(), async move {
            // Taken out of the table even if the task is aborted.
            let _seated = Seated { carriers, key };
            let why = pump.run().await;
            debug!(%why, "carrier ended");
            drop(guard);
        });
        Ok(())
    }

    /// Where the peer of a carrier really is; `None` for an address that is none of a carrier.
    pub(in crate::quic) fn peer(&self, address: SocketAddr) -> Option<SocketAddr> {
        Some(self.table().get(&key(address)?)?.peer)
    }

    /// A session goes through the carrier of this address.
    pub(in crate::quic) fn note_use(&self, address: SocketAddr) {
        if let Some(key) = key(address)
            && let Some(seat) = self.table().get_mut(&key)
        {
            seat.used = Instant::now();
        }
    }

    /// Closes those that no session has used for `patience`.
    pub fn sweep(&self, patience: Duration) {
        for seat in self.table().values() {
            if seat.used.elapsed() > patience {
                seat.queues.close(Ended::Unused);
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.table().len()
    }

    /// Closes all, after what was to be sent, and waits for it at most `grace`. Dropping it leaves them to
    /// end by themselves.
    pub async fn end(&self, grace: Duration) {
        for seat in self.table().values() {
            seat.queues.close(Ended::Here);
        }
        self.0.tasks.drain(grace).await;
    }

    fn send(&self, key: u64, transmit: &Transmit<'_>) -> io::Result<()> {
        let queues = self.table().get(&key).map(|seat| seat.queues.clone());
        // What is for one that has ended is lost, as in any network.
        let Some(queues) = queues else { return Ok(()) };
        let asking = self.0.asking.load(Ordering::Relaxed);
        let sent = queues.send(transmit);
        if sent.is_err() {
            if asking == 0 {
                // Nobody waits for room who could try again.
                return Ok(());
            }
            *self.full() = Some(queues);
            self.0.refused.store(asking, Ordering::Relaxed);
        }
        sent
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Seat>> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn full(&self) -> MutexGuard<'_, Option<Arc<Queues>>> {
        self.0.full.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Seated {
    carriers: Carriers,
    key: u64,
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.carriers.table().remove(&self.key);
    }
}

/// UDP and carriers as one socket.
#[derive(Debug)]
pub(in crate::quic) struct Hub {
    udp: Arc<Udp>,
    carriers: Carriers,
    /// Numbers those who send.
    rooms: AtomicU64,
    /// Whose turn it is when both have datagrams: counts the calls.
    turn: AtomicU64,
}

impl Hub {
    pub(in crate::quic) fn new(udp: Arc<Udp>, carriers: Carriers) -> Arc<Self> {
        Arc::new(Self {
            udp,
            carriers,
            rooms: AtomicU64::new(1),
            turn: AtomicU64::new(0),
        })
    }
}

impl AsyncUdpSocket for Hub {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room {
            udp: self.udp.clone().create_io_poller(),
            number: self.rooms.fetch_add(1, Ordering::Relaxed),
            carriers: self.carriers.clone(),
            full: None,
        })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent = match key(transmit.destination) {
            None => self.udp.try_send(transmit),
            Some(key) => self.carriers.send(key, transmit),
        };
        self.carriers.0.asking.store(0, Ordering::Relaxed);
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let inbox = &self.carriers.0.inbox;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if turn % 2 == 1
            && inbox.is_ready()
            && let Poll::Ready(filled) = inbox.poll(cx, bufs, meta)
        {
            return Poll::Ready(Ok(filled));
        }
        if let Poll::Ready(filled) = self.udp.poll_recv(cx, bufs, meta) {
            let filled = filled?;
            for meta in &mut meta[..filled] {
                // Whoever writes this as his own address is not behind a carrier.
                if key(meta.addr).is_some() {
                    meta.len = 0;
                }
            }
            return Poll::Ready(Ok(filled));
        }
        inbox.poll(cx, bufs, meta).map(Ok)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.udp.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        self.udp.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.udp.max_receive_segments()
    }
}

/// Waits for room, in the kernel or on the carrier that had none.
///
/// QUIC asks here before each datagram that a connection sends, without saying where to: that is seen
/// only when it sends, at once after that and on the same thread. So the hub remembers who asked last,
/// and when a carrier has no room, that it was this one who found none; it waits for that carrier, and
/// nobody else does.
#[derive(Debug)]
struct Room {
    udp: Pin<Box<dyn UdpPoller>>,
    number: u64,
    carriers: Carriers,
    full: Option<Arc<Queues>>,
}

impl UdpPoller for Room {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let room = self.get_mut();
        let shared = &room.carriers.0;
        if shared.refused.load(Ordering::Relaxed) == room.number {
            shared.refused.store(0, Ordering::Relaxed);
            room.full = room.carriers.full().take();
        }
        if let Some(queues) = &room.full {
            ready!(queues.poll_room(cx));
            room.full = None;
        }
        ready!(room.udp.as_mut().poll_writable(cx))?;
        shared.asking.store(room.number, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

fn address(key: u64, port: u16) -> SocketAddr {
    let bits = (u128::from(PREFIX) << 64) | u128::from(key);
    SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(bits)), port)
}

/// The key of a carrier's address.
fn key(address: SocketAddr) -> Option<u64> {
    let SocketAddr::V6(address) = address else {
        return None;
    };
    let bits = address.ip().to_bits();
    ((bits >> 64) as u64 == PREFIX).then_some(bits as u64)
}

/// 100::/64.
const PREFIX: u64 = 0x0100 << 48;
