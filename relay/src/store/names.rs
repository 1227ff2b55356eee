//! Which agent owns which public host, also while it is away and the relay restarts.
//!
//! Who may take a name over is decided elsewhere: here the last word wins.

use adit_shared::identity::Fingerprint;
use adit_shared::name::Host;
use rusqlite::types::Type;
use rusqlite::{Connection, Row};

/// One name with its owner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The whole public host.
    pub host: Host,
    /// The identity that it belongs to.
    pub owner: Fingerprint,
    /// The id of the token that the owner came with, if any.
    pub token: Option<String>,
    /// When the owner last served it, in seconds since 1970.
    pub last_seen: i64,
}

/// All names.
///
/// # Errors
///
/// Whatever the database says.
pub fn all(db: &Connection) -> rusqlite::Result<Vec<Record>> {
    db.prepare_cached("SELECT host, owner, token, last_seen FROM names ORDER BY host")?
        .query_map([], read)?
        .collect()
}

/// Keeps a name, in place of what was known about it.
///
/// # Errors
///
/// Whatever the database says; a token that does not exist is an error.
pub fn put(db: &Connection, name: &Record) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO names (host, owner, token, last_seen) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (host) DO UPDATE
         SET owner = excluded.owner, token = excluded.token, last_seen = excluded.last_seen",
    )?
    .execute((
        name.host.as_str(),
        name.owner.as_bytes(),
        &name.token,
        name.last_seen,
    ))
    .map(drop)
}

/// Notes that the owners of these names serve them now, in one write. Unknown names stay unknown.
///
/// # Errors
///
/// Whatever the database says; then nothing was noted.
pub fn touch(db: &mut Connection, hosts: &[Host], now: i64) -> rusqlite::Result<()> {
    let change = db.transaction()?;
    {
        let mut update =
            change.prepare_cached("UPDATE names SET last_seen = ?2 WHERE host = ?1")?;
        for host in hosts {
            update.execute((host.as_str(), now))?;
        }
    }
    change.commit()
}

/// Forgets these names, in one write.
///
/// # Errors
///
/// Whatever the database says; then none was forgotten.
pub fn remove(db: &mut Connection, hosts: &[Host]) -> rusqlite::Result<()> {
    let change = db.transaction()?;
    {
        let mut delete = change.prepare_cached("DELETE FROM names WHERE host = ?1")?;
        for host in hosts {
            delete.execute([host.as_str()])?;
        }
    }
    change.commit()
}

/// Forgets the names that nobody served since `before`, and says how many.
///
/// # Errors
///
/// Whatever the database says.
pub fn purge(db: &Connection, before: i64) -> rusqlite::Result<usize> {
    db.prepare_cached("DELETE FROM names WHERE last_seen < ?1")?
        .execute([before])
}

fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    let host: String = row.get(0)?;
    let owner: [u8; 32] = row.get(1)?;
    Ok(Record {
        host: host.parse().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
        })?,
        owner: owner.into(),
        token: row.get(2)?,
        last_seen: row.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory::Scratch;
    use crate::store::{connect, tokens};

    fn name(host: &str, owner: u8, last_seen: i64) -> Record {
        Record {
            host: host.parse().unwrap(),
            owner: [owner; 32].into(),
            token: None,
            last_seen,
        }
    }

    #[test]
    fn the_last_word_about_a_name_counts() {
        let dir = Scratch::new();
        let mut db = connect(dir.path()).unwrap();
        let (one, mut other) = (name("a.localhost", 1, 10), name("b.localhost", 2, 20));
        put(&db, &one).unwrap();
        put(&db, &name("b.localhost", 1, 15)).unwrap();
        put(&db, &other).unwrap();
        assert_eq!(all(&db).unwrap(), [one.clone(), other.clone()]);

        let unknown = "c.localhost".parse().unwrap();
        touch(&mut db, &[other.host.clone(), unknown], 30).unwrap();
        other.last_seen = 30;
        assert_eq!(all(&db).unwrap(), [one, other.clone()]);

        assert_eq!(purge(&db, 11).unwrap(), 1);
        assert_eq!(all(&db).unwrap(), [other.clone()]);
        remove(&mut db, &[other.host]).unwrap();
        assert_eq!(all(&db).unwrap(), []);
    }

    #[test]
    fn a_name_knows_only_tokens_that_exist() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        let mut name = name("a.localhost", 1, 10);
        name.token = Some("aaaaaaaa".into());
        assert!(put(&db, &name).is_err());
        tokens::create(&db, &tokens::tests::record("aaaaaaaa", "")).unwrap();
        put(&db, &name).unwrap();
        assert_eq!(all(&db).unwrap(), [name]);
    }
}
