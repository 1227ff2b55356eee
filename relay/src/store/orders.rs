//! Orders for certificates that are under way or have failed: what a restart must not forget, lest
//! it asks an authority again at once for what that refused.

use rusqlite::Connection;

/// One name whose certificate was ordered and has not come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// What the certificate is for.
    pub name: String,
    /// How often it was ordered in vain.
    pub failures: u32,
    /// How many orders in a row have begun and not ended: the one that is under way, and those before that were
    /// cut short by the relay's end.
    pub interrupted: u32,
    /// When to order again, in seconds since 1970.
    pub retry_at: i64,
    /// Why the last order failed; empty while one is under way.
    pub error: String,
}

/// All of them.
///
/// # Errors
///
/// Whatever the database says.
pub fn all(db: &Connection) -> rusqlite::Result<Vec<Record>> {
    db.prepare_cached(
        "SELECT name, failures, interrupted, retry_at, error FROM orders ORDER BY name",
    )?
    .query_map([], |row| {
        Ok(Record {
            name: row.get(0)?,
            failures: row.get(1)?,
            interrupted: row.get(2)?,
            retry_at: row.get(3)?,
            error: row.get(4)?,
        })
    })?
    .collect()
}

/// Keeps what is known about a name, in place of what was known before.
///
/// # Errors
///
/// Whatever the database says.
pub fn put(db: &Connection, record: &Record) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO orders (name, failures, interrupted, retry_at, error)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        &record.name,
        record.failures,
        record.interrupted,
        record.retry_at,
        &record.error,
    ))
    .map(drop)
}

/// The certificate has come, or nobody wants it any more.
///
/// # Errors
///
/// Whatever the database says.
pub fn remove(db: &Connection, name: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM orders WHERE name = ?1")?
        .execute([name])
        .map(drop)
}

/// Forgets orders that were to be tried again before this, long ago.
///
/// # Errors
///
/// Whatever the database says.
pub fn purge(db: &Connection, before: i64) -> rusqlite::Result<usize> {
    db.prepare_cached("DELETE FROM orders WHERE retry_at < ?1")?
        .execute([before])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connect;
    use crate::store::directory::Scratch;

    #[test]
    fn the_last_order_for_a_name_counts() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        let mut record = Record {
            name: "a.example.com".into(),
            failures: 1,
            interrupted: 3,
            retry_at: 10,
            error: String::new(),
        };
        put(&db, &record).unwrap();
        record.failures = 2;
        record.error = "refused".into();
        put(&db, &record).unwrap();
        assert_eq!(all(&db).unwrap(), [record.clone()]);
        assert_eq!(purge(&db, 10).unwrap(), 0);
        assert_eq!(purge(&db, 11).unwrap(), 1);
        put(&db, &record).unwrap();
        remove(&db, "a.example.com").unwrap();
        assert_eq!(all(&db).unwrap(), []);
    }
}
