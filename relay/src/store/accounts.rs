//! Accounts at certificate authorities, one for each ACME directory. Their keys are sealed before
//! they come here.

use rusqlite::{Connection, OptionalExtension as _};

/// The sealed credentials for a directory.
///
/// # Errors
///
/// Whatever the database says.
pub fn find(db: &Connection, directory: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT credentials FROM acme_accounts WHERE directory = ?1")?
        .query_row([directory], |row| row.get(0))
        .optional()
}

/// Keeps the sealed credentials for a directory, in place of those that were there.
///
/// # Errors
///
/// Whatever the database says.
pub fn put(db: &Connection, directory: &str, sealed: &[u8], now: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO acme_accounts (directory, credentials, created_at)
         VALUES (?1, ?2, ?3)",
    )?
    .execute((directory, sealed, now))
    .map(drop)
}

/// Forgets the account, which its directory does not know any more.
///
/// # Errors
///
/// Whatever the database says.
pub fn remove(db: &Connection, directory: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM acme_accounts WHERE directory = ?1")?
        .execute([directory])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connect;
    use crate::store::directory::Scratch;

    #[test]
    fn each_directory_has_one_account() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        assert_eq!(find(&db, "one").unwrap(), None);
        put(&db, "one", b"old", 1).unwrap();
        put(&db, "one", b"new", 2).unwrap();
        put(&db, "other", b"else", 3).unwrap();
        assert_eq!(find(&db, "one").unwrap().unwrap(), b"new");
        remove(&db, "one").unwrap();
        assert_eq!(find(&db, "one").unwrap(), None);
        assert_eq!(find(&db, "other").unwrap().unwrap(), b"else");
    }
}
