//! What went through the tunnels, kept for whoever wants to look into it.
//!
//! An exchange is followed by a [`Tap`], which keeps references to the bytes that pass and never makes
//! them wait. All that is kept has a bound, in exchanges and in bytes; a flood is followed in part, so
//! that it costs the tunnels next to nothing. Readers come at their own pace: each change has a number,
//! and they ask for what changed since.
//!
//! - [`limits`]: how much is kept, and how many exchanges of a flood;
//! - [`kept`]: a body, up to a limit;
//! - [`messages`]: what travels inside a body or a switched connection: WebSocket, server-sent events;
//! - [`exchange`]: one exchange;
//! - `ring`: the last of them;
//! - [`tap`]: follows one;
//! - [`summary`], [`filter`]: an exchange in a few words; which of them are wanted;
//! - [`store`]: on disk, across restarts.

pub mod exchange;
pub mod filter;
pub mod kept;
pub mod limits;
pub mod messages;
mod ring;
pub mod store;
pub mod summary;
pub mod tap;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use adit_shared::wire::head;
use tokio::sync::watch;

pub use exchange::{Cause, Exchange};
pub use limits::Limits;
use limits::{Bucket, Budget};
use ring::Ring;
use store::{Store, StoreError};

use crate::config::Keep;
pub use tap::{Open, Side, Tap};

/// The last exchanges. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Capture(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    budget: Arc<Budget>,
    bucket: Bucket,
    paused: AtomicBool,
    left_out: AtomicU64,
    ring: Mutex<Ring>,
    /// The number of the last change.
    changes: watch::Sender<u64>,
    store: Option<Store>,
    /// Tells this run of the agent from others.
    epoch: u128,
}

impl Capture {
    /// What `keep` says is on disk, if anything; otherwise nothing yet.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn open(keep: &Keep) -> Result<Self, StoreError> {
        match &keep.store {
            Some(path) => store::open(path, keep.limits),
            None => Ok(Self::new(keep.limits, None)),
        }
    }

    /// Nothing yet; or what `store` has, which is also where it goes.
    pub fn new(limits: Limits, store: Option<Store>) -> Self {
        let shared = Shared {
            limits,
            budget: Arc::new(Budget::new(limits.memory)),
            bucket: Bucket::new(limits.rate, limits.requests),
            paused: AtomicBool::new(false),
            left_out: AtomicU64::new(0),
            ring: Mutex::default(),
            changes: watch::Sender::new(0),
            store,
            epoch: UNIX_EPOCH.elapsed().unwrap_or_default().as_micros(),
        };
        Self(Arc::new(shared))
    }

    /// What tells the numbers of changes from those of another run.
    pub fn epoch(&self) -> String {
        format!("{:x}", self.0.epoch)
    }

    /// How much is kept.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Bytes that are kept now.
    pub fn memory(&self) -> usize {
        self.0.budget.used()
    }

    /// How many exchanges were not followed, because they were too many or it was paused.
    pub fn left_out(&self) -> u64 {
        self.0.left_out.load(Ordering::Relaxed)
    }

    /// Whether new exchanges are followed.
    pub fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::Relaxed)
    }

    /// Follows new exchanges, or none until further notice.
    pub fn pause(&self, paused: bool) {
        self.0.paused.store(paused, Ordering::Relaxed);
        self.ring().touch();
        self.tell();
    }

    /// Follows an exchange of a visitor from its head on. `None` when it is one too many.
    pub fn begin(
        &self,
        head: &head::Request,
        tunnel: &str,
        rtt: impl FnOnce() -> Option<Duration>,
    ) -> Option<Open> {
        if self.is_paused() || !self.0.bucket.take() {
            self.0.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.follow(head, tunnel, Cause::Visitor, rtt()))
    }

    /// Follows an exchange that somebody here asked for, however many there are.
    pub fn follow(
        &self,
        head: &head::Request,
        tunnel: &str,
        cause: Cause,
        rtt: Option<Duration>,
    ) -> Open {
        let made = |id| Exchange::new(id, head, tunnel, cause, rtt, &self.0.budget);
        let exchange = self.add(made);
        Open::new(Tap::new(self.clone(), exchange))
    }

    /// Adds an exchange that has its id from `made`, and makes room for it.
    pub fn add(&self, made: impl FnOnce(u64) -> Exchange) -> Arc<Exchange> {
        let mut ring = self.ring();
        let exchange = Arc::new(made(ring.next_id()));
        ring.push(exchange.clone());
        let gone = ring.shrink(self.0.limits.requests, &self.0.budget);
        drop(ring);
        // What it held is given back outside of the lock.
        drop(gone);
        self.tell();
        exchange
    }

    /// The budget that exchanges made elsewhere count against.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.0.budget
    }

    /// Says that `exchange` is another than it was.
    pub fn changed(&self, exchange: &Exchange) {
        self.ring().changed(exchange);
        if let Some(store) = &self.0.store
            && exchange.is_ended()
            // What was forgotten before its end is not kept after all.
            && self.get(exchange.id).is_some()
        {
            store.keep(exchange);
        }
        self.tell();
    }

    /// Whether `bytes` more may be kept. Makes room by letting the oldest go.
    fn reserve(&self, bytes: usize) -> bool {
        if self.0.budget.take(bytes) {
            return true;
        }
        let gone = self.ring().evict(bytes, &self.0.budget);
        drop(gone);
        self.0.budget.take(bytes)
    }

    /// The exchange with this id.
    pub fn get(&self, id: u64) -> Option<Arc<Exchange>> {
        self.ring().get(id)
    }

    /// All of them, the oldest first.
    pub fn all(&self) -> Vec<Arc<Exchange>> {
        self.ring().all()
    }

    /// The newest of those that `wanted` says.
    pub fn newest(&self, wanted: impl Fn(&Exchange) -> bool) -> Option<Arc<Exchange>> {
        self.all().into_iter().rev().find(|one| wanted(one))
    }

    /// What changed after the change `since`, in the order in which it did; the number of the last
    /// change; and whether everything from before it is gone.
    pub fn since(&self, since: u64) -> (Vec<Arc<Exchange>>, u64, bool) {
        self.ring().since(since)
    }

    /// Follows the number of the last change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Forgets all exchanges that have ended, on disk too.
    pub fn clear(&self) {
        let gone = self.ring().clear();
        drop(gone);
        if let Some(store) = &self.0.store {
            store.clear();
        }
        self.tell();
    }

    /// Forgets one. Says whether it was there.
    pub fn remove(&self, id: u64) -> bool {
        let gone = self.ring().remove(id);
        if let Some(store) = &self.0.store {
            store.remove(id);
        }
        self.tell();
        gone.is_some()
    }

    /// What is on disk, from the start on; to be done before anything else.
    pub(crate) fn restore(&self, exchanges: Vec<Exchange>) {
        let mut ring = self.ring();
        for exchange in exchanges {
            ring.push(Arc::new(exchange));
        }
        let gone = ring.shrink(self.0.limits.requests, &self.0.budget);
        drop(ring);
        drop(gone);
        self.tell();
    }

    fn tell(&self) {
        let now = self.ring().revision();
        self.0.changes.send_if_modified(|last| {
            let is_new = *last != now;
            *last = now;
            is_new
        });
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Each change is whole, so what another thread left behind is good.
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
