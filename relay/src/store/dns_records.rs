//! DNS records that were set for a challenge and are to be removed, also after a crash.

use rusqlite::Connection;

/// All of them: full name and value.
///
/// # Errors
///
/// Whatever the database says.
pub fn all(db: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    db.prepare_cached("SELECT name, value FROM dns_records ORDER BY name, value")?
        .query_map([], |row| row.try_into())?
        .collect()
}

/// Remembers one, before it is set.
///
/// # Errors
///
/// Whatever the database says.
pub fn put(db: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR IGNORE INTO dns_records (name, value) VALUES (?1, ?2)")?
        .execute((name, value))
        .map(drop)
}

/// Forgets one, after it was removed.
///
/// # Errors
///
/// Whatever the database says.
pub fn remove(db: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM dns_records WHERE name = ?1 AND value = ?2")?
        .execute((name, value))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connect;
    use crate::store::directory::Scratch;

    #[test]
    fn a_record_is_there_until_it_was_removed() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        for value in ["one", "other", "one"] {
            put(&db, "_acme-challenge.example.com", value).unwrap();
        }
        remove(&db, "_acme-challenge.example.com", "one").unwrap();
        let left = ("_acme-challenge.example.com".into(), "other".into());
        assert_eq!(all(&db).unwrap(), [left]);
    }
}
