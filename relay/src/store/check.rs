//! A look at the database that changes nothing, for `relay doctor`.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use thiserror::Error;

use super::{SchemaError, schema, tokens};

/// What was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Health {
    /// There is no database yet.
    Absent,
    /// It can be read and is consistent.
    Sound {
        /// How many tokens are good.
        tokens: usize,
    },
}

/// Reads the whole database in `state_dir`.
///
/// # Errors
///
/// [`CheckError`].
pub fn check(state_dir: &Path) -> Result<Health, CheckError> {
    let path = super::path(state_dir);
    if !path.exists() {
        return Ok(Health::Absent);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&path, flags).map_err(SchemaError::from)?;
    let steps = schema::identify(&db)?;
    let verdict: String = db
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(SchemaError::from)?;
    if verdict != "ok" {
        return Err(CheckError::Damaged(verdict));
    }
    if steps == 0 {
        return Ok(Health::Sound { tokens: 0 });
    }
    let tokens = tokens::all(&db).map_err(SchemaError::from)?;
    let good = tokens.iter().filter(|token| token.revoked_at.is_none());
    Ok(Health::Sound {
        tokens: good.count(),
    })
}

/// What is wrong with the database.
#[derive(Debug, Error)]
pub enum CheckError {
    /// It cannot be read.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// It is not consistent.
    #[error("{0}")]
    Damaged(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory::Scratch;
    use crate::store::{connect, path};

    #[test]
    fn a_check_tells_absent_sound_and_damaged_apart() {
        let dir = Scratch::new();
        assert_eq!(check(dir.path()).unwrap(), Health::Absent);

        let db = connect(dir.path()).unwrap();
        tokens::create(&db, &tokens::tests::record("aaaaaaaa", "")).unwrap();
        assert_eq!(check(dir.path()).unwrap(), Health::Sound { tokens: 1 });

        let other = Scratch::new();
        std::fs::write(path(other.path()), "no database at all ".repeat(99)).unwrap();
        assert!(check(other.path()).is_err());
    }
}
