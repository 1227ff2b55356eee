//! The thread that writes: what waits for it is written and synced together, so that many senders share
//! the price of one sync. Nothing is answered before that.

use std::collections::HashMap;
use std::mem;
use std::thread;

use adit_shared::name::Host;
use aws_lc_rs::rand;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use super::database::{self, Kept, Record, State};
use super::letter::Id;
use super::next;
use super::share::{Sender, Share, Shares};
use super::spare::Spare;
use super::{Limits, Refusal, Shared};
use crate::store::StoreError;

/// Something to be written.
pub(super) enum Work {
    /// Keep a request.
    Put {
        host: Host,
        sender: Option<Sender>,
        state: State,
        attempts: u32,
        sealed: Vec<u8>,
        answer: oneshot::Sender<Result<Id, Refusal>>,
    },
    /// Give the next requests to be delivered.
    Take {
        host: Host,
        answer: oneshot::Sender<Taken>,
    },
    /// Note what became of one.
    Settle(Settled),
    /// Keep an inbox.
    Open {
        record: Record,
        answer: oneshot::Sender<bool>,
    },
    /// Forget an inbox with all that is in it.
    Remove { host: Host },
    /// Look whether another process has changed something.
    Look,
}

/// The next requests to be delivered.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) requests: Vec<Kept>,
    /// When there are more, if that is known: milliseconds since 1970.
    pub(super) due: Option<i64>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) host: Host,
    pub(super) id: Id,
    pub(super) fate: Fate,
}

#[derive(Debug)]
pub(super) enum Fate {
    /// It was delivered.
    Delivered,
    /// It is in this state from now on.
    Now {
        state: State,
        attempts: u32,
        due: i64,
        error: Option<String>,
    },
}

/// How full a host's inbox is.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    counts: [u64; State::ALL.len()],
    bytes: u64,
}

pub(super) struct Writer {
    db: Connection,
    spare: Spare,
    shared: Shared,
    limits: Limits,
    levels: HashMap<Host, Level>,
    shares: Shares,
    bytes: u64,
    last: i64,
    version: i64,
}

/// What came of a piece of work.
enum Said {
    Put(Result<Id, Refusal>),
    Taken(Taken),
    Done,
}

impl Writer {
    pub(super) fn new(
        db: Connection,
        spare: Spare,
        shared: Shared,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        let mut writer = Self {
            db,
            spare,
            shared,
            limits,
            levels: HashMap::new(),
            shares: Shares::default(),
            bytes: 0,
            last: 0,
            version: 0,
        };
        let prepared = writer.prepare();
        prepared.map_err(StoreError::Query)?;
        Ok(writer)
    }

    fn prepare(&mut self) -> rusqlite::Result<()> {
        let page: u64 = self
            .db
            .pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))?
            .unsigned_abs();
        // The last word: whatever was counted wrong, the file does not outgrow this.
        let pages = self.limits.bytes / page.max(1) * 3 / 2 + SPARE_PAGES;
        let pages = i64::try_from(pages).unwrap_or(i64::MAX);
        self.db
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        database::recover(&self.db)?;
        self.last = database::last(&self.db)?;
        self.reload()
    }

    /// Works on a thread until nobody can send more work.
    ///
    /// # Errors
    ///
    /// [`StoreError::Thread`].
    pub(super) fn start(mut self, mut todo: mpsc::Receiver<Work>) -> Result<(), StoreError> {
        let work = move || {
            let mut batch = Vec::with_capacity(BATCH);
            while todo.blocking_recv_many(&mut batch, BATCH) > 0 {
                for part in parts(mem::take(&mut batch)) {
                    self.write(part);
                }
            }
        };
        let thread = thread::Builder::new().name("inbox".into()).spawn(work);
        thread.map(drop).map_err(StoreError::Thread)
    }

    fn write(&mut self, batch: Vec<Work>) {
        // Also when there is always something else to do.
        if batch.iter().any(|work| matches!(work, Work::Look)) {
            self.look();
        }
        match self.commit(&batch) {
            Ok(said) => self.answer(batch, said),
            Err(error) => {
                self.undo();
                tracing::warn!(%error, "inbox: cannot write");
                if is_full(&error) && self.spare.give_up() {
                    self.carry_over();
                }
                for work in batch {
                    // What makes room must get through where what needs room does not.
                    match self.commit(std::slice::from_ref(&work)) {
                        Ok(said) => self.answer(vec![work], said),
                        Err(error) => {
                            self.undo();
                            fail(work, &error);
                        }
                    }
                }
            }
        }
    }

    /// Does all of it, or nothing, and has it on disk then.
    fn commit(&mut self, batch: &[Work]) -> rusqlite::Result<Vec<Said>> {
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let said = batch.iter().map(|work| self.one(work));
        let said = said.collect::<rusqlite::Result<_>>()?;
        self.db.execute_batch("COMMIT")?;
        Ok(said)
    }

    /// What is left of the disk is for what makes room.
    fn carry_over(&self) {
        tracing::warn!("inbox: the disk is full; nothing is kept until there is room again");
        if let Err(error) = database::carry_over(&self.db) {
            tracing::warn!(%error, "inbox: cannot carry the log over");
        }
    }

    fn undo(&mut self) {
        if !self.db.is_autocommit() {
            // A failure may have ended the transaction by itself.
            drop(self.db.execute_batch("ROLLBACK"));
        }
        if let Err(error) = self.recount() {
            tracing::warn!(%error, "inbox: cannot count what is kept");
        }
    }

    fn one(&mut self, work: &Work) -> rusqlite::Result<Said> {
        match work {
            Work::Put {
                host,
                sender,
                state,
                attempts,
                sealed,
                ..
            } => {
                let put = self.put(host, *sender, *state, *attempts, sealed);
                put.map(Said::Put)
            }
            Work::Take { host, .. } => {
                let now = database::now();
                let requests = next::take(&self.db, host, now, TAKEN, TAKEN_BYTES)?;
                let due = next::due(&self.db, host)?;
                Ok(Said::Taken(Taken { requests, due }))
            }
            Work::Settle(settled) => self.settle(settled).map(|()| Said::Done),
            Work::Open { record, .. } => {
                database::put_inbox(&self.db, record)?;
                Ok(Said::Done)
            }
            Work::Remove { host } => {
                database::remove_inbox(&self.db, host)?;
                let level = self.levels.remove(host).unwrap_or_default();
                self.shares.forget(host);
                self.bytes = self.bytes.saturating_sub(level.bytes);
                Ok(Said::Done)
            }
            Work::Look => Ok(Said::Done),
        }
    }

    fn put(
        &mut self,
        host: &Host,
        sender: Option<Sender>,
        state: State,
        attempts: u32,
        sealed: &[u8],
    ) -> rusqlite::Result<Result<Id, Refusal>> {
        if !self.spare.is_held() {
            return Ok(Err(Refusal::Disk));
        }
        let size = sealed.len() as u64;
        let level = self.levels.entry(host.clone()).or_default();
        let count: u64 = level.counts.iter().sum();
        if count >= self.limits.requests_per_tunnel
            || level.bytes + size > self.limits.bytes_per_tunnel
        {
            return Ok(Err(Refusal::Full));
        }
        if self.bytes + size > self.limits.bytes {
            return Ok(Err(Refusal::RelayFull));
        }
        let has_room = |sender| self.shares.has_room(host, sender, size, &self.limits);
        if !sender.is_none_or(has_room) {
            return Ok(Err(Refusal::Share));
        }
        let id = Id(fresh(self.last));
        database::put(&self.db, id, host, sender, state, attempts, sealed)?;
        if let Some(sender) = sender {
            let more = Share {
                count: 1,
                bytes: size,
            };
            self.shares.add(host, sender, more);
        }
        self.last = id.0;
        level.counts[state as usize] += 1;
        level.bytes += size;
        self.bytes += size;
        Ok(Ok(id))
    }

    fn settle(&mut self, settled: &Settled) -> rusqlite::Result<()> {
        let Settled { host, id, fate } = settled;
        let level = self.levels.entry(host.clone()).or_default();
        match fate {
            Fate::Delivered => {
                if let Some(gone) = database::delete(&self.db, *id)? {
                    level.leave(gone.state);
                    level.bytes = level.bytes.saturating_sub(gone.size);
                    self.bytes = self.bytes.saturating_sub(gone.size);
                    if let Some(sender) = gone.sender {
                        self.shares.leave(host, sender, gone.size);
                    }
                }
            }
            Fate::Now {
                state,
                attempts,
                due,
                error,
            } => {
                let error = error.as_deref();
                let before = database::update(&self.db, *id, *state, *attempts, *due, error)?;
                if let Some((before, _)) = before {
                    level.leave(before);
                    level.counts[*state as usize] += 1;
                }
            }
        }
        Ok(())
    }

    /// Says what is on disk now.
    fn answer(&self, batch: Vec<Work>, said: Vec<Said>) {
        for work in &batch {
            if let Some(host) = work.host() {
                self.publish(host);
            }
        }
        // Whoever waits for an answer may have left.
        for (work, said) in batch.into_iter().zip(said) {
            match (work, said) {
                (Work::Put { host, answer, .. }, Said::Put(put)) => {
                    self.shared.wake(&host);
                    let _ = answer.send(put);
                }
                (Work::Take { answer, .. }, Said::Taken(taken)) => drop(answer.send(taken)),
                (Work::Open { answer, .. }, _) => drop(answer.send(true)),
                (Work::Settle(settled), _) => self.shared.wake(&settled.host),
                _ => {}
            }
        }
    }

    fn publish(&self, host: &Host) {
        if let Some(tray) = self.shared.tray(host) {
            let level = self.levels.get(host).copied().unwrap_or_default();
            tray.set_levels(level.counts, level.bytes);
        }
    }

    /// Takes over what another process has changed, if it has, and gives back what is not used.
    fn look(&mut self) {
        let looked = database::version(&self.db).and_then(|version| {
            if version != self.version {
                self.reload()?;
            }
            if self.bytes == 0 {
                database::shrink(&self.db)?;
            }
            self.spare.regain();
            Ok(())
        });
        if let Err(error) = looked {
            tracing::warn!(%error, "inbox: cannot look for changes");
        }
    }

    fn reload(&mut self) -> rusqlite::Result<()> {
        // The version comes first: a change that falls between the two is read twice, not missed.
        self.version = database::version(&self.db)?;
        self.shared.take_over(database::inboxes(&self.db)?);
        self.recount()
    }

    fn recount(&mut self) -> rusqlite::Result<()> {
        self.levels.clear();
        self.shares.clear();
        self.bytes = 0;
        for (host, sender, share) in database::shares(&self.db)? {
            self.shares.add(&host, sender, share);
        }
        for found in database::levels(&self.db)? {
            let level = self.levels.entry(found.host).or_default();
            level.counts[found.state as usize] += found.count;
            level.bytes += found.bytes;
            self.bytes += found.bytes;
        }
        for tray in self.shared.trays() {
            self.publish(&tray.host);
            tray.changed.notify_one();
        }
        Ok(())
    }
}

impl Level {
    fn leave(&mut self, state: State) {
        let count = &mut self.counts[state as usize];
        *count = count.saturating_sub(1);
    }
}

impl Work {
    fn host(&self) -> Option<&Host> {
        match self {
            Self::Put { host, .. } | Self::Take { host, .. } | Self::Remove { host } => Some(host),
            Self::Settle(settled) => Some(&settled.host),
            Self::Open { record, .. } => Some(&record.host),
            Self::Look => None,
        }
    }
}

/// Says that a piece of work was not done. Who waits for another answer than that hears none.
fn fail(work: Work, error: &rusqlite::Error) {
    let is_full = is_full(error);
    match work {
        Work::Put { answer, .. } => {
            let why = if is_full {
                Refusal::Disk
            } else {
                Refusal::Failed
            };
            let _ = answer.send(Err(why));
        }
        Work::Settle(Settled { host, id, .. }) => {
            tracing::warn!(%host, %id, %error, "inbox: cannot note what became of a request");
        }
        Work::Take { .. } | Work::Open { .. } | Work::Remove { .. } | Work::Look => {
            tracing::warn!(%error, "inbox: the database failed");
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure)
    )
}

/// The work in parts that the log has room for, each written with one sync.
fn parts(batch: Vec<Work>) -> Vec<Vec<Work>> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for work in batch {
        let more = match &work {
            Work::Put { sealed, .. } => sealed.len(),
            _ => 0,
        };
        if bytes + more > PART && !part.is_empty() {
            parts.push(mem::take(&mut part));
            bytes = 0;
        }
        bytes += more;
        part.push(work);
    }
    parts.push(part);
    parts
}

/// How much carrying the log over can add to the database, in bytes: as much as the log has before that happens,
/// and what is written with one sync.
pub(super) fn spare(limits: &Limits) -> usize {
    let log = (database::PAGE * database::CHECKPOINT).unsigned_abs();
    let part = (PART as u64).max(limits.body);
    usize::try_from(log + 2 * part).unwrap_or(usize::MAX)
}

/// A number above `last` that says when, but not how many there were.
fn fresh(last: i64) -> i64 {
    let mut random = [0; 2];
    // Without randomness numbers are easier to guess, and still different.
    let _ = rand::fill(&mut random);
    let now = (database::now() << 18) + i64::from(u16::from_ne_bytes(random));
    now.max(last + 1)
}

/// Pieces of work that are written together at most.
const BATCH: usize = 512;
/// Requests that are taken at once to be delivered, and what they have in bytes at most.
const TAKEN: usize = 64;
const TAKEN_BYTES: usize = 4 << 20;
/// Bytes of requests that are written together at most.
const PART: usize = 4 << 20;
/// Pages for everything that is no request.
const SPARE_PAGES: u64 = 256;
