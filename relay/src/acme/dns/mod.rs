//! DNS records that answer a challenge (RFC 8555 section 8.4): set by a program or at a provider, and
//! removed in the end, also when that fails at first, or the relay crashes in between.

mod cloudflare;
mod hook;
pub mod message;
pub(super) mod server;
mod sweep;
pub mod tsig;
mod update;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Mutex, Notify};

use self::cloudflare::Cloudflare;
use self::message::Change;
use self::update::Server;
use super::AcmeError;
use super::http::{Client, HttpError};
use crate::config;
use crate::store::{Store, dns_records};

/// A TXT record.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Record {
    /// The whole name, with the dot at its end.
    pub(super) name: String,
    pub(super) value: String,
}

impl Record {
    pub(super) fn of_challenge(host: &str, value: String) -> Self {
        Self {
            name: format!("_acme-challenge.{host}."),
            value,
        }
    }
}

/// Sets records and removes them. Cheap to clone.
#[derive(Clone)]
pub(super) struct Dns {
    way: Way,
    store: Store,
    /// How long a record takes until it can be seen everywhere.
    wait: Duration,
    /// Held while an order has records set, and while one that was left behind is removed: there are programs
    /// that remove all of a name. Whether removing those of the relay before was tried.
    is_tidy: Arc<Mutex<bool>>,
    /// Told when an order has ended, and may have left something behind.
    ended: Arc<Notify>,
}

#[derive(Clone)]
enum Way {
    Hook(PathBuf),
    Cloudflare(Arc<Cloudflare>),
    Server(Arc<Server>),
}

impl Dns {
    /// As `config` says, if it says anything.
    ///
    /// # Errors
    ///
    /// [`AcmeError::Tls`] when TLS towards the provider cannot be set up, [`AcmeError::Dns`] when the file
    /// about a server cannot be used.
    pub(super) fn of(config: &config::Acme, store: &Store) -> Result<Option<Self>, AcmeError> {
        let way = match &config.dns {
            None => return Ok(None),
            Some(config::Dns::Hook(program)) => Way::Hook(program.clone()),
            Some(config::Dns::Cloudflare(token)) => {
                let client = Client::new(&adit_shared::quic::tls::Trust::Platform)?;
                Way::Cloudflare(Arc::new(Cloudflare::new(client, token.clone())))
            }
            Some(config::Dns::Rfc2136(file)) => Way::Server(Arc::new(Server::new(file.clone())?)),
        };
        Ok(Some(Self {
            way,
            store: store.clone(),
            wait: config.dns_wait,
            is_tidy: Arc::default(),
            ended: Arc::default(),
        }))
    }

    /// Sets a record. Dropped, it may be set or not.
    pub(super) async fn present(&self, record: &Record) -> Result<(), AcmeError> {
        let Record { name, value } = record.clone();
        let noted = self
            .store
            .call(move |db| dns_records::put(db, &name, &value));
        noted.await?;
        match &self.way {
            Way::Hook(program) => hook::run(program, "present", record).await?,
            Way::Cloudflare(cloudflare) => cloudflare.present(record).await?,
            Way::Server(server) => server.change(Change::Add, record).await?,
        }
        Ok(())
    }

    /// Waits until what was set can be seen everywhere.
    pub(super) async fn settle(&self) {
        tokio::time::sleep(self.wait).await;
    }

    /// Removes a record. What cannot be removed is tried again by [`keep_tidy`](Self::keep_tidy).
    pub(super) async fn cleanup(&self, record: &Record) {
        let removed = match &self.way {
            Way::Hook(program) => hook::run(program, "cleanup", record).await,
            Way::Cloudflare(cloudflare) => cloudflare.cleanup(record).await,
            Way::Server(server) => server.change(Change::Remove, record).await,
        };
        if let Err(error) = removed {
            let error = &error as &dyn std::error::Error;
            return tracing::warn!(name = record.name, error, "a DNS record is left behind");
        }
        let Record { name, value } = record.clone();
        let noted = self
            .store
            .call(move |db| dns_records::remove(db, &name, &value));
        if let Err(error) = noted.await {
            tracing::warn!(%error, "cannot note that a DNS record was removed");
        }
    }
}

/// Why a record is not set or removed.
#[derive(Debug, Error)]
pub enum DnsError {
    /// The program does not run.
    #[error("cannot run {0}: {1}")]
    Run(PathBuf, std::io::Error),
    /// The program failed.
    #[error("{0} {1} failed: {2}; what it wrote is in the log")]
    Failed(PathBuf, &'static str, std::process::ExitStatus),
    /// The program was killed.
    #[error("{0} was killed because it took longer than {1:?}")]
    Late(PathBuf, Duration),
    /// The token cannot be read.
    #[error("cannot read the token in {0}: {1}")]
    Token(PathBuf, std::io::Error),
    /// The provider cannot be reached.
    #[error("cannot ask the DNS provider: {0}")]
    Http(#[from] HttpError),
    /// The provider refused.
    #[error("the DNS provider answers {0}: {1}")]
    Refused(http::StatusCode, String),
    /// The name is in no zone of the provider's that the token may see.
    #[error("the token sees no zone for {0}")]
    NoZone(String),
    /// The file about a server makes no sense.
    #[error("cannot use {0}: {1}")]
    Settings(PathBuf, String),
    /// The name is not in the zone of the file, or its value is too long.
    #[error("{0} is not in the zone of {1}")]
    OtherZone(String, PathBuf),
    /// The server cannot be reached.
    #[error("cannot ask the DNS server {0}: {1}")]
    Unreached(String, std::io::Error),
    /// The server answered, or another in its place.
    #[error("the answer of the DNS server {0} is not believed: {1}")]
    Unbelieved(String, String),
    /// The server refused.
    #[error("the DNS server {0} refuses the change: {1}")]
    Unchanged(String, String),
}
