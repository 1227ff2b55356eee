//! The embedded database: everything that must survive a restart, in one file.
//!
//! The modules below hold plain functions over a connection, one module for each kind of record. A
//! command calls them on what [`connect`] gives. In the relay a thread owns the connection and
//! [`Store::call`] runs them there, one after the other, so nothing blocks the runtime and no two
//! interleave. What was answered is on disk.

pub mod accounts;
pub mod certificates;
pub mod check;
pub mod directory;
pub mod dns_records;
pub mod names;
pub mod orders;
pub mod quota;
pub(crate) mod schema;
pub mod seal;
pub mod secrets;
pub mod tokens;

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

pub use self::schema::SchemaError;

/// Where the database of a state directory is.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("relay.db")
}

/// Opens the database in `state_dir`; both are made when they are not there.
///
/// # Errors
///
/// [`StoreError`]; a database that is not ours, or is newer than this program, is left alone.
pub fn connect(state_dir: &Path) -> Result<Connection, StoreError> {
    directory::create(state_dir)
        .map_err(|error| StoreError::Directory(state_dir.to_owned(), error))?;
    let path = path(state_dir);
    // SQLite would give the file the permissions of every other file.
    directory::create_file(&path).map_err(|error| StoreError::File(path.clone(), error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let prepared = || {
        let mut db = Connection::open_with_flags(&path, flags)?;
        schema::prepare(&mut db)?;
        Ok(db)
    };
    prepared().map_err(|error| StoreError::Open(path.clone(), error))
}

/// The time as records have it: seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// The database of a relay that runs. Cheap to clone. It is closed when the last clone is gone,
/// after the work that was asked for until then, unless the process ends first; then it is whole
/// too, without the work that nobody waited for.
#[derive(Clone, Debug)]
pub struct Store {
    work: mpsc::Sender<Work>,
}

impl Store {
    /// The database in `state_dir`, as [`connect`] opens it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        Self::start(connect(state_dir)?)
    }

    /// A database that is kept nowhere.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when there is no memory or no thread for it.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        let mut db = Connection::open_in_memory().map_err(StoreError::Query)?;
        schema::prepare(&mut db).map_err(|error| StoreError::Open(":memory:".into(), error))?;
        Self::start(db)
    }

    fn start(mut db: Connection) -> Result<Self, StoreError> {
        let (work, mut todo) = mpsc::channel::<Work>(WAITING);
        thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                while let Some(work) = todo.blocking_recv() {
                    work(&mut db);
                }
            })
            .map_err(StoreError::Thread)?;
        Ok(Self { work })
    }

    /// Does `work` on the database's thread. Dropping the future may be too late to prevent the
    /// work, but it never stops it halfway.
    ///
    /// # Errors
    ///
    /// [`StoreError::Query`] with what the database said.
    pub async fn call<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |db| {
            // It fails when nobody waits any more, and then nobody wants the answer.
            drop(answer.send(work(db)));
        });
        self.work
            .send(work)
            .await
            .map_err(|_| StoreError::Stopped)?;
        let answer = answered.await.map_err(|_| StoreError::Stopped)?;
        answer.map_err(StoreError::Query)
    }
}

/// Why there is no database, or no answer from it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The state directory cannot be made.
    #[error("cannot make the state directory {0}")]
    Directory(PathBuf, #[source] io::Error),
    /// The file cannot be made.
    #[error("cannot make the database {0}")]
    File(PathBuf, #[source] io::Error),
    /// The file cannot be used.
    #[error("cannot open the database {0}")]
    Open(PathBuf, #[source] SchemaError),
    /// The system gives no thread.
    #[error("cannot start the thread of the database")]
    Thread(#[source] io::Error),
    /// The database refused the work.
    #[error("the database failed")]
    Query(#[source] rusqlite::Error),
    /// The thread is gone, which only a fault of this program can cause.
    #[error("the database was closed by an earlier failure")]
    Stopped,
}

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// Pieces of work that may wait for the thread; whoever has the next one waits too.
const WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use super::directory::Scratch;
    use super::*;

    #[tokio::test]
    async fn what_was_answered_is_there_after_a_restart() {
        let dir = Scratch::new();
        for round in 0..3 {
            let store = Store::open(dir.path()).unwrap();
            let count = store.call(|db| {
                db.execute_batch("CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1)")?;
                db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
            });
            assert_eq!(count.await.unwrap(), round + 1);
        }
    }

    #[tokio::test]
    async fn work_in_the_queue_is_done_although_the_store_is_dropped() {
        let store = Store::open_in_memory().unwrap();
        let (done, seen) = oneshot::channel();
        let other = store.clone();
        let call = other.call(move |_| {
            let _ = done.send(());
            Ok(())
        });
        drop(store);
        call.await.unwrap();
        drop(other);
        seen.await.unwrap();
    }

    #[test]
    fn relays_that_start_at_once_share_one_database() {
        let dir = Scratch::new();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let db = connect(dir.path()).unwrap();
                    tokens::all(&db).unwrap();
                });
            }
        });
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_look() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Scratch::new();
        let state = dir.path().join("deep/state");
        let _db = connect(&state).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        for file in state.read_dir().unwrap() {
            assert_eq!(mode(&file.unwrap().path()), 0o600);
        }
    }
}
