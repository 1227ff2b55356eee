//! One agent's authenticated connection, and the way to open exchanges on it.

use std::sync::Arc;
use std::time::SystemTime;

use adit_shared::identity::Fingerprint;
use adit_shared::name::SessionId;
use adit_shared::quic::{Connection, Lost};
use adit_shared::stall::Account;
use adit_shared::stream::{Parts, RecvHalf, SendHalf};
use adit_shared::wire::code::Close;
use adit_shared::wire::frame::Side;
use tokio::sync::Semaphore;

use crate::auth::TokenId;
use crate::exchange::{Exchange, ExchangeError, Slot};

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
    slots: Arc<Semaphore>,
    slots_in_all: usize,
    account: Arc<Account>,
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
    /// that stop reading hold of it is counted on `account`.
    pub fn new(
        newcomer: Newcomer,
        connection: Connection,
        account: Arc<Account>,
        shard: u16,
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
            slots: Arc::new(Semaphore::new(newcomer.exchanges)),
            slots_in_all: newcomer.exchanges,
            account,
        }
    }

    /// Opens an exchange. Nothing is sent yet. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::Overload`] at once when the agent takes no more, or
    /// [`ExchangeError::Lost`].
    pub async fn open(&self) -> Result<Exchange, ExchangeError> {
        let slot = self.slots.clone().try_acquire_owned();
        let slot = slot.map_err(|_| ExchangeError::Overload)?;
        let (send, recv) = self.connection.open().await.map_err(ExchangeError::Lost)?;
        let parts = Parts::new(RecvHalf::new(recv), Side::Response);
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

    /// Ends when the session has ended. Safe to drop.
    pub async fn closed(&self) -> Lost {
        self.connection.closed().await
    }
}
