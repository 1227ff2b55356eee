//! How many new names each account has had certificates ordered for on a day: what a restart must not
//! forget, lest each gives everybody a new share of what authorities allow the relay.

use rusqlite::{Connection, OptionalExtension as _};

/// Whether `account` may have one more on `day`, of at most `each`; then it counts. Of accounts, at most
/// `accounts` have any on one day. Days before are forgotten.
///
/// # Errors
///
/// Whatever the database says.
pub fn take(
    db: &Connection,
    account: &str,
    day: i64,
    each: u32,
    accounts: usize,
) -> rusqlite::Result<bool> {
    db.prepare_cached("DELETE FROM ordered WHERE day < ?1")?
        .execute([day])?;
    let had: Option<u32> = db
        .prepare_cached("SELECT names FROM ordered WHERE account = ?1 AND day = ?2")?
        .query_row((account, day), |row| row.get(0))
        .optional()?;
    if had.is_some_and(|had| had >= each) {
        return Ok(false);
    }
    if had.is_none() {
        let count: i64 = db
            .prepare_cached("SELECT count(*) FROM ordered")?
            .query_row([], |row| row.get(0))?;
        if usize::try_from(count).is_ok_and(|count| count >= accounts) {
            return Ok(false);
        }
    }
    db.prepare_cached(
        "INSERT INTO ordered (account, day, names) VALUES (?1, ?2, 1)
         ON CONFLICT DO UPDATE SET names = names + 1",
    )?
    .execute((account, day))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connect;
    use crate::store::directory::Scratch;

    #[test]
    fn one_account_does_not_use_up_what_all_share_whatever_restarts() {
        let dir = Scratch::new();
        let take = |account: &str, day| {
            let db = connect(dir.path()).unwrap();
            take(&db, account, day, 2, 2).unwrap()
        };
        assert!(take("greedy", 100));
        assert!(take("greedy", 100));
        assert!(!take("greedy", 100));
        assert!(take("other", 100));
        assert!(!take("one too many", 100));
        assert!(take("greedy", 101));
        assert!(take("one too many", 101));
    }
}
