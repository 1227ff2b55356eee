//! One agent's authenticated connection, and the way to open exchanges on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use adit_shared::identity::Fingerprint;
use adit_shared::name::SessionId;
use adit_shared::quic::{Connection, Lost};
use adit_shared::stall::Account;
use adit_shared::stream::{Parts, RecvHalf, SendHalf};
use adit_shared::wire::code::Close;
use adit_shared::wire::frame::Side;
use tokio::sync::{Notify, Semaphore};

use crate::auth::TokenId;
use crate::exchange::{Exchange, ExchangeError, Slot};
use crate::metrics::{Metrics, Tally};

/// One agent's authenticated connection.
#[derive(Debug)]
pub struct Session {
    /// The number of the session.
    pub id: SessionId,
    /// Whose it is.
    pub owner: Fingerprint,
    /// The token that allowed it, if tokens are needed.
    pub token: Option<TokenId>,
    /// Which process of its owner it is.
    pub instance: [u8; 16],
    /// Program and version, as the agent says.
    pub version: String,
    /// When it was welcomed.
    pub since: SystemTime,
    /// The number of the shard that its connection is on.
    pub shard: u16,
    connection: Connection,
    superseded: Notify,
    /// An older session of the same agent that goes on beside this one; 0 for none.
    keeps: AtomicU64,
    /// Whether its agent wants to know how requests came.
    tells: AtomicBool,
    slots: Arc<Semaphore>,
    slots_in_all: usize,
    account: Arc<Account>,
    tally: Tally,
    metrics: Arc<Metrics>,
}

/// What is known of an agent when it is welcomed.
#[derive(Debug)]
pub struct Newcomer {
    /// Whose connection it is.
    pub owner: Fingerprint,
    /// The token that allowed it.
    pub token: Option<TokenId>,
    /// Which process of its owner it is.
    pub instance: [u8; 16],
    /// Program and version, as the agent says.
    pub version: String,
    /// How many exchanges may be open at once.
    pub exchanges: usize,
}

impl Session {
    /// A session for an agent that proved itself on `connection`, which is on `shard`; what visitors
    /// that stop reading hold of it is counted on `account`, its packets on `metrics`.
    pub fn new(
        newcomer: Newcomer,
        connection: Connection,
        account: Arc<Account>,
        shard: u16,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            id: SessionId::next(),
            owner: newcomer.owner,
            token: newcomer.token,
            instance: newcomer.instance,
            version: newcomer.version,
            since: SystemTime::now(),
            shard,
            connection,
            superseded: Notify::new(),
            keeps: AtomicU64::new(0),
            tells: AtomicBool::new(false),
            slots: Arc::new(Semaphore::new(newcomer.exchanges)),
            slots_in_all: newcomer.exchanges,
            account,
            tally: Tally::default(),
            metrics,
        }
    }

    /// Counts the packets that were sent and lost since the last time.
    pub fn count_packets(&self) {
        self.tally.count(&self.connection, &self.metrics);
    }

    /// Its agent wants to know how requests came.
    pub fn tell(&self) {
        self.tells.store(true, Ordering::Relaxed);
    }

    /// Whether its agent wants to know how requests came.
    pub fn tells(&self) -> bool {
        self.tells.load(Ordering::Relaxed)
    }

    /// Opens an exchange. Nothing is sent yet. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::Overload`] at once when the agent takes no more, or
    /// [`ExchangeError::Lost`].
    pub async fn open(&self) -> Result<Exchange, ExchangeError> {
        let slot = self.slots.clone().try_acquire_owned();
        let slot = slot.map_err(|_| {
            // Whoever comes next finds room, if somebody only keeps it.
            self.account.make_room();
            ExchangeError::Overload
        })?;
        let (send, recv) = self.connection.open().await.map_err(ExchangeError::Lost)?;
        // Boxed, since it is handed on through many calls.
        let parts = Box::new(Parts::new(RecvHalf::new(recv), Side::Response));
        let slot = Slot::new(slot, self.account.clone());
        Ok(Exchange::new(SendHalf::new(send), parts, slot))
    }

    /// How many exchanges are open.
    pub fn in_flight(&self) -> usize {
        self.slots_in_all - self.slots.available_permits()
    }

    /// The connection underneath.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Ends the session: every exchange on it is lost.
    pub fn close(&self, code: Close, reason: &str) {
        self.connection.close(code, reason);
    }

    /// The agent wants its `older` session to go on beside this one.
    pub fn keep(&self, older: u64) {
        self.keeps.store(older, Ordering::Relaxed);
    }

    /// Whether `older` goes on when this session takes its hosts over.
    pub fn keeps(&self, older: &Self) -> bool {
        let is_meant = u64::from(older.id) == self.keeps.load(Ordering::Relaxed);
        is_meant && self.is_of_same_process(older)
    }

    /// Whether `other` is of the same agent process.
    pub fn is_of_same_process(&self, other: &Self) -> bool {
        (self.owner, self.instance) == (other.owner, other.instance)
    }

    /// A newer session of the same agent process serves its hosts now.
    pub fn supersede(&self) {
        self.superseded.notify_one();
    }

    /// Ends when the session was superseded; for one waiter. Safe to drop.
    pub async fn superseded(&self) {
        self.superseded.notified().await;
    }

    /// Ends when the session has ended. Safe to drop.
    pub async fn closed(&self) -> Lost {
        self.connection.closed().await
    }
}
