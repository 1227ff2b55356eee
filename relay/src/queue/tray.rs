//! One host's inbox in memory: what its agent wants, and how full it is. The requests are on disk.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use adit_shared::identity::Fingerprint;
use adit_shared::name::Host;
use http::Method;
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::database::{Record, State};
use crate::auth::TokenId;

/// One host's inbox.
#[derive(Debug)]
pub struct Tray {
    /// The host.
    pub host: Host,
    record: RwLock<Arc<Record>>,
    counts: [AtomicU64; State::ALL.len()],
    bytes: AtomicU64,
    /// Something came in, or became due.
    pub(super) changed: Notify,
    /// Nothing waits any more.
    emptied: Notify,
    /// Nothing can be delivered at the moment, though there is a session.
    pub(super) is_stuck: AtomicBool,
    /// Held by whoever delivers: one session at a time.
    pub(super) turn: Mutex<()>,
}

impl Tray {
    pub(super) fn new(record: Record) -> Self {
        Self {
            host: record.host.clone(),
            record: RwLock::new(Arc::new(record)),
            counts: Default::default(),
            bytes: AtomicU64::new(0),
            changed: Notify::new(),
            emptied: Notify::new(),
            is_stuck: AtomicBool::new(false),
            turn: Mutex::new(()),
        }
    }

    /// What its agent wants.
    pub fn record(&self) -> Arc<Record> {
        let record = self.record.read().unwrap_or_else(PoisonError::into_inner);
        record.clone()
    }

    pub(super) fn set_record(&self, record: Record) {
        let mut now = self.record.write().unwrap_or_else(PoisonError::into_inner);
        *now = Arc::new(record);
    }

    /// Whether what is in it is for this owner.
    pub fn belongs_to(&self, identity: Fingerprint, token: Option<TokenId>) -> bool {
        let record = self.record();
        let by_token = record.token.is_some() && record.token == token.map(|id| id.to_string());
        record.owner == identity || by_token
    }

    /// Whether a request with this method and path is kept when it cannot be served. Methods that change
    /// nothing are none of a sender that relies on being heard.
    pub fn wants(&self, method: &Method, path: &str) -> bool {
        let is_safe = matches!(
            *method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::CONNECT
        );
        let record = self.record();
        !is_safe && record.open && record.patterns.iter().any(|one| one.matches(path))
    }

    /// Waits until what came before is delivered, if that is near. Says whether it is: then a request that
    /// comes now keeps its place although it is served at once. Safe to drop.
    pub async fn is_soon_empty(&self) -> bool {
        let waiting = self.count(State::Waiting);
        let is_stuck = self.is_stuck.load(Ordering::Relaxed) || self.record().paused;
        match waiting {
            _ if is_stuck => false,
            0 => true,
            1..=FEW => timeout(MOMENT, self.wait_until_empty()).await.is_ok(),
            _ => false,
        }
    }

    async fn wait_until_empty(&self) {
        loop {
            let mut emptied = pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.count(State::Waiting) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// How many requests are in this state.
    pub fn count(&self, state: State) -> u64 {
        self.counts[state as usize].load(Ordering::Relaxed)
    }

    /// How many requests there are.
    pub fn total(&self) -> u64 {
        State::ALL.iter().map(|state| self.count(*state)).sum()
    }

    /// How many bytes they take on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_levels(&self, counts: [u64; State::ALL.len()], bytes: u64) {
        for (to, count) in self.counts.iter().zip(counts) {
            to.store(count, Ordering::Relaxed);
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        if self.count(State::Waiting) == 0 {
            self.emptied.notify_waiters();
        }
    }
}

/// So many requests are delivered in a moment, and for so long one that comes behind them waits.
const FEW: u64 = 64;
const MOMENT: Duration = Duration::from_millis(500);
