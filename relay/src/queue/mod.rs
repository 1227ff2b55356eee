//! The inbox: requests that cannot be served now are kept on disk and delivered later, so that no webhook
//! is lost while its agent sleeps.
//!
//! - [`letter`]: a request as it is kept;
//! - [`database`]: what is on disk;
//! - `next`: what is delivered next;
//! - `spare`: room on the disk for what makes room;
//! - [`tray`]: one host's inbox in memory;
//! - [`share`]: what each address has of it;
//! - `writer`: the thread that writes many requests with one sync;
//! - [`collect`]: the whole body of a request, within bounds;
//! - [`deliver`]: kept requests on their way to the agent.
//!
//! One invariant: a visitor is told that its request is kept when it is on disk, and never before; and a
//! request that an origin may have seen is never delivered as if it were the first time, whatever ends
//! this program in between.

pub mod collect;
pub mod database;
pub mod deliver;
pub mod letter;
mod next;
pub mod share;
mod spare;
#[cfg(test)]
mod tests;
pub mod tray;
mod writer;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::identity::Fingerprint;
use adit_shared::name::Host;
use adit_shared::task::Tasks;
use adit_shared::wire::fields::HeadTooLarge;
use adit_shared::wire::inbox::{Causes, Inbox as Wish};
use bytes::Bytes;
use dashmap::DashMap;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::interval;

use self::database::{Kept, Record, State};
use self::letter::{Id, Letter};
use self::share::Sender;
use self::spare::Spare;
pub use self::tray::Tray;
use self::writer::{Fate, Settled, Taken, Work, Writer};
use crate::auth::TokenId;
use crate::metrics::{self, Inboxes as Counts};
use crate::route::{Owner, Routes};
use crate::store::StoreError;
use crate::store::seal::{Seal, SealError};

/// What may be kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Requests of one tunnel.
    pub requests_per_tunnel: u64,
    /// Bytes of one tunnel's requests on disk.
    pub bytes_per_tunnel: u64,
    /// Requests of one address in one tunnel's inbox.
    pub requests_per_address: u64,
    /// Bytes of these on disk.
    pub bytes_per_address: u64,
    /// Bytes of all requests on disk.
    pub bytes: u64,
    /// Bytes of one request's body.
    pub body: u64,
    /// Bytes of bodies in memory, on their way to disk or beside the origin's answer.
    pub memory: usize,
    /// How often an origin may fail on a request until that is set aside for good.
    pub attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_tunnel: 20_000,
            bytes_per_tunnel: 256 << 20,
            // A quarter is left for others: a sender of webhooks has several addresses, or is the only one.
            requests_per_address: 15_000,
            bytes_per_address: 192 << 20,
            bytes: 2 << 30,
            body: 4 << 20,
            memory: 64 << 20,
            attempts: 12,
        }
    }
}

impl Limits {
    /// Name, meaning and value of each, to be shown beside what they bound.
    pub fn list(&self) -> [(&'static str, &'static str, usize); 8] {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        [
            (
                "inbox_requests_per_tunnel",
                "Requests in one tunnel's inbox",
                number(self.requests_per_tunnel),
            ),
            (
                "inbox_bytes_per_tunnel",
                "Bytes of one tunnel's inbox",
                number(self.bytes_per_tunnel),
            ),
            (
                "inbox_requests_per_address",
                "Requests of one address in one tunnel's inbox",
                number(self.requests_per_address),
            ),
            (
                "inbox_bytes_per_address",
                "Bytes of one address in one tunnel's inbox",
                number(self.bytes_per_address),
            ),
            ("inbox_bytes", "Bytes of all inboxes", number(self.bytes)),
            (
                "inbox_body",
                "Bytes of the body of a request that is kept",
                number(self.body),
            ),
            (
                "inbox_memory",
                "Bytes of bodies in memory for inboxes",
                self.memory,
            ),
            (
                "inbox_attempts",
                "Attempts to deliver a request from an inbox",
                self.attempts as usize,
            ),
        ]
    }
}

/// All inboxes of a relay; or none, when it keeps nothing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inboxes(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    shared: Shared,
    work: mpsc::Sender<Work>,
    seal: Seal,
    limits: Limits,
    room: Arc<Semaphore>,
}

/// What the writer knows, too.
#[derive(Clone, Debug)]
struct Shared {
    trays: Arc<DashMap<Host, Arc<Tray>>>,
    routes: Routes,
    counts: Arc<Counts>,
}

impl Shared {
    fn tray(&self, host: &Host) -> Option<Arc<Tray>> {
        self.trays.get(host).map(|tray| tray.clone())
    }

    fn trays(&self) -> Vec<Arc<Tray>> {
        self.trays.iter().map(|tray| tray.value().clone()).collect()
    }

    fn wake(&self, host: &Host) {
        if let Some(tray) = self.tray(host) {
            tray.changed.notify_one();
        }
    }

    /// These are all inboxes that there are.
    fn take_over(&self, records: Vec<Record>) {
        self.trays.retain(|host, _| {
            let stays = records.iter().any(|record| record.host == *host);
            if !stays {
                self.routes.set_inbox(host, None);
            }
            stays
        });
        for record in records {
            self.put(record);
        }
    }

    fn put(&self, record: Record) {
        let owner = Owner {
            identity: record.owner,
            token: record.token.as_deref().and_then(|id| id.parse().ok()),
        };
        self.routes
            .set_inbox(&record.host, record.open.then_some(owner));
        match self.trays.entry(record.host.clone()) {
            dashmap::Entry::Occupied(tray) => tray.get().set_record(record),
            dashmap::Entry::Vacant(place) => {
                place.insert(Arc::new(Tray::new(record)));
            }
        }
    }
}

impl Inboxes {
    /// None at all.
    pub fn off() -> Self {
        Self(None)
    }

    /// Those in `state_dir`. The hosts that have one are known to `routes` from then on.
    ///
    /// # Errors
    ///
    /// [`InboxError`].
    pub fn open(state_dir: &Path, limits: Limits, routes: Routes) -> Result<Self, InboxError> {
        let (work, todo) = mpsc::channel(WAITING);
        let shared = Shared {
            trays: Arc::default(),
            routes,
            counts: Arc::default(),
        };
        let db = database::connect(state_dir)?;
        let spare = Spare::beside(&database::path(state_dir), writer::spare(&limits));
        Writer::new(db, spare, shared.clone(), limits.clone())?.start(todo)?;
        Ok(Self(Some(Arc::new(Open {
            shared,
            work,
            seal: Seal::of(state_dir)?,
            room: Arc::new(Semaphore::new(limits.memory)),
            limits,
        }))))
    }

    /// The inbox of a host.
    pub fn tray(&self, host: &Host) -> Option<Arc<Tray>> {
        self.0.as_ref()?.shared.tray(host)
    }

    /// All inboxes, in order.
    pub fn list(&self) -> Vec<Arc<Tray>> {
        let mut list = self
            .0
            .as_ref()
            .map_or_else(Vec::new, |open| open.shared.trays());
        list.sort_by(|one, other| one.host.cmp(&other.host));
        list
    }

    /// What they hold together.
    pub fn kept(&self) -> metrics::Kept {
        let mut kept = metrics::Kept::default();
        for tray in self.list() {
            let dead = tray.count(State::Dead);
            kept.waiting += tray.total() - dead;
            kept.dead += dead;
            kept.bytes += tray.bytes();
        }
        kept
    }

    /// What was counted.
    pub fn counts(&self) -> Option<&Counts> {
        self.0.as_ref().map(|open| &*open.shared.counts)
    }

    /// What may be kept; nothing when nothing is.
    pub fn limits(&self) -> Option<&Limits> {
        self.0.as_ref().map(|open| &open.limits)
    }

    /// Gives the owner of `host` the inbox that it wants. What somebody else has left there goes. Not safe
    /// to drop.
    ///
    /// # Errors
    ///
    /// Why there is none, in words for the agent's user.
    pub async fn claim(
        &self,
        host: &Host,
        owner: Fingerprint,
        token: Option<TokenId>,
        wish: Option<&Wish>,
    ) -> Result<Option<Arc<Tray>>, &'static str> {
        let Some(open) = &self.0 else {
            return match wish {
                Some(_) => Err("this relay keeps no requests: its operator has said --inbox=false"),
                None => Ok(None),
            };
        };
        let mut tray = open.shared.tray(host);
        if let Some(old) = tray.take_if(|tray| !tray.belongs_to(owner, token)) {
            open.forget(&old).await;
        }
        let record = match (wish, &tray) {
            (Some(wish), tray) => record(host, owner, token, wish, tray.as_deref())?,
            (None, Some(tray)) => Record {
                open: false,
                ..Record::clone(&tray.record())
            },
            (None, None) => return Ok(None),
        };
        if record.open && tray.is_none() && open.is_above(owner) {
            return Err("this agent has as many inboxes as it may have here");
        }
        // One that is not wanted any more goes when it is empty.
        if !record.open && tray.as_ref().is_some_and(|tray| tray.total() == 0) {
            if let Some(tray) = &tray {
                open.forget(tray).await;
            }
            return Ok(None);
        }
        let (answer, done) = oneshot::channel();
        let work = Work::Open {
            record: record.clone(),
            answer,
        };
        if open.work.send(work).await.is_err() || !done.await.unwrap_or(false) {
            return Err("the relay's database of kept requests failed");
        }
        open.shared.put(record);
        Ok(open.shared.tray(host))
    }

    /// Keeps a request that was tried `attempts` times before, and that counts as one of `sender` if that is
    /// known. Dropping the future may be too late to prevent that.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; then it is not kept.
    pub async fn put(
        &self,
        tray: &Tray,
        letter: &Letter,
        sender: Option<IpAddr>,
        state: State,
        attempts: u32,
    ) -> Result<Id, Refusal> {
        let open = self.0.as_ref().ok_or(Refusal::Failed)?;
        let put = open.put(tray, letter, sender, state, attempts).await;
        let counts = &open.shared.counts;
        match &put {
            Ok(_) => counts.kept.inc(),
            Err(_) => counts.refused.inc(),
        }
        put
    }

    /// Notes that a request was delivered.
    pub async fn delivered(&self, host: &Host, id: Id) {
        if let Some(open) = &self.0 {
            open.shared.counts.delivered.inc();
            open.settle(host, id, Fate::Delivered).await;
        }
    }

    /// Notes that the origin has failed on a request for the `attempts`-th time: it is tried again later,
    /// or not any more.
    pub async fn failed(&self, host: &Host, id: Id, attempts: u32, error: String) {
        let Some(open) = &self.0 else { return };
        let state = if attempts >= open.limits.attempts {
            open.shared.counts.dead.inc();
            tracing::warn!(%host, %id, attempts, error, "inbox: tried too often");
            State::Dead
        } else {
            open.shared.counts.retried.inc();
            State::Aside
        };
        let wait = i64::try_from(pause(attempts).as_millis()).unwrap_or(i64::MAX);
        let due = database::now().saturating_add(wait);
        let error = Some(error);
        open.settle(
            host,
            id,
            Fate::Now {
                state,
                attempts,
                due,
                error,
            },
        )
        .await;
    }

    /// Notes that a request waits for its turn again, tried `attempts` times.
    pub async fn waits(&self, host: &Host, id: Id, attempts: u32, error: Option<String>) {
        if let Some(open) = &self.0 {
            let fate = Fate::Now {
                state: State::Waiting,
                attempts,
                due: 0,
                error,
            };
            open.settle(host, id, fate).await;
        }
    }

    async fn take(&self, host: &Host) -> Option<Taken> {
        let open = self.0.as_ref()?;
        let (answer, taken) = oneshot::channel();
        let host = host.clone();
        open.work.send(Work::Take { host, answer }).await.ok()?;
        taken.await.ok()
    }

    /// What lies in `kept`, which is for `host`.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    fn unseal(&self, host: &Host, kept: &Kept) -> Result<Letter, String> {
        let open = self.0.as_ref().ok_or("there are no inboxes")?;
        read(&open.seal, host, kept)
    }

    /// Looks each second whether another process has changed something, until `tasks` stop.
    pub async fn watch(self, tasks: Tasks) {
        let mut ticks = interval(LOOK);
        loop {
            tokio::select! {
                biased;
                () = tasks.stopped() => return,
                _ = ticks.tick() => {}
            }
            if let Some(open) = &self.0 {
                // When there is no room, it is busy enough.
                drop(open.work.try_send(Work::Look));
            }
        }
    }
}

impl Open {
    async fn put(
        &self,
        tray: &Tray,
        letter: &Letter,
        sender: Option<IpAddr>,
        state: State,
        attempts: u32,
    ) -> Result<Id, Refusal> {
        let bytes = letter.encode()?;
        let purpose = purpose(&tray.host);
        let sealed = self.seal.seal(&purpose, &bytes);
        let sender = sender.map(|ip| Sender(self.seal.mark(&purpose, &ip.to_string())));
        let (answer, put) = oneshot::channel();
        let work = Work::Put {
            host: tray.host.clone(),
            sender,
            state,
            attempts,
            sealed: sealed.map_err(|_| Refusal::Failed)?,
            answer,
        };
        self.work.send(work).await.map_err(|_| Refusal::Failed)?;
        put.await.map_err(|_| Refusal::Failed)?
    }

    async fn settle(&self, host: &Host, id: Id, fate: Fate) {
        let host = host.clone();
        let settled = Settled { host, id, fate };
        if self.work.send(Work::Settle(settled)).await.is_err() {
            tracing::error!(%id, "inbox: the thread that writes has ended");
        }
    }

    /// Forgets an inbox with all that is in it.
    async fn forget(&self, tray: &Tray) {
        let (host, requests) = (tray.host.clone(), tray.total());
        if requests > 0 {
            tracing::warn!(%host, requests, "inbox: forgotten, since its host has another owner");
            self.shared.counts.forgotten.add(requests);
        }
        self.shared.routes.set_inbox(&host, None);
        self.shared.trays.remove(&host);
        drop(self.work.send(Work::Remove { host }).await);
    }

    /// Whether an owner has as many inboxes as one may have.
    fn is_above(&self, owner: Fingerprint) -> bool {
        let trays = self.shared.trays.iter();
        trays.filter(|tray| tray.record().owner == owner).count() >= MOST
    }
}

fn record(
    host: &Host,
    owner: Fingerprint,
    token: Option<TokenId>,
    wish: &Wish,
    before: Option<&Tray>,
) -> Result<Record, &'static str> {
    let patterns = wish.patterns.iter().map(|text| text.parse());
    let patterns = patterns.collect::<Result<Vec<_>, _>>();
    let status = u16::try_from(wish.status).ok();
    Ok(Record {
        host: host.clone(),
        owner,
        token: token.map(|id| id.to_string()),
        open: true,
        paused: before.is_some_and(|tray| tray.record().paused),
        causes: Causes(wish.causes.0 & i64::MAX.unsigned_abs()),
        status: status
            .filter(|status| (200..300).contains(status))
            .ok_or("an inbox answers with a status of 200 to 299")?,
        ack_within: wish.ack_within_ms,
        parallel: wish.parallel.clamp(1, MOST_PARALLEL),
        patterns: patterns.map_err(|_| "a pattern of the inbox is none")?,
    })
}

/// What lies in `kept`, which is for `host`.
///
/// # Errors
///
/// Why it cannot be read.
pub fn read(seal: &Seal, host: &Host, kept: &Kept) -> Result<Letter, String> {
    let bytes = seal.open(&purpose(host), &kept.sealed);
    let bytes = bytes.map_err(|error| error.to_string())?;
    Letter::decode(Bytes::from(bytes)).map_err(|error| error.to_string())
}

fn purpose(host: &Host) -> String {
    format!("inbox {host}")
}

/// How long after the `attempts`-th failure a request is tried again.
fn pause(attempts: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    doubled.min(LAST_PAUSE)
}

/// Why a request is not kept.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// The tunnel has as much as it may.
    #[error("the tunnel's inbox is full")]
    Full,
    /// The visitor's address has as much of it as one may have.
    #[error("the visitor's address has its share of the tunnel's inbox")]
    Share,
    /// All tunnels together have.
    #[error("the relay's inboxes are full")]
    RelayFull,
    /// The disk is full.
    #[error("the disk is full")]
    Disk,
    /// The database failed.
    #[error("the database of kept requests failed")]
    Failed,
    /// Its body is larger than what is kept.
    #[error("the request's body is too large to be kept")]
    TooLarge,
    /// There is no memory for it at the moment.
    #[error("too many requests are being kept at once")]
    Busy,
}

impl From<HeadTooLarge> for Refusal {
    fn from(_: HeadTooLarge) -> Self {
        Self::TooLarge
    }
}

/// Why there are no inboxes.
#[derive(Debug, Error)]
pub enum InboxError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no key to seal requests with.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Pieces of work that may wait for the writer; whoever has the next one waits too.
const WAITING: usize = 1024;
/// Inboxes of one identity: as many as hosts that are remembered of it.
const MOST: usize = crate::route::REMEMBERED;
/// Deliveries of one tunnel at once.
const MOST_PARALLEL: u64 = 64;
/// How often changes by other processes are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How long a request is set aside after its first failure, and at most: with twelve attempts it takes
/// close to an hour until it is dead.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LAST_PAUSE: Duration = Duration::from_secs(20 * 60);
