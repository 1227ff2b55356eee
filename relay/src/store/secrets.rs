//! Secrets of this relay that it makes itself, once.

use rusqlite::{Connection, OptionalExtension as _};

/// Bytes of a secret.
pub const LENGTH: usize = 32;

/// The secret of this name; `fresh` from now on when there is none yet. Of several programs that ask at
/// once, all get the same.
///
/// # Errors
///
/// Whatever the database says.
pub fn get_or_put(
    db: &Connection,
    name: &str,
    fresh: &[u8; LENGTH],
) -> rusqlite::Result<[u8; LENGTH]> {
    let read = || {
        db.prepare_cached("SELECT secret FROM secrets WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()
    };
    if let Some(secret) = read()? {
        return Ok(secret);
    }
    db.prepare_cached("INSERT INTO secrets (name, secret) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((name, fresh))?;
    Ok(read()?.unwrap_or(*fresh))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connect;
    use crate::store::directory::Scratch;

    #[test]
    fn a_secret_is_made_once() {
        let dir = Scratch::new();
        let (one, other) = ([1; LENGTH], [2; LENGTH]);
        for fresh in [one, other] {
            let db = connect(dir.path()).unwrap();
            assert_eq!(get_or_put(&db, "quic", &fresh).unwrap(), one);
        }
        let db = connect(dir.path()).unwrap();
        assert_eq!(get_or_put(&db, "else", &other).unwrap(), other);
    }
}
