//! Events of earlier runs, so that one that comes again after a restart is known: one SQLite file, written by a
//! thread of its own.
//!
//! It has hashes of event ids, how often each came and when first, as many as the memory has and for as long.
//! Nobody waits for it, and without it the agent goes on: what comes too fast for the disk is left out. Agents
//! with one state directory share it.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, params};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use super::memory::{Key, MAX_EVENTS};

/// The file. Cheap to clone; it is closed with the last clone.
#[derive(Clone, Debug)]
pub struct Past(SyncSender<Work>);

/// An event that has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event {
    /// Which.
    pub key: Key,
    /// When it came first.
    pub first: SystemTime,
    /// How often it has come.
    pub count: u32,
    /// For how long it is remembered after it came first.
    pub window: Duration,
}

enum Work {
    Keep(Event),
    Flush(oneshot::Sender<()>),
}

impl Past {
    /// What `path` has of earlier runs, the oldest first, and where events go from now on. The file is made
    /// with the first event.
    ///
    /// # Errors
    ///
    /// When there is no thread for it.
    pub fn open(path: PathBuf) -> io::Result<(Self, Vec<Event>)> {
        let events = match load(&path) {
            Ok(events) => events,
            Err(error) => {
                warn!(%error, path = %path.display(), "events of earlier runs are not known");
                Vec::new()
            }
        };
        let (work, todo) = sync_channel(WAITING);
        thread::Builder::new()
            .name("events".into())
            .spawn(move || write(&path, &todo))?;
        Ok((Self(work), events))
    }

    /// Keeps how `event` stands. Never waits.
    pub(super) fn keep(&self, event: Event) {
        match self.0.try_send(Work::Keep(event)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => debug!("events come faster than they can be stored"),
            Err(TrySendError::Disconnected(_)) => debug!("the store of events has ended"),
        }
    }

    /// Waits until all that has come is on disk, if it can be. Safe to drop.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        let work = self.0.clone();
        // They fail when there is nothing that could be waited for.
        drop(spawn_blocking(move || work.send(Work::Flush(done))).await);
        let _ = wait.await;
    }
}

/// Nothing when there is no file yet.
fn load(path: &Path) -> rusqlite::Result<Vec<Event>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let db = opened(path)?;
    prune(&db)?;
    let mut query = db.prepare("SELECT key, first, count, forget FROM event ORDER BY first")?;
    let rows = query.query_map([], |row| {
        let (first, forget): (i64, i64) = (row.get(1)?, row.get(3)?);
        let window = u64::try_from(forget.saturating_sub(first)).unwrap_or_default();
        Ok(Event {
            key: Key(row.get(0)?),
            first: UNIX_EPOCH + Duration::from_millis(u64::try_from(first).unwrap_or_default()),
            count: row.get(2)?,
            window: Duration::from_millis(window),
        })
    })?;
    rows.collect()
}

fn opened(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_secs(2))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.execute_batch(SCHEMA)?;
    Ok(db)
}

/// Writes until all senders are gone.
fn write(path: &Path, todo: &Receiver<Work>) {
    let mut db = None;
    let mut since_pruned = 0;
    while let Ok(first) = todo.recv() {
        let mut flushed = Vec::new();
        let mut events = Vec::new();
        for work in std::iter::once(first).chain(todo.try_iter().take(WAITING)) {
            match work {
                Work::Keep(event) => events.push(event),
                Work::Flush(done) => flushed.push(done),
            }
        }
        since_pruned += events.len();
        let is_full = since_pruned >= PRUNE_AFTER;
        let mut written = || {
            if events.is_empty() {
                return Ok(());
            }
            let db = match &mut db {
                Some(db) => db,
                None => db.insert(make(path)?),
            };
            insert(db, &events, is_full)
        };
        if let Err(error) = written() {
            warn!(%error, path = %path.display(), "events could not be stored");
        }
        if is_full {
            since_pruned = 0;
        }
        for done in flushed {
            // Nobody waits any more.
            let _ = done.send(());
        }
    }
}

/// Makes the file if it is not there; only its owner may read it.
fn make(path: &Path) -> rusqlite::Result<Connection> {
    if let Some(directory) = path.parent() {
        // If that fails, so does what comes next.
        drop(std::fs::create_dir_all(directory));
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    drop(options.open(path));
    opened(path)
}

fn insert(db: &mut Connection, events: &[Event], is_full: bool) -> rusqlite::Result<()> {
    let batch = db.transaction()?;
    {
        let mut insert = batch.prepare_cached(
            "INSERT INTO event (key, first, count, forget) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (key) DO UPDATE SET first = ?2, count = ?3, forget = ?4",
        )?;
        for event in events {
            let first = milliseconds(event.first);
            let window = i64::try_from(event.window.as_millis()).unwrap_or(i64::MAX);
            let forget = first.saturating_add(window);
            insert.execute(params![event.key.0, first, event.count, forget])?;
        }
    }
    if is_full {
        prune(&batch)?;
    }
    batch.commit()
}

/// Keeps to what the memory has.
fn prune(db: &Connection) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM event WHERE forget <= ?1 OR key IN
         (SELECT key FROM event ORDER BY first DESC LIMIT -1 OFFSET ?2)",
        params![milliseconds(SystemTime::now()), MAX_EVENTS as i64],
    )?;
    Ok(())
}

fn milliseconds(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// When an event came first and when it is to be forgotten, in milliseconds since 1970.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS event (
  key BLOB PRIMARY KEY,
  first INTEGER NOT NULL,
  count INTEGER NOT NULL,
  forget INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS event_first ON event (first);";
/// Events that wait for the disk.
const WAITING: usize = 1024;
/// How many are written between two looks at the bounds.
const PRUNE_AFTER: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::memory::Memory;
    use std::time::Instant;

    const WINDOW: Duration = Duration::from_secs(3600);

    fn path(name: &str) -> PathBuf {
        let name = format!("adit-events-{name}-{}", std::process::id());
        std::env::temp_dir().join(name).join("events.db")
    }

    fn key(id: usize) -> Key {
        Key::of("web", "github", true, &id.to_string())
    }

    fn memory(path: &Path) -> (Memory, Past) {
        let (past, events) = Past::open(path.to_owned()).unwrap();
        (Memory::of(past.clone(), &events), past)
    }

    #[tokio::test]
    async fn an_event_that_comes_again_after_a_restart_is_known() {
        let path = path("restart");
        let (mut before, past) = memory(&path);
        assert_eq!(before.begin(&key(1), WINDOW, Instant::now()).count, 1);
        before.begin(&key(1), WINDOW, Instant::now());
        before.begin(&key(2), Duration::ZERO, Instant::now());
        past.flush().await;
        let (mut after, _) = memory(&path);
        let now = Instant::now();
        let again = after.begin(&key(1), WINDOW, now);
        assert_eq!((again.count, again.open), (3, false));
        assert_eq!(after.begin(&key(3), WINDOW, now).count, 1);
        // What was to be forgotten is, whether it was when the agent started or is later.
        assert_eq!(after.begin(&key(2), WINDOW, now).count, 1);
        assert_eq!(after.begin(&key(1), WINDOW, now + WINDOW).count, 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
        drop(std::fs::remove_dir_all(path.parent().unwrap()));
    }

    #[tokio::test]
    async fn the_file_has_no_more_than_the_memory() {
        let path = path("bound");
        let (past, _) = Past::open(path.clone()).unwrap();
        for id in 0..MAX_EVENTS + 500 {
            let first = UNIX_EPOCH + Duration::from_secs(1_000_000 + id as u64);
            let event = Event {
                key: key(id),
                first,
                count: 1,
                window: Duration::MAX,
            };
            past.keep(event);
            if id % 500 == 0 {
                past.flush().await;
            }
        }
        past.flush().await;
        let events = load(&path).unwrap();
        assert_eq!(events.len(), MAX_EVENTS);
        assert_eq!(events.last().unwrap().key, key(MAX_EVENTS + 499));
        drop(std::fs::remove_dir_all(path.parent().unwrap()));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_done_without() {
        let path = path("bad");
        std::fs::create_dir_all(&path).unwrap();
        let (mut memory, past) = memory(&path);
        assert_eq!(memory.begin(&key(1), WINDOW, Instant::now()).count, 1);
        past.flush().await;
        assert_eq!(memory.begin(&key(1), WINDOW, Instant::now()).count, 2);
        drop(std::fs::remove_dir_all(path.parent().unwrap()));
    }
}
