//! The tables, and the steps by which an older database becomes a newer one.
//!
//! `application_id` says that a file is ours and `user_version` how many steps it has taken. A step
//! that was released is never changed; new ones are added at the end.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use thiserror::Error;

/// What a kind of database is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// Says whose it is.
    pub(crate) application: i32,
    /// By which an empty one becomes one of today.
    pub(crate) steps: &'static [&'static str],
}

/// The state database.
const STATE: Schema = Schema {
    application: APPLICATION,
    steps: STEPS,
};

/// Sets the connection up and brings the tables up to date.
pub(super) fn prepare(db: &mut Connection) -> Result<(), SchemaError> {
    prepare_as(db, &STATE)
}

/// As [`prepare`], for a database of its own.
pub(crate) fn prepare_as(db: &mut Connection, schema: &Schema) -> Result<(), SchemaError> {
    db.busy_timeout(BUSY)?;
    schema.identify(db)?;
    // The write-ahead log lets `relay token` write while the relay reads; FULL keeps what was
    // answered through a power cut.
    keep_log(db)?;
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update_and_check(None, "journal_size_limit", LOG_LIMIT, |_| Ok(()))?;
    schema.migrate(db)
}

/// Switches to the write-ahead log, once. While another process does the same, SQLite does not wait
/// but says that it is busy.
fn keep_log(db: &Connection) -> Result<(), SchemaError> {
    let deadline = Instant::now() + BUSY;
    loop {
        let switched = db.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()));
        match switched {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                std::thread::park_timeout(AGAIN);
            }
            switched => return Ok(switched?),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// How many steps the state database has taken, if it is ours or empty.
pub(super) fn identify(db: &Connection) -> Result<usize, SchemaError> {
    STATE.identify(db)
}

impl Schema {
    fn identify(&self, db: &Connection) -> Result<usize, SchemaError> {
        // One statement sees one state of the file, whoever writes meanwhile.
        let (tables, application, steps): (i64, i32, i64) = db.query_row(
            "SELECT (SELECT count(*) FROM sqlite_schema), application_id, user_version
             FROM pragma_application_id, pragma_user_version",
            [],
            |row| row.try_into(),
        )?;
        if application != self.application && (application != 0 || steps != 0 || tables != 0) {
            return Err(SchemaError::Foreign);
        }
        match usize::try_from(steps) {
            Ok(steps) if steps <= self.steps.len() => Ok(steps),
            _ => Err(SchemaError::Newer {
                found: steps,
                known: self.steps.len(),
            }),
        }
    }

    /// Takes all missing steps, or none.
    fn migrate(&self, db: &mut Connection) -> Result<(), SchemaError> {
        if self.identify(db)? == self.steps.len() {
            return Ok(());
        }
        // Another process may be at it: look again once the database is ours alone.
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in &self.steps[self.identify(&change)?..] {
            change.execute_batch(step)?;
        }
        change.pragma_update(None, "application_id", self.application)?;
        change.pragma_update(None, "user_version", self.steps.len() as i64)?;
        Ok(change.commit()?)
    }
}

/// Why a file cannot be the relay's database.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// It belongs to another program.
    #[error(
        "it is the database of another program; move it away or choose another state directory"
    )]
    Foreign,
    /// It was written by a later version of this program.
    #[error(
        "a newer relay has written it (version {found}, this program knows {known}); \
         run that relay, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The version of the file.
        found: i64,
        /// The latest version that this program knows.
        known: usize,
    },
    /// SQLite refused it.
    #[error("{0}")]
    Sqlite(rusqlite::Error),
}

// Written out because SQLite's errors say the same once more as their own cause.
impl From<rusqlite::Error> for SchemaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// `ADIT`.
const APPLICATION: i32 = 0x4144_4954;

/// How soon to try again what another process is doing.
const AGAIN: Duration = Duration::from_millis(5);
/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// What the log may keep on disk when it is not in use, in bytes.
const LOG_LIMIT: i64 = 16 << 20;

const STEPS: &[&str] = &[
    "
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        label TEXT NOT NULL,
        names TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        last_used_at INTEGER,
        revoked_at INTEGER
    ) STRICT;
    CREATE TABLE names (
        host TEXT PRIMARY KEY,
        owner BLOB NOT NULL CHECK (length(owner) = 32),
        token TEXT REFERENCES tokens (id) ON DELETE SET NULL,
        last_seen INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX names_by_last_seen ON names (last_seen);
",
    "
    CREATE TABLE secrets (
        name TEXT PRIMARY KEY,
        secret BLOB NOT NULL CHECK (length(secret) = 32)
    ) STRICT;
",
    "
    CREATE TABLE acme_accounts (
        directory TEXT PRIMARY KEY,
        credentials BLOB NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE certificates (
        name TEXT PRIMARY KEY,
        directory TEXT NOT NULL,
        chain TEXT NOT NULL,
        key BLOB NOT NULL,
        not_before INTEGER NOT NULL,
        not_after INTEGER NOT NULL,
        revoked_at INTEGER
    ) STRICT;
    CREATE TABLE orders (
        name TEXT PRIMARY KEY,
        failures INTEGER NOT NULL,
        retry_at INTEGER NOT NULL,
        error TEXT NOT NULL
    ) STRICT;
    CREATE TABLE dns_records (
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (name, value)
    ) STRICT;
",
    "
    CREATE TABLE ordered (
        account TEXT PRIMARY KEY,
        day INTEGER NOT NULL,
        names INTEGER NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE orders ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0;
",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn pragma(db: &Connection, name: &str) -> i64 {
        db.pragma_query_value(None, name, |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_database_is_prepared_once_and_safely() {
        let mut db = Connection::open_in_memory().unwrap();
        for _ in 0..2 {
            prepare(&mut db).unwrap();
            assert_eq!(identify(&db).unwrap(), STEPS.len());
        }
        assert_eq!(pragma(&db, "synchronous"), 2);
        assert_eq!(pragma(&db, "foreign_keys"), 1);
        assert_eq!(pragma(&db, "busy_timeout"), 5000);
    }

    #[test]
    fn a_newer_database_is_refused_and_left_alone() {
        let mut db = Connection::open_in_memory().unwrap();
        prepare(&mut db).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        let error = prepare(&mut db).unwrap_err();
        assert!(matches!(error, SchemaError::Newer { found: 99, .. }));
        assert_eq!(pragma(&db, "user_version"), 99);
    }

    #[test]
    fn the_database_of_another_program_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE theirs (n)").unwrap();
        let error = prepare(&mut db).unwrap_err();
        assert!(matches!(error, SchemaError::Foreign));
    }
}
