//! What is kept on disk: inboxes and the requests in them, in a file of their own beside the state
//! database. Requests come and go by the thousand, and the log of so many writes must not hold up claims
//! and tokens; nor must a disk that requests have filled, if the file is put on another one.
//!
//! Plain functions over a connection, one for each thing that is done.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use adit_shared::identity::Fingerprint;
use adit_shared::name::Host;
use adit_shared::paths::PathPattern;
use adit_shared::wire::inbox::Causes;
use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};

use super::letter::Id;
use super::share::{Sender, Share};
use crate::store::schema::{Schema, prepare_as};
use crate::store::{SchemaError, StoreError, directory};

/// Where the database of a state directory is.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("inbox.db")
}

/// Opens the database in `state_dir`; both are made when they are not there.
///
/// # Errors
///
/// [`StoreError`].
pub fn connect(state_dir: &Path) -> Result<Connection, StoreError> {
    directory::create(state_dir)
        .map_err(|error| StoreError::Directory(state_dir.to_owned(), error))?;
    let path = path(state_dir);
    directory::create_file(&path).map_err(|error| StoreError::File(path.clone(), error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let prepared = || -> Result<Connection, SchemaError> {
        let mut db = Connection::open_with_flags(&path, flags)?;
        // Both count only for an empty file: several requests fit into a page, and what was delivered can
        // be given back to the system.
        db.pragma_update(None, "page_size", PAGE)?;
        db.pragma_update(None, "auto_vacuum", "incremental")?;
        prepare_as(&mut db, &SCHEMA)?;
        // Each checkpoint syncs twice more.
        db.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT, |_| Ok(()))?;
        Ok(db)
    };
    prepared().map_err(|error| StoreError::Open(path.clone(), error))
}

/// The time as requests have it: milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// An inbox: whose it is, and what its agent wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The host that it is for.
    pub host: Host,
    /// Whose requests these are.
    pub owner: Fingerprint,
    /// The id of the token that the owner came with, if any.
    pub token: Option<String>,
    /// Whether requests are taken in. A closed inbox only delivers what it has.
    pub open: bool,
    /// Whether nothing is delivered for the time being.
    pub paused: bool,
    /// When else than without an agent requests are kept.
    pub causes: Causes,
    /// The status with which a kept request is answered.
    pub status: u16,
    /// After how long a request is answered though its origin still works on it, in milliseconds; 0 for
    /// never.
    pub ack_within: u64,
    /// How many requests are delivered at once.
    pub parallel: u64,
    /// Which paths are meant.
    pub patterns: Vec<PathPattern>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It waits for its turn.
    Waiting,
    /// The origin has failed on it: it is tried again when it is due, and holds nobody up.
    Aside,
    /// It was tried as often as it may be.
    Dead,
    /// It is kept although the origin still works on it.
    AtOrigin,
}

impl State {
    /// All of them, by number.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Aside, Self::Dead, Self::AtOrigin];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Aside => "aside",
            Self::Dead => "dead",
            Self::AtOrigin => "at-origin",
        }
    }

    fn of(number: i64) -> Self {
        let state = usize::try_from(number).ok();
        state
            .and_then(|at| Self::ALL.get(at).copied())
            .unwrap_or(Self::Dead)
    }
}

/// A kept request, as it lies there.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number.
    pub id: Id,
    /// What becomes of it.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again, if it is aside, in milliseconds since 1970.
    pub due: i64,
    /// Why it was not delivered the last time.
    pub error: Option<String>,
    /// The request.
    pub sealed: Vec<u8>,
}

/// How many requests of one host are in one state, and how many bytes they take.
#[derive(Clone, Debug)]
pub struct Level {
    /// The host.
    pub host: Host,
    /// The state.
    pub state: State,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// All inboxes.
///
/// # Errors
///
/// Whatever the database says.
pub fn inboxes(db: &Connection) -> rusqlite::Result<Vec<Record>> {
    db.prepare_cached(
        "SELECT host, owner, token, open, paused, causes, status, ack_within, parallel, patterns
         FROM inboxes ORDER BY host",
    )?
    .query_map([], record)?
    .collect()
}

/// Keeps an inbox, in place of what was known about it. Whether it is paused stays as it was.
pub(super) fn put_inbox(db: &Connection, inbox: &Record) -> rusqlite::Result<()> {
    let patterns: Vec<_> = inbox.patterns.iter().map(PathPattern::as_str).collect();
    db.prepare_cached(
        "INSERT INTO inboxes
         (host, owner, token, open, paused, causes, status, ack_within, parallel, patterns)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (host) DO UPDATE
         SET owner = excluded.owner, token = excluded.token, open = excluded.open,
             causes = excluded.causes, status = excluded.status, ack_within = excluded.ack_within,
             parallel = excluded.parallel, patterns = excluded.patterns",
    )?
    .execute((
        inbox.host.as_str(),
        inbox.owner.as_bytes(),
        &inbox.token,
        inbox.open,
        inbox.causes.0 as i64,
        inbox.status,
        inbox.ack_within as i64,
        inbox.parallel as i64,
        patterns.join(BETWEEN),
    ))
    .map(drop)
}

/// Stops or goes on with deliveries. Says whether there is such an inbox.
///
/// # Errors
///
/// Whatever the database says.
pub fn pause(db: &Connection, host: &Host, paused: bool) -> rusqlite::Result<bool> {
    db.prepare_cached("UPDATE inboxes SET paused = ?2 WHERE host = ?1")?
        .execute((host.as_str(), paused))
        .map(|changed| changed > 0)
}

/// Forgets an inbox and all that is in it. Says how many requests those were.
///
/// # Errors
///
/// Whatever the database says.
pub fn remove_inbox(db: &Connection, host: &Host) -> rusqlite::Result<usize> {
    db.prepare_cached("DELETE FROM inboxes WHERE host = ?1")?
        .execute([host.as_str()])?;
    purge(db, host, None)
}

/// Forgets requests, all of them or those in one state. Says how many.
///
/// # Errors
///
/// Whatever the database says.
pub fn purge(db: &Connection, host: &Host, state: Option<State>) -> rusqlite::Result<usize> {
    db.prepare_cached("DELETE FROM requests WHERE host = ?1 AND (?2 IS NULL OR state = ?2)")?
        .execute((host.as_str(), state.map(|state| state as i64)))
}

/// Lets requests be tried once more at once: one, or all that are dead or aside. Says how many.
///
/// # Errors
///
/// Whatever the database says.
pub fn redeliver(db: &Connection, host: &Host, id: Option<Id>) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "UPDATE requests SET state = 0, due = 0
         WHERE host = ?1 AND state IN (1, 2) AND (?2 IS NULL OR id = ?2)",
    )?
    .execute((host.as_str(), id.map(|id| id.0)))
}

/// Requests of a host, oldest first, from the one behind `after` on.
///
/// # Errors
///
/// Whatever the database says.
pub fn list(
    db: &Connection,
    host: &Host,
    after: Option<Id>,
    most: usize,
) -> rusqlite::Result<Vec<Kept>> {
    db.prepare_cached(
        "SELECT id, state, attempts, due, error, sealed FROM requests
         WHERE host = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    )?
    .query_map(
        (
            host.as_str(),
            after.map_or(i64::MIN, |id| id.0),
            most as i64,
        ),
        kept,
    )?
    .collect()
}

/// One request, and the host that it is for.
///
/// # Errors
///
/// Whatever the database says.
pub fn find(db: &Connection, id: Id) -> rusqlite::Result<Option<(Host, Kept)>> {
    db.prepare_cached(
        "SELECT id, state, attempts, due, error, sealed, host FROM requests WHERE id = ?1",
    )?
    .query_row([id.0], |row| Ok((host(row, 6)?, kept(row)?)))
    .optional()
}

pub(super) fn put(
    db: &Connection,
    id: Id,
    host: &Host,
    sender: Option<Sender>,
    state: State,
    attempts: u32,
    sealed: &[u8],
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO requests (id, host, sender, state, attempts, due, size, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)",
    )?
    .execute((
        id.0,
        host.as_str(),
        sender.map(|sender| sender.0),
        state as i64,
        attempts,
        sealed.len() as i64,
        sealed,
    ))
    .map(drop)
}

/// A request that is gone.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) state: State,
    pub(super) size: u64,
    pub(super) sender: Option<Sender>,
}

/// Forgets one request; says what it was.
pub(super) fn delete(db: &Connection, id: Id) -> rusqlite::Result<Option<Gone>> {
    db.prepare_cached("DELETE FROM requests WHERE id = ?1 RETURNING state, size, sender")?
        .query_row([id.0], |row| {
            Ok(Gone {
                state: State::of(row.get(0)?),
                size: row.get::<_, i64>(1)?.unsigned_abs(),
                sender: row.get::<_, Option<i64>>(2)?.map(Sender),
            })
        })
        .optional()
}

/// Notes what becomes of one request; says what became of it before.
pub(super) fn update(
    db: &Connection,
    id: Id,
    state: State,
    attempts: u32,
    due: i64,
    error: Option<&str>,
) -> rusqlite::Result<Option<(State, u64)>> {
    let before = db
        .prepare_cached("SELECT state, size FROM requests WHERE id = ?1")?
        .query_row([id.0], |row| {
            Ok((State::of(row.get(0)?), row.get::<_, i64>(1)?.unsigned_abs()))
        })
        .optional()?;
    db.prepare_cached(
        "UPDATE requests SET state = ?2, attempts = ?3, due = ?4, error = coalesce(?5, error)
         WHERE id = ?1",
    )?
    .execute((id.0, state as i64, attempts, due, error))?;
    Ok(before)
}

/// After a start nothing is at an origin any more, as far as is known.
pub(super) fn recover(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE requests SET state = 0 WHERE state = 3", [])
        .map(drop)
}

/// How full everything is.
///
/// # Errors
///
/// Whatever the database says.
pub fn levels(db: &Connection) -> rusqlite::Result<Vec<Level>> {
    db.prepare_cached("SELECT host, state, count(*), sum(size) FROM requests GROUP BY host, state")?
        .query_map([], |row| {
            Ok(Level {
                host: host(row, 0)?,
                state: State::of(row.get(1)?),
                count: row.get::<_, i64>(2)?.unsigned_abs(),
                bytes: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        })?
        .collect()
}

/// What each sender has.
pub(super) fn shares(db: &Connection) -> rusqlite::Result<Vec<(Host, Sender, Share)>> {
    db.prepare_cached(
        "SELECT host, sender, count(*), sum(size) FROM requests
         WHERE sender IS NOT NULL GROUP BY host, sender",
    )?
    .query_map([], |row| {
        let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let share = Share {
            count: number(2)?,
            bytes: number(3)?,
        };
        Ok((host(row, 0)?, Sender(row.get(1)?), share))
    })?
    .collect()
}

/// The highest number so far.
pub(super) fn last(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("SELECT coalesce(max(id), 0) FROM requests", [], |row| {
        row.get(0)
    })
}

/// Gives what is not used back to the system.
pub(super) fn shrink(db: &Connection) -> rusqlite::Result<()> {
    let free: i64 = db.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    if free > 0 {
        db.execute_batch("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")?;
    }
    Ok(())
}

/// Carries the log over, and gives its space back to the system.
pub(super) fn carry_over(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
}

/// Changes whenever another process changes the database.
pub(super) fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "data_version", |row| row.get(0))
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let owner: [u8; 32] = row.get(1)?;
    let patterns: String = row.get(9)?;
    let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
    Ok(Record {
        host: host(row, 0)?,
        owner: owner.into(),
        token: row.get(2)?,
        open: row.get(3)?,
        paused: row.get(4)?,
        causes: Causes(number(5)?),
        status: row.get(6)?,
        ack_within: number(7)?,
        parallel: number(8)?,
        // Somebody may have edited them: what is not understood fits nothing.
        patterns: patterns
            .split(BETWEEN)
            .filter_map(|text| text.parse().ok())
            .collect(),
    })
}

pub(super) fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        id: Id(row.get(0)?),
        state: State::of(row.get(1)?),
        attempts: row.get(2)?,
        due: row.get(3)?,
        error: row.get(4)?,
        sealed: row.get(5)?,
    })
}

fn host(row: &Row<'_>, at: usize) -> rusqlite::Result<Host> {
    let text: String = row.get(at)?;
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}

/// Between patterns; none has one.
const BETWEEN: &str = ",";
/// Bytes of a page: a few usual webhooks.
pub(super) const PAGE: i64 = 8 << 10;
/// Pages of the log after which it is carried over: 16 MiB.
pub(super) const CHECKPOINT: i64 = 2 << 10;

const SCHEMA: Schema = Schema {
    // `ADIQ`.
    application: 0x4144_4951,
    steps: &[
        "
    CREATE TABLE inboxes (
        host TEXT PRIMARY KEY,
        owner BLOB NOT NULL CHECK (length(owner) = 32),
        token TEXT,
        open INTEGER NOT NULL,
        paused INTEGER NOT NULL,
        causes INTEGER NOT NULL,
        status INTEGER NOT NULL,
        ack_within INTEGER NOT NULL,
        parallel INTEGER NOT NULL,
        patterns TEXT NOT NULL
    ) STRICT;
    CREATE TABLE requests (
        id INTEGER PRIMARY KEY,
        host TEXT NOT NULL,
        state INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        due INTEGER NOT NULL,
        size INTEGER NOT NULL,
        error TEXT,
        sealed BLOB NOT NULL
    ) STRICT;
    CREATE INDEX requests_by_host ON requests (host, state, due, size);
",
        // Who has sent it, if that is counted; and what is next, without a look at all the others.
        "
    ALTER TABLE requests ADD COLUMN sender INTEGER;
    CREATE INDEX requests_in_order ON requests (host, state, id);
",
    ],
};
