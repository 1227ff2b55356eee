//! An exchange as a row of the file.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adit_shared::wire::arrival::{Arrival, Version};
use adit_shared::wire::fields::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use http::Method;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::capture::Side;
use crate::capture::exchange::{Answer, Cause, End, Exchange, Head, Hook, State};
use crate::capture::kept::Kept;
use crate::capture::limits::Budget;
use crate::capture::messages::{Kind, Message, Messages};

/// An exchange as it is in the file: bytes as they were, all else as JSON.
pub(super) struct Row {
    pub(super) id: u64,
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
    /// How `exchange` stands.
    pub(super) fn of(exchange: &Exchange) -> Self {
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

    /// Puts it in the place of what the file has of the same exchange.
    pub(super) fn insert(&self, db: &Connection) -> rusqlite::Result<()> {
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
    pub(super) fn exchange(self, budget: &Arc<Budget>) -> Option<Exchange> {
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

/// All of them, the oldest first.
pub(super) fn load(db: &Connection) -> rusqlite::Result<Vec<Row>> {
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

/// The table of rows, as of [`VERSION`](super::VERSION).
pub(super) const SCHEMA: &str = "
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
