//! The tokens that were made, as hashes. A revoked one stays, so that it is told from a mistyped
//! one.

use rusqlite::{Connection, Row, named_params};

/// One token. Times are in seconds since 1970.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// What the token is called in public.
    pub id: String,
    /// SHA-256 of its whole text.
    pub hash: [u8; 32],
    /// What its maker called it; may be empty.
    pub label: String,
    /// Patterns of the names that it allows.
    pub names: Vec<String>,
    /// When it was made.
    pub created_at: i64,
    /// When an agent last came with it, give or take [`USE_STEP`].
    pub last_used_at: Option<i64>,
    /// When it stopped being good.
    pub revoked_at: Option<i64>,
}

/// Keeps a new token.
///
/// # Errors
///
/// Whatever the database says; an id that exists is an error.
pub fn create(db: &Connection, token: &Record) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO tokens (id, hash, label, names, created_at, last_used_at, revoked_at)
         VALUES (:id, :hash, :label, :names, :created, :used, :revoked)",
    )?
    .execute(named_params! {
        ":id": token.id,
        ":hash": token.hash,
        ":label": token.label,
        ":names": token.names.join(SEPARATOR),
        ":created": token.created_at,
        ":used": token.last_used_at,
        ":revoked": token.revoked_at,
    })
    .map(drop)
}

/// All tokens, the oldest first.
///
/// # Errors
///
/// Whatever the database says.
pub fn all(db: &Connection) -> rusqlite::Result<Vec<Record>> {
    db.prepare_cached("SELECT * FROM tokens ORDER BY created_at, id")?
        .query_map([], read)?
        .collect()
}

/// The tokens with this id or label.
///
/// # Errors
///
/// Whatever the database says.
pub fn find(db: &Connection, id_or_label: &str) -> rusqlite::Result<Vec<Record>> {
    db.prepare_cached("SELECT * FROM tokens WHERE id = ?1 OR label = ?1 ORDER BY created_at, id")?
        .query_map([id_or_label], read)?
        .collect()
}

/// Makes a token worthless from `now` on; false when it was already, or is not known.
///
/// # Errors
///
/// Whatever the database says.
pub fn revoke(db: &Connection, id: &str, now: i64) -> rusqlite::Result<bool> {
    db.prepare_cached("UPDATE tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
        .execute((id, now))
        .map(|changed| changed > 0)
}

/// Notes that a token was used. Agents come back often, and each write costs a wait for the disk:
/// so within [`USE_STEP`] of the last note there is none.
///
/// # Errors
///
/// Whatever the database says.
pub fn touch(db: &Connection, id: &str, now: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE tokens SET last_used_at = ?2
         WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2 - ?3)",
    )?
    .execute((id, now, USE_STEP))
    .map(drop)
}

/// A number that changes when another connection, such as that of `relay token`, changed the
/// database. What this connection changes does not count.
///
/// # Errors
///
/// Whatever the database says.
pub fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "data_version", |row| row.get(0))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    let names: String = row.get("names")?;
    Ok(Record {
        id: row.get("id")?,
        hash: row.get("hash")?,
        label: row.get("label")?,
        names: names.split_whitespace().map(str::to_owned).collect(),
        created_at: row.get("created_at")?,
        last_used_at: row.get("last_used_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}

/// How exact the time of last use is, in seconds.
pub const USE_STEP: i64 = 60;

/// Between patterns, which have no spaces.
const SEPARATOR: &str = " ";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::store::connect;
    use crate::store::directory::Scratch;

    pub(crate) fn record(id: &str, label: &str) -> Record {
        Record {
            id: id.into(),
            hash: [7; 32],
            label: label.into(),
            names: vec!["app-*".into(), "staging".into()],
            created_at: 1,
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_kept() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        let both = [record("aaaaaaaa", "laptop"), record("bbbbbbbb", "")];
        for token in &both {
            create(&db, token).unwrap();
        }
        assert!(create(&db, &both[0]).is_err(), "ids are unique");
        assert_eq!(all(&db).unwrap(), both);
        assert_eq!(find(&db, "laptop").unwrap(), both[..1]);
        assert_eq!(find(&db, "aaaaaaaa").unwrap(), both[..1]);
        assert_eq!(find(&db, "nobody").unwrap(), []);
    }

    #[test]
    fn a_token_is_revoked_once() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        create(&db, &record("aaaaaaaa", "")).unwrap();
        assert!(revoke(&db, "aaaaaaaa", 5).unwrap());
        assert!(!revoke(&db, "aaaaaaaa", 9).unwrap());
        assert!(!revoke(&db, "bbbbbbbb", 9).unwrap());
        assert_eq!(all(&db).unwrap()[0].revoked_at, Some(5));
    }

    #[test]
    fn a_use_is_noted_at_most_once_in_its_step() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        create(&db, &record("aaaaaaaa", "")).unwrap();
        for (now, noted) in [(100, 100), (130, 100), (161, 161)] {
            touch(&db, "aaaaaaaa", now).unwrap();
            assert_eq!(all(&db).unwrap()[0].last_used_at, Some(noted));
        }
    }

    #[test]
    fn a_change_by_another_process_is_seen() {
        let dir = Scratch::new();
        let ours = connect(dir.path()).unwrap();
        let theirs = connect(dir.path()).unwrap();
        let before = version(&ours).unwrap();
        assert_eq!(version(&ours).unwrap(), before);
        create(&theirs, &record("aaaaaaaa", "")).unwrap();
        assert_ne!(version(&ours).unwrap(), before);
    }
}
