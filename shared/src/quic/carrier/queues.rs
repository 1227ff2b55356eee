//! What waits between a carrier's task and the socket under QUIC: datagrams with their lengths, in
//! the order in which they came, both ways bounded.
//!
//! When there is no room towards the peer, QUIC is told to wait, so that what is most urgent is still
//! chosen when there is. A peer that takes nothing for a while must not hold QUIC up, which may know
//! another way by then: from then on datagrams are dropped, as a network would.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use quinn::udp::Transmit;
use tokio_util::sync::CancellationToken;

use super::Ended;
use crate::wire::carrier::{self, HEADER};

/// The queues of one carrier.
#[derive(Debug)]
pub(super) struct Queues {
    state: Mutex<State>,
    /// The carrier's task.
    pub(super) task: AtomicWaker,
    /// Cancelled when the carrier has ended.
    pub(super) ended: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    incoming: Vec<u8>,
    /// Up to here it was taken.
    taken: usize,
    /// Up to here it is whole datagrams.
    whole: usize,
    /// Whether the inbox has been told of it.
    is_announced: bool,
    /// Whether the carrier's task waits until it is taken.
    is_full: bool,
    outgoing: Vec<u8>,
    /// Whether the peer takes nothing.
    is_stalled: bool,
    /// Whether it takes nothing more, and why until somebody has asked.
    is_closed: bool,
    why: Option<Ended>,
    /// Those who wait for room.
    waiting: Vec<Waker>,
}

impl Queues {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            task: AtomicWaker::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Takes the datagrams of one send.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room; see [`poll_room`](Self::poll_room).
    pub(super) fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut state = self.state();
        if state.is_stalled || state.is_closed {
            return Ok(());
        }
        if state.outgoing.len() >= OUTGOING {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let was_empty = state.outgoing.is_empty();
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len());
        for datagram in transmit.contents.chunks(segment.max(1)) {
            carrier::put(&mut state.outgoing, datagram);
        }
        drop(state);
        if was_empty {
            self.task.wake();
        }
        Ok(())
    }

    /// Waits for room to [`send`](Self::send).
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.outgoing.len() < OUTGOING || state.is_stalled || state.is_closed {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|one| one.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Takes everything that is to be sent, in exchange for an empty buffer.
    pub(super) fn take_outgoing(&self, empty: &mut Vec<u8>) {
        let mut state = self.state();
        std::mem::swap(&mut state.outgoing, empty);
        state.is_stalled = false;
        wake_all(state);
    }

    /// The peer takes nothing: what waits is dropped, and so is what comes until it does.
    pub(super) fn stall(&self) {
        let mut state = self.state();
        state.is_stalled = true;
        state.outgoing.clear();
        wake_all(state);
    }

    /// How many bytes of datagrams may come. When there is little room there is none, and the task is
    /// woken when there is much.
    pub(super) fn room(&self) -> usize {
        let mut state = self.state();
        let room = INCOMING.saturating_sub(state.incoming.len() - state.taken);
        state.is_full = room < INCOMING / 2;
        if state.is_full { 0 } else { room }
    }

    /// Lets `read` append what came, and says whether the inbox must be told that there are datagrams:
    /// there may be some before an error.
    pub(super) fn receive(
        &self,
        read: impl FnOnce(&mut Vec<u8>) -> Result<(), Ended>,
    ) -> (bool, Result<(), Ended>) {
        let mut state = self.state();
        let State {
            incoming,
            taken,
            whole,
            ..
        } = &mut *state;
        incoming.drain(..*taken);
        *whole -= *taken;
        *taken = 0;
        let mut outcome = read(incoming);
        loop {
            match carrier::first(&incoming[*whole..]) {
                Ok(Some(datagram)) => *whole += HEADER + datagram.len(),
                Ok(None) => break,
                Err(error) => {
                    outcome = Err(error.into());
                    break;
                }
            }
        }
        let is_news = state.whole > 0 && !state.is_announced;
        state.is_announced |= is_news;
        (is_news, outcome)
    }

    /// Moves datagrams of one size, of which the last may be smaller, to `buf`. How many bytes they
    /// have, and what size; nothing when there are none left, and whoever announced them is told of
    /// the next.
    pub(super) fn take_incoming(&self, buf: &mut [u8]) -> Option<(usize, usize)> {
        let mut state = self.state();
        let (mut length, mut stride) = (0, 0);
        while state.taken < state.whole {
            // It was looked at when it came.
            let Ok(Some(datagram)) = carrier::first(&state.incoming[state.taken..state.whole])
            else {
                break;
            };
            let size = datagram.len();
            let fits = length + size <= buf.len();
            if length > 0 && (size == 0 || size > stride || !fits) {
                break;
            }
            // One that is larger than anything the peer was told to send is dropped.
            if fits {
                buf[length..length + size].copy_from_slice(datagram);
                length += size;
                stride = stride.max(size);
            }
            state.taken += HEADER + size;
            if length > 0 && size < stride {
                break;
            }
        }
        let wakes = state.is_full && state.taken == state.whole;
        state.is_full &= !wakes;
        if length == 0 {
            state.is_announced = false;
        }
        drop(state);
        if wakes {
            self.task.wake();
        }
        (length > 0).then_some((length, stride))
    }

    /// Gives memory back that a busy time has left.
    pub(super) fn shrink(&self) {
        let mut state = self.state();
        let State {
            incoming, outgoing, ..
        } = &mut *state;
        for buffer in [incoming, outgoing] {
            if buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
    }

    /// Takes nothing more; what waits is still sent. The first reason counts.
    pub(super) fn close(&self, why: Ended) {
        let mut state = self.state();
        if !state.is_closed {
            state.is_closed = true;
            state.why = Some(why);
        }
        wake_all(state);
        self.task.wake();
    }

    /// Whether it takes nothing more.
    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Why it was closed; told once.
    pub(super) fn why(&self) -> Option<Ended> {
        self.state().why.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake_all(mut state: MutexGuard<'_, State>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
}

/// Bytes that may wait to be sent. More than QUIC sends at once (20 datagrams); less would make it
/// wait in the middle.
const OUTGOING: usize = 128 << 10;
/// Bytes that may wait for QUIC to take them.
const INCOMING: usize = 64 << 10;
