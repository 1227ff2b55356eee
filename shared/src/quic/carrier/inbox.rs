//! Carriers that have datagrams for one socket.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use quinn::udp::RecvMeta;

use super::queues::Queues;

/// Carriers that have datagrams, each listed once, in the order in which they are served.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    ready: Mutex<VecDeque<Ready>>,
    is_ready: AtomicBool,
    socket: AtomicWaker,
}

/// A carrier as QUIC sees it.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) queues: Arc<Queues>,
    /// Where its datagrams seem to come from.
    pub(super) from: SocketAddr,
    /// To which address of ours.
    pub(super) to: Option<IpAddr>,
}

impl Inbox {
    /// A carrier has datagrams, and had none before.
    pub(super) fn announce(&self, carrier: Ready) {
        self.ready().push_back(carrier);
        self.is_ready.store(true, Ordering::Relaxed);
        self.socket.wake();
    }

    /// Whether a carrier may have datagrams; cheap.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    /// Fills `bufs` with datagrams, a buffer with those of one carrier, and each carrier in its turn.
    pub(super) fn poll(
        &self,
        cx: &Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<usize> {
        let filled = self.fill(bufs, meta);
        if filled > 0 {
            return Poll::Ready(filled);
        }
        self.socket.register(cx.waker());
        // One may have come in between.
        match self.fill(bufs, meta) {
            0 => Poll::Pending,
            filled => Poll::Ready(filled),
        }
    }

    fn fill(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let mut filled = 0;
        let mut slots = bufs.iter_mut().zip(meta);
        let Some(mut slot) = slots.next() else {
            return 0;
        };
        let mut ready = self.ready();
        while let Some(carrier) = ready.pop_front() {
            let (buf, meta) = &mut slot;
            let Some((len, stride)) = carrier.queues.take_incoming(buf) else {
                continue;
            };
            **meta = RecvMeta {
                addr: carrier.from,
                len,
                stride,
                ecn: None,
                dst_ip: carrier.to,
            };
            ready.push_back(carrier);
            filled += 1;
            match slots.next() {
                Some(next) => slot = next,
                None => break,
            }
        }
        self.is_ready.store(!ready.is_empty(), Ordering::Relaxed);
        filled
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<Ready>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
