//! Exchanges on disk, so that they are there after a restart: one SQLite file, written by a thread of its
//! own. Whoever is captured never waits for it: what comes too fast for the disk is left out of the file. What
//! is to be forgotten never is: it is noted apart, and gone with the next write.
//!
//! The file holds what visitors sent, secrets and all, so nobody else on the machine may read it.

mod row;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use self::row::{Row, SCHEMA, load};
use super::Capture;
use super::exchange::Exchange;
use super::limits::Limits;

/// The file. Cheap to clone; it is closed with the last clone.
#[derive(Clone, Debug)]
pub struct Store {
    work: SyncSender<Work>,
    gone: Gone,
}

enum Work {
    /// Keep it, if all was not forgotten more often since than this.
    Keep(Box<Row>, u64),
    /// Look at what is to be forgotten.
    Forget,
    Flush(oneshot::Sender<()>),
}

/// What is to be forgotten. It has room however much waits for the disk.
#[derive(Clone, Debug, Default)]
struct Gone(Arc<Mutex<Forgotten>>);

#[derive(Clone, Debug, Default)]
struct Forgotten {
    /// How often all was.
    cleared: u64,
    /// Single ones that may be in the file, or wait for it.
    removed: BTreeSet<u64>,
}

impl Gone {
    fn lock(&self) -> MutexGuard<'_, Forgotten> {
        // Each change is whole, so what another thread left behind is good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be made.
    #[error("cannot make {0} for the inspector")]
    File(PathBuf, #[source] io::Error),
    /// It is not ours, damaged, or another agent has it open.
    #[error("cannot use {0} for the inspector; is another agent using it?")]
    Open(PathBuf, #[source] rusqlite::Error),
    /// It belongs to a later release.
    #[error("{0} belongs to a later release")]
    Later(PathBuf),
    /// There is no thread for it.
    #[error("cannot start the inspector's thread")]
    Thread(#[source] io::Error),
}

/// What `path` has of earlier runs, and where it goes from now on.
///
/// # Errors
///
/// [`StoreError`].
pub fn open(path: &Path, limits: Limits) -> Result<Capture, StoreError> {
    private(path).map_err(|error| StoreError::File(path.to_owned(), error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = || {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(Duration::from_millis(200))?;
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == 0 {
            db.execute_batch(SCHEMA)?;
            db.pragma_update(None, "user_version", VERSION)?;
        }
        Ok((db, version))
    };
    let bad = |error| StoreError::Open(path.to_owned(), error);
    let (mut db, version) = opened().map_err(bad)?;
    if version > VERSION {
        return Err(StoreError::Later(path.to_owned()));
    }
    prune(&db, limits).map_err(bad)?;
    let rows = load(&db).map_err(bad)?;
    let (store, todo) = Store::new();
    let gone = store.gone.clone();
    thread::Builder::new()
        .name("inspect".into())
        .spawn(move || write(&mut db, &todo, &gone, limits))
        .map_err(StoreError::Thread)?;
    let capture = Capture::new(limits, Some(store));
    let budget = capture.budget().clone();
    let exchanges = rows.into_iter().filter_map(|row| row.exchange(&budget));
    capture.restore(exchanges.collect());
    Ok(capture)
}

impl Store {
    fn new() -> (Self, Receiver<Work>) {
        let (work, todo) = sync_channel(WAITING);
        let gone = Gone::default();
        (Self { work, gone }, todo)
    }

    /// Keeps how `exchange` stands. Never waits.
    pub(super) fn keep(&self, exchange: &Exchange) {
        let cleared = self.gone.lock().cleared;
        self.send(Work::Keep(Box::new(Row::of(exchange)), cleared));
    }

    /// Forgets one, which is not kept again. Never waits.
    pub(super) fn remove(&self, id: u64) {
        self.gone.lock().removed.insert(id);
        self.send(Work::Forget);
    }

    /// Forgets all that was kept so far. Never waits.
    pub(super) fn clear(&self) {
        self.gone.lock().cleared += 1;
        self.send(Work::Forget);
    }

    fn send(&self, work: Work) {
        match self.work.try_send(work) {
            Ok(()) => {}
            // Whoever has so much to do looks at what is to be forgotten before long.
            Err(TrySendError::Full(Work::Forget)) => {}
            Err(TrySendError::Full(_)) => debug!("exchanges come faster than they can be stored"),
            Err(TrySendError::Disconnected(_)) => debug!("the inspector's store has ended"),
        }
    }
}

impl Capture {
    /// Waits until all that has ended is on disk, if it goes there, and what was forgotten is not. Safe to drop.
    pub async fn flush(&self) {
        let Some(store) = &self.0.store else {
            return;
        };
        let (done, wait) = oneshot::channel();
        let work = store.work.clone();
        // It may have to wait for its place.
        let sent = spawn_blocking(move || work.send(Work::Flush(done)));
        // They fail when there is nothing that could be waited for.
        drop(sent.await);
        let _ = wait.await;
    }
}

/// Writes until all senders are gone.
fn write(db: &mut Connection, todo: &Receiver<Work>, gone: &Gone, limits: Limits) {
    let (mut since_pruned, mut cleared) = (0, 0);
    // How long to wait for more before what is still to be forgotten is looked at.
    let mut wait = Duration::MAX;
    let mut is_last = false;
    while !is_last {
        let first = match todo.recv_timeout(wait) {
            Ok(work) => Some(work),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                is_last = true;
                None
            }
        };
        // What comes from here on was kept after this was forgotten.
        let now = gone.lock().clone();
        let (mut flushed, mut is_drained) = (Vec::new(), true);
        let result = db.transaction().and_then(|batch| {
            if now.cleared > cleared {
                batch.execute("DELETE FROM exchange", [])?;
            }
            let more = todo.try_iter().take(BATCH);
            for (at, work) in first.into_iter().chain(more).enumerate() {
                is_drained = at < BATCH;
                match work {
                    Work::Keep(row, since) => {
                        if since >= now.cleared && !now.removed.contains(&row.id) {
                            row.insert(&batch)?;
                            since_pruned += 1;
                        }
                    }
                    Work::Forget => {}
                    Work::Flush(done) => flushed.push(done),
                }
            }
            for id in &now.removed {
                batch.execute("DELETE FROM exchange WHERE id = ?1", [*id as i64])?;
            }
            if since_pruned >= PRUNE_AFTER {
                prune(&batch, limits)?;
                since_pruned = 0;
            }
            batch.commit()
        });
        let is_written = result.is_ok();
        match result {
            Ok(()) => cleared = now.cleared,
            Err(error) => warn!(%error, "exchanges could not be stored"),
        }
        let mut left = gone.lock();
        if is_written && is_drained {
            // None of them waits to be kept any more.
            left.removed.retain(|id| !now.removed.contains(id));
        }
        let is_owed = left.cleared > cleared || !left.removed.is_empty();
        drop(left);
        wait = match (is_owed, is_written) {
            (false, _) => Duration::MAX,
            (true, true) => Duration::ZERO,
            (true, false) => AGAIN,
        };
        for done in flushed {
            // Nobody waits any more.
            let _ = done.send(());
        }
    }
}

/// Keeps to the same limits on disk; what is marked goes last.
fn prune(db: &Connection, limits: Limits) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM exchange WHERE id IN (SELECT id FROM (
           SELECT id, row_number() OVER newest AS number, sum(bytes) OVER newest AS total
           FROM exchange WINDOW newest AS (ORDER BY marked DESC, id DESC))
         WHERE number > ?1 OR total > ?2)",
        params![limits.requests as i64, limits.memory as i64],
    )?;
    Ok(())
}

/// Makes the file if it is not there; either way only its owner may read it.
fn private(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|path| !path.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).map(drop)
}

/// Of the file; kept in it as `user_version`.
const VERSION: i64 = 1;
/// Exchanges that wait for the disk; with bodies of a mebibyte, that many mebibytes at most.
const WAITING: usize = 64;
/// Exchanges that are written at once.
const BATCH: usize = 64;
/// When what could not be forgotten is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many are written between two looks at the limits.
const PRUNE_AFTER: usize = 50;

#[cfg(test)]
mod tests;
