//! Exchanges on disk, so that they are there after a restart: one SQLite file, written by a thread of its
//! own. Whoever is captured never waits for it: what comes too fast for the disk is left out of the file. What
//! is to be forgotten never is: it is noted apart, and gone with the next write.
//!
//! The file holds what visitors sent, secrets and all, so nobody else on the machine may read it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adit_shared::wire::arrival::{Arrival, Version};
use adit_shared::wire::fields::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use http::Method;
use rusqlite::{Connection, OpenFlags, params};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use super::exchange::{Answer, Cause, End, Exchange, Head, Hook, State};
use super::kept::Kept;
use super::limits::{Budget, Limits};
use super::messages::{Kind, Message, Messages};
use super::{Capture, Side};

/// The file. Cheap to clone; it is closed with the last clone.
#[derive(Clone, Debug)]
pub struct Store {
    work: SyncSender<Work>,
    gone: Gone,
}

enum Work {
    /// Keep it, if all was not forgotten more often since than this.
    Keep(Box<Row>, u64),
    /// Look at what is to be forgotten.
    Forget,
    Flush(oneshot::Sender<()>),
}

/// What is to be forgotten. It has room however much waits for the disk.
#[derive(Clone, Debug, Default)]
struct Gone(Arc<Mutex<Forgotten>>);

#[derive(Clone, Debug, Default)]
struct Forgotten {
    /// How often all was.
    cleared: u64,
    /// Single ones that may be in the file, or wait for it.
    removed: BTreeSet<u64>,
}

impl Gone {
    fn lock(&self) -> MutexGuard<'_, Forgotten> {
        // Each change is whole, so what another thread left behind is good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be made.
    #[error("cannot make {0} for the inspector")]
    File(PathBuf, #[source] io::Error),
    /// It is not ours, damaged, or another agent has it open.
    #[error("cannot use {0} for the inspector; is another agent using it?")]
    Open(PathBuf, #[source] rusqlite::Error),
    /// It belongs to a later release.
    #[error("{0} belongs to a later release")]
    Later(PathBuf),
    /// There is no thread for it.
    #[error("cannot start the inspector's thread")]
    Thread(#[source] io::Error),
}

/// What `path` has of earlier runs, and where it goes from now on.
///
/// # Errors
///
/// [`StoreError`].
pub fn open(path: &Path, limits: Limits) -> Result<Capture, StoreError> {
    private(path).map_err(|error| StoreError::File(path.to_owned(), error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = || {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(Duration::from_millis(200))?;
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == 0 {
            db.execute_batch(SCHEMA)?;
            db.pragma_update(None, "user_version", VERSION)?;
        }
        Ok((db, version))
    };
    let bad = |error| StoreError::Open(path.to_owned(), error);
    let (mut db, version) = opened().map_err(bad)?;
    if version > VERSION {
        return Err(StoreError::Later(path.to_owned()));
    }
    prune(&db, limits).map_err(bad)?;
    let rows = load(&db).map_err(bad)?;
    let (store, todo) = Store::new();
    let gone = store.gone.clone();
    thread::Builder::new()
        .name("inspect".into())
        .spawn(move || write(&mut db, &todo, &gone, limits))
        .map_err(StoreError::Thread)?;
    let capture = Capture::new(limits, Some(store));
    let budget = capture.budget().clone();
    let exchanges = rows.into_iter().filter_map(|row| row.exchange(&budget));
    capture.restore(exchanges.collect());
    Ok(capture)
}

impl Store {
    fn new() -> (Self, Receiver<Work>) {
        let (work, todo) = sync_channel(WAITING);
        let gone = Gone::default();
        (Self { work, gone }, todo)
    }

    /// Keeps how `exchange` stands. Never waits.
    pub(super) fn keep(&self, exchange: &Exchange) {
        let cleared = self.gone.lock().cleared;
        self.send(Work::Keep(Box::new(Row::of(exchange)), cleared));
    }

    /// Forgets one, which is not kept again. Never waits.
    pub(super) fn remove(&self, id: u64) {
        self.gone.lock().removed.insert(id);
        self.send(Work::Forget);
    }

    /// Forgets all that was kept so far. Never waits.
    pub(super) fn clear(&self) {
        self.gone.lock().cleared += 1;
        self.send(Work::Forget);
    }

    fn send(&self, work: Work) {
        match self.work.try_send(work) {
            Ok(()) => {}
            // Whoever has so much to do looks at what is to be forgotten before long.
            Err(TrySendError::Full(Work::Forget)) => {}
            Err(TrySendError::Full(_)) => debug!("exchanges come faster than they can be stored"),
            Err(TrySendError::Disconnected(_)) => debug!("the inspector's store has ended"),
        }
    }
}

impl Capture {
    /// Waits until all that has ended is on disk, if it goes there, and what was forgotten is not. Safe to drop.
    pub async fn flush(&self) {
        let Some(store) = &self.0.store else {
            return;
        };
        let (done, wait) = oneshot::channel();
        let work = store.work.clone();
        // It may have to wait for its place.
        let sent = spawn_blocking(move || work.send(Work::Flush(done)));
        // They fail when there is nothing that could be waited for.
        drop(sent.await);
        let _ = wait.await;
    }
}

/// Writes until all senders are gone.
fn write(db: &mut Connection, todo: &Receiver<Work>, gone: &Gone, limits: Limits) {
    let (mut since_pruned, mut cleared) = (0, 0);
    // How long to wait for more before what is still to be forgotten is looked at.
    let mut wait = Duration::MAX;
    let mut is_last = false;
    while !is_last {
        let first = match todo.recv_timeout(wait) {
            Ok(work) => Some(work),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                is_last = true;
                None
            }
        };
        // What comes from here on was kept after this was forgotten.
        let now = gone.lock().clone();
        let (mut flushed, mut is_drained) = (Vec::new(), true);
        let result = db.transaction().and_then(|batch| {
            if now.cleared > cleared {
                batch.execute("DELETE FROM exchange", [])?;
            }
            let more = todo.try_iter().take(BATCH);
            for (at, work) in first.into_iter().chain(more).enumerate() {
                is_drained = at < BATCH;
                match work {
                    Work::Keep(row, since) => {
                        if since >= now.cleared && !now.removed.contains(&row.id) {
                            row.insert(&batch)?;
                            since_pruned += 1;
                        }
                    }
                    Work::Forget => {}
                    Work::Flush(done) => flushed.push(done),
                }
            }
            for id in &now.removed {
                batch.execute("DELETE FROM exchange WHERE id = ?1", [*id as i64])?;
            }
            if since_pruned >= PRUNE_AFTER {
                prune(&batch, limits)?;
                since_pruned = 0;
            }
            batch.commit()
        });
        let is_written = result.is_ok();
        match result {
            Ok(()) => cleared = now.cleared,
            Err(error) => warn!(%error, "exchanges could not be stored"),
        }
        let mut left = gone.lock();
        if is_written && is_drained {
            // None of them waits to be kept any more.
            left.removed.retain(|id| !now.removed.contains(id));
        }
        let is_owed = left.cleared > cleared || !left.removed.is_empty();
        drop(left);
        wait = match (is_owed, is_written) {
            (false, _) => Duration::MAX,
            (true, true) => Duration::ZERO,
            (true, false) => AGAIN,
        };
        for done in flushed {
            // Nobody waits any more.
            let _ = done.send(());
        }
    }
}

/// Keeps to the same limits on disk; what is marked goes last.
fn prune(db: &Connection, limits: Limits) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM exchange WHERE id IN (SELECT id FROM (
           SELECT id, row_number() OVER newest AS number, sum(bytes) OVER newest AS total
           FROM exchange WINDOW newest AS (ORDER BY marked DESC, id DESC))
         WHERE number > ?1 OR total > ?2)",
        params![limits.requests as i64, limits.memory as i64],
    )?;
    Ok(())
}

fn load(db: &Connection) -> rusqlite::Result<Vec<Row>> {
    let mut query = db.prepare(
        "SELECT id, marked, meta, fields, request_trailers, answer, trailers, sent, body
         FROM exchange ORDER BY id",
    )?;
    let rows = query.query_map([], |row| {
        let blob = |at| row.get::<_, Vec<u8>>(at).map(Bytes::from);
        Ok(Row {
            id: row.get::<_, i64>(0)? as u64,
            marked: row.get(1)?,
            meta: row.get(2)?,
            fields: blob(3)?,
            request_trailers: blob(4)?,
            answer: blob(5)?,
            trailers: blob(6)?,
            sent: blob(7)?,
            body: blob(8)?,
        })
    })?;
    rows.collect()
}

/// An exchange as it is in the file: bytes as they were, all else as JSON.
struct Row {
    id: u64,
    marked: bool,
    meta: String,
    fields: Bytes,
    request_trailers: Bytes,
    answer: Bytes,
    trailers: Bytes,
    sent: Bytes,
    body: Bytes,
}

#[derive(Deserialize, Serialize)]
struct Meta {
    tunnel: String,
    /// Microseconds since 1970.
    at: i64,
    replay_of: Option<u64>,
    imported: bool,
    rtt: Option<u64>,
    method: String,
    https: bool,
    authority: String,
    target: String,
    protocol: Option<String>,
    /// The version of HTTP, and microseconds.
    #[serde(default)]
    arrival: Option<(String, u64)>,
    sent: u64,
    body: u64,
    request_took: Option<u64>,
    status: Option<u16>,
    first_byte: Option<u64>,
    outcome: String,
    took: u64,
    comment: String,
    messages: Option<MetaMessages>,
    #[serde(default)]
    webhook: Option<Hook>,
}

#[derive(Deserialize, Serialize)]
struct MetaMessages {
    websocket: bool,
    from_visitor: u64,
    from_origin: u64,
    /// When, whether from the visitor, which kind, size, beginning in Base64.
    last: Vec<(u64, bool, u8, u64, String)>,
}

impl Row {
    fn of(exchange: &Exchange) -> Self {
        let state = exchange.state();
        let micros = |took: Duration| took.as_micros() as u64;
        let answer = state.response.as_ref();
        let end = state.end.as_ref();
        let since = exchange.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let meta = Meta {
            tunnel: exchange.tunnel.clone(),
            at: since.as_micros() as i64,
            replay_of: match exchange.cause {
                Cause::Replay(of) => Some(of),
                Cause::Visitor | Cause::Import => None,
            },
            imported: exchange.cause == Cause::Import,
            rtt: exchange.rtt.map(micros),
            method: exchange.head.method.to_string(),
            https: exchange.head.https,
            authority: exchange.head.authority.clone(),
            target: exchange.head.target.clone(),
            protocol: exchange.head.protocol.clone(),
            arrival: exchange
                .head
                .arrival
                .map(|arrival| (arrival.version.token().to_owned(), micros(arrival.waited))),
            sent: state.sent.size(),
            body: state.body.size(),
            request_took: state.request_took.map(micros),
            status: answer.map(|answer| answer.status),
            first_byte: answer.map(|answer| micros(answer.after)),
            outcome: end.map_or_else(String::new, |end| end.outcome.to_string()),
            took: end.map_or(0, |end| micros(end.after)),
            comment: state.comment.clone(),
            messages: state.messages.as_deref().map(MetaMessages::of),
            webhook: state.webhook.clone(),
        };
        Self {
            id: exchange.id,
            marked: exchange.is_marked(),
            // Nothing in it can fail to be written.
            meta: serde_json::to_string(&meta).unwrap_or_default(),
            fields: encoded(&exchange.fields),
            request_trailers: encoded(&state.request_trailers),
            answer: answer.map_or_else(Bytes::new, |answer| encoded(&answer.fields)),
            trailers: encoded(&state.trailers),
            sent: state.sent.bytes(),
            body: state.body.bytes(),
        }
    }

    fn insert(&self, db: &Connection) -> rusqlite::Result<()> {
        let bytes = self.meta.len()
            + self.fields.len()
            + self.answer.len()
            + self.sent.len()
            + self.body.len();
        let mut insert = db.prepare_cached(
            "INSERT OR REPLACE INTO exchange
             (id, marked, bytes, meta, fields, request_trailers, answer, trailers, sent, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        insert.execute(params![
            self.id as i64,
            self.marked,
            bytes as i64,
            self.meta,
            &self.fields[..],
            &self.request_trailers[..],
            &self.answer[..],
            &self.trailers[..],
            &self.sent[..],
            &self.body[..],
        ])?;
        Ok(())
    }

    /// `None` when it cannot be read, which one damaged row must not make of the others.
    fn exchange(self, budget: &Arc<Budget>) -> Option<Exchange> {
        let meta: Meta = serde_json::from_str(&self.meta).ok()?;
        let took = |micros| Duration::from_micros(micros);
        let answer = match meta.status {
            Some(status) => Some(Answer {
                status,
                fields: decoded(self.answer)?,
                after: took(meta.first_byte.unwrap_or_default()),
            }),
            None => None,
        };
        let state = State {
            sent: Kept::of(self.sent, meta.sent),
            request_trailers: decoded(self.request_trailers)?,
            request_took: meta.request_took.map(took),
            response: answer,
            body: Kept::of(self.body, meta.body),
            trailers: decoded(self.trailers)?,
            messages: meta.messages.map(|all| Box::new(all.messages())),
            webhook: meta.webhook,
            end: Some(End {
                outcome: Cow::Owned(meta.outcome),
                after: took(meta.took),
            }),
            comment: meta.comment,
        };
        let head = Head {
            method: Method::from_bytes(meta.method.as_bytes()).ok()?,
            https: meta.https,
            authority: meta.authority,
            target: meta.target,
            protocol: meta.protocol,
            arrival: meta.arrival.and_then(|(version, waited)| {
                Some(Arrival {
                    version: Version::of(&version)?,
                    waited: took(waited),
                })
            }),
        };
        let cause = match (meta.replay_of, meta.imported) {
            (Some(of), _) => Cause::Replay(of),
            (None, true) => Cause::Import,
            (None, false) => Cause::Visitor,
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(meta.at).ok()?);
        let fields = decoded(self.fields)?;
        let exchange = Exchange::with(
            self.id,
            &meta.tunnel,
            at,
            cause,
            meta.rtt.map(took),
            head,
            fields,
            state,
            budget,
        );
        exchange.mark(self.marked);
        Some(exchange)
    }
}

impl MetaMessages {
    fn of(all: &Messages) -> Self {
        let last = all.last.iter().map(|(at, message)| {
            let is_visitor = message.side == Side::Visitor;
            let kind = KINDS.iter().position(|kind| *kind == message.kind);
            let kind = kind.unwrap_or_default() as u8;
            let start = BASE64.encode(&message.start);
            (at.as_micros() as u64, is_visitor, kind, message.size, start)
        });
        Self {
            websocket: all.is_websocket,
            from_visitor: all.from_visitor,
            from_origin: all.from_origin,
            last: last.collect(),
        }
    }

    fn messages(self) -> Messages {
        let last = self
            .last
            .into_iter()
            .filter_map(|(at, is_visitor, kind, size, start)| {
                let side = if is_visitor {
                    Side::Visitor
                } else {
                    Side::Origin
                };
                let message = Message {
                    side,
                    kind: *KINDS.get(usize::from(kind))?,
                    size,
                    start: BASE64.decode(start).ok()?,
                };
                Some((Duration::from_micros(at), message))
            });
        Messages::of(
            self.websocket,
            self.from_visitor,
            self.from_origin,
            last.collect(),
        )
    }
}

fn encoded(fields: &Fields) -> Bytes {
    let mut bytes = BytesMut::new();
    fields.encode(&mut bytes);
    bytes.freeze()
}

fn decoded(bytes: Bytes) -> Option<Fields> {
    if bytes.is_empty() {
        return Some(Fields::new());
    }
    Fields::decode(bytes).ok()
}

/// Makes the file if it is not there; either way only its owner may read it.
fn private(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|path| !path.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).map(drop)
}

/// In the order in which they are numbered in the file.
const KINDS: [Kind; 7] = [
    Kind::Text,
    Kind::Binary,
    Kind::Compressed,
    Kind::Ping,
    Kind::Pong,
    Kind::Close,
    Kind::Event,
];

const VERSION: i64 = 1;
const SCHEMA: &str = "
CREATE TABLE exchange (
  id INTEGER PRIMARY KEY,
  marked INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  meta TEXT NOT NULL,
  fields BLOB NOT NULL,
  request_trailers BLOB NOT NULL,
  answer BLOB NOT NULL,
  trailers BLOB NOT NULL,
  sent BLOB NOT NULL,
  body BLOB NOT NULL
) STRICT;";

/// Exchanges that wait for the disk; with bodies of a mebibyte, that many mebibytes at most.
const WAITING: usize = 64;
/// Exchanges that are written at once.
const BATCH: usize = 64;
/// When what could not be forgotten is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many are written between two looks at the limits.
const PRUNE_AFTER: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::tap::Tapped;
    use adit_shared::wire::head;
    use http::{HeaderValue, StatusCode};
    use http_body_util::{BodyExt as _, Full};

    fn path(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("adit-inspect-{name}-{}.db", std::process::id()));
        drop(std::fs::remove_file(&path));
        path
    }

    async fn exchange(capture: &Capture, body: &'static [u8]) -> u64 {
        let head = head::Request {
            tunnel: 0,
            method: Method::PUT,
            https: true,
            authority: HeaderValue::from_static("a.test"),
            target: "/a%2Fb//c?d".parse().unwrap(),
            protocol: None,
            arrival: None,
            fields: Fields::from_pairs([
                ("x-bytes", &b"\xe4\xff"[..]),
                ("x-twice", b"1"),
                ("x-twice", b"2"),
            ])
            .unwrap(),
            end: false,
        };
        let open = capture
            .begin(&head, "web", || Some(Duration::from_millis(3)))
            .unwrap();
        let full = Full::new(Bytes::from_static(body));
        Tapped::new(full, open.tap().clone(), Side::Visitor)
            .collect()
            .await
            .unwrap();
        open.tap().response(&head::Response {
            status: StatusCode::CREATED,
            fields: Fields::from_pairs([("x-answer", "yes")]).unwrap(),
            end: true,
        });
        open.end("done");
        open.tap().exchange().id
    }

    #[tokio::test]
    async fn exchanges_are_there_after_a_restart() {
        let path = path("restart");
        let limits = Limits::default();
        let capture = open(&path, limits).unwrap();
        let id = exchange(&capture, b"\x00\xffbody").await;
        capture.get(id).unwrap().mark(true);
        capture.get(id).unwrap().state().comment = "why?".into();
        capture.changed(&capture.get(id).unwrap());
        let gone = exchange(&capture, b"").await;
        assert!(capture.remove(gone));
        // A second agent must not write into the same file.
        assert!(matches!(open(&path, limits), Err(StoreError::Open(..))));
        capture.flush().await;
        drop(capture);

        let capture = again(&path, limits).await;
        let [one] = &capture.all()[..] else {
            panic!("{:?}", capture.all());
        };
        assert_eq!((one.id, one.is_marked(), one.is_ended()), (id, true, true));
        assert_eq!(one.head.target, "/a%2Fb//c?d");
        assert_eq!(one.fields.get("x-bytes"), Some(&b"\xe4\xff"[..]));
        assert_eq!(one.fields.get_all("x-twice").count(), 2);
        assert_eq!(one.bodies().0, &b"\x00\xffbody"[..]);
        let told = |state: &State| {
            (
                state.response.as_ref().map(|a| a.status),
                state.comment.clone(),
            )
        };
        assert_eq!(told(&one.state()), (Some(201), "why?".into()));
        // Numbers go on rising.
        assert!(exchange(&capture, b"").await > id);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
        drop(capture);
        drop(std::fs::remove_file(&path));
    }

    #[tokio::test]
    async fn the_file_keeps_to_the_limits() {
        let path = path("limits");
        let limits = Limits {
            requests: 3,
            ..Limits::default()
        };
        let capture = open(&path, limits).unwrap();
        let first = exchange(&capture, b"first").await;
        capture.get(first).unwrap().mark(true);
        capture.changed(&capture.get(first).unwrap());
        // A burst of three is followed at once, the others as the seconds go.
        for _ in 0..2 {
            exchange(&capture, b"more").await;
        }
        capture.flush().await;
        drop(capture);
        let limits = Limits {
            requests: 2,
            ..limits
        };
        let capture = again(&path, limits).await;
        let ids: Vec<_> = capture.all().iter().map(|one| one.id).collect();
        assert_eq!(ids, [first, first + 2], "what is marked stays");
        drop(capture);
        drop(std::fs::remove_file(&path));
    }

    #[tokio::test]
    async fn what_is_forgotten_while_the_disk_is_busy_is_not_on_disk() {
        let path = path("busy");
        let limits = Limits::default();
        drop(open(&path, limits).unwrap());
        // The queue is full, and nobody writes yet.
        let (store, todo) = Store::new();
        let gone = store.gone.clone();
        let capture = Capture::new(limits, Some(store));
        let before = exchange(&capture, b"secret").await;
        let removed = exchange(&capture, b"secret").await;
        for _ in 0..WAITING {
            exchange(&capture, b"secret").await;
        }
        assert!(capture.remove(removed));
        capture.clear();
        let mut db = again_alone(&path).await;
        let writer = thread::spawn(move || {
            write(&mut db, &todo, &gone, limits);
        });
        capture.flush().await;
        let after = exchange(&capture, b"later").await;
        let single = exchange(&capture, b"secret").await;
        assert!(capture.remove(single));
        capture.flush().await;
        drop(capture);
        writer.join().unwrap();
        let kept = again(&path, limits).await;
        let ids: Vec<_> = kept.all().iter().map(|one| one.id).collect();
        assert_eq!(ids, [after], "{before} to {removed} were forgotten");
        drop(kept);
        drop(std::fs::remove_file(&path));
    }

    /// The file by itself, as soon as the thread that had it is gone.
    async fn again_alone(path: &Path) -> Connection {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let db = Connection::open(path).unwrap();
            match db.execute_batch("BEGIN IMMEDIATE; COMMIT;") {
                Ok(()) => return db,
                Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Opens the file as soon as the thread that had it is gone.
    async fn again(path: &Path, limits: Limits) -> Capture {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            match open(path, limits) {
                Ok(capture) => return capture,
                Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
            }
            tokio::task::yield_now().await;
        }
    }
}
