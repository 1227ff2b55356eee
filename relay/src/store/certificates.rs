//! Certificates that an authority issued to this relay. Their keys are sealed before they come here.

use rusqlite::{Connection, Row};

/// One certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// What it is for: a host, or `*.` and the domain for the domain and all names below it.
    pub name: String,
    /// The ACME directory that issued it.
    pub directory: String,
    /// The certificate and those above it, PEM.
    pub chain: String,
    /// Its key, sealed.
    pub key: Vec<u8>,
    /// From when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    /// When it was revoked, in seconds since 1970.
    pub revoked_at: Option<i64>,
}

/// All certificates.
///
/// # Errors
///
/// Whatever the database says.
pub fn all(db: &Connection) -> rusqlite::Result<Vec<Record>> {
    db.prepare_cached(
        "SELECT name, directory, chain, key, not_before, not_after, revoked_at
         FROM certificates ORDER BY name",
    )?
    .query_map([], read)?
    .collect()
}

/// The names of those that were revoked.
///
/// # Errors
///
/// Whatever the database says.
pub fn revoked(db: &Connection) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached("SELECT name FROM certificates WHERE revoked_at IS NOT NULL")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Keeps a certificate, in place of the one for the same name.
///
/// # Errors
///
/// Whatever the database says.
pub fn put(db: &Connection, record: &Record) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO certificates
         (name, directory, chain, key, not_before, not_after, revoked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        &record.name,
        &record.directory,
        &record.chain,
        &record.key,
        record.not_before,
        record.not_after,
        record.revoked_at,
    ))
    .map(drop)
}

/// Notes that the certificate for this name was revoked.
///
/// # Errors
///
/// Whatever the database says.
pub fn revoke(db: &Connection, name: &str, now: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE certificates SET revoked_at = ?2 WHERE name = ?1")?
        .execute((name, now))
        .map(drop)
}

/// Forgets a certificate.
///
/// # Errors
///
/// Whatever the database says.
pub fn remove(db: &Connection, name: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM certificates WHERE name = ?1")?
        .execute([name])
        .map(drop)
}

/// Forgets those that ended before this.
///
/// # Errors
///
/// Whatever the database says.
pub fn purge(db: &Connection, before: i64) -> rusqlite::Result<usize> {
    db.prepare_cached("DELETE FROM certificates WHERE not_after < ?1")?
        .execute([before])
}

fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        name: row.get(0)?,
        directory: row.get(1)?,
        chain: row.get(2)?,
        key: row.get(3)?,
        not_before: row.get(4)?,
        not_after: row.get(5)?,
        revoked_at: row.get(6)?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::store::connect;
    use crate::store::directory::Scratch;

    pub(crate) fn record(name: &str) -> Record {
        Record {
            name: name.into(),
            directory: "https://ca.example/dir".into(),
            chain: String::new(),
            key: vec![1, 2, 3],
            not_before: 10,
            not_after: 20,
            revoked_at: None,
        }
    }

    #[test]
    fn a_name_has_one_certificate_and_a_new_one_is_not_revoked() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        put(&db, &record("a.example.com")).unwrap();
        revoke(&db, "a.example.com", 15).unwrap();
        assert_eq!(revoked(&db).unwrap(), ["a.example.com"]);
        put(&db, &record("a.example.com")).unwrap();
        assert_eq!(revoked(&db).unwrap(), [""; 0]);
        assert_eq!(all(&db).unwrap(), [record("a.example.com")]);
        assert_eq!(purge(&db, 20).unwrap(), 0);
        assert_eq!(purge(&db, 21).unwrap(), 1);
        put(&db, &record("a.example.com")).unwrap();
        remove(&db, "a.example.com").unwrap();
        assert_eq!(all(&db).unwrap(), []);
    }
}
