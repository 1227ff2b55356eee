//! What is delivered next.

use adit_shared::name::Host;
use rusqlite::Connection;

use super::database::{Kept, kept};

/// The next requests to be delivered, which count as tried from now on: what comes after a crash must not
/// pass for a first attempt. At least one, and no more than `bytes` otherwise.
///
/// First their numbers, then one after the other: a request is read only if there is room for it.
pub(super) fn take(
    db: &Connection,
    host: &Host,
    now: i64,
    most: usize,
    bytes: usize,
) -> rusqlite::Result<Vec<Kept>> {
    let mut next = db
        .prepare_cached(WAITING)?
        .query_map((host.as_str(), most as i64), |row| row.get::<_, i64>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut due = db.prepare_cached(DUE)?;
    for id in due.query_map((host.as_str(), now, most as i64), |row| row.get(0))? {
        next.push(id?);
    }
    next.sort_unstable();
    let mut one = db.prepare_cached(
        "SELECT id, state, attempts, due, error, sealed FROM requests WHERE id = ?1",
    )?;
    let mut count = db.prepare_cached("UPDATE requests SET attempts = ?2 WHERE id = ?1")?;
    let (mut taken, mut room) = (Vec::new(), bytes);
    for id in next.into_iter().take(most) {
        let mut row = one.query_row([id], kept)?;
        if !taken.is_empty() && row.sealed.len() > room {
            break;
        }
        room = room.saturating_sub(row.sealed.len());
        row.attempts += 1;
        count.execute((row.id.0, row.attempts))?;
        taken.push(row);
    }
    Ok(taken)
}

/// When the next request that is aside is due, in milliseconds since 1970.
pub(super) fn due(db: &Connection, host: &Host) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT min(due) FROM requests WHERE host = ?1 AND state = 1")?
        .query_row([host.as_str()], |row| row.get(0))
}

/// Those that wait, in their order.
pub(super) const WAITING: &str =
    "SELECT id FROM requests WHERE host = ?1 AND state = 0 ORDER BY id LIMIT ?2";
/// Those that are tried again, the one that has been due for longest first.
pub(super) const DUE: &str = "SELECT id FROM requests
     WHERE host = ?1 AND state = 1 AND due <= ?2 ORDER BY due LIMIT ?3";
