//! Our own interface: `/api/v1`.

use std::sync::Arc;

use adit_shared::wire::fields::Fields;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::answer::{Body, failed, json as as_json, no_content, not_allowed, not_found, raw};
use super::replay::{self, Edits};
use super::{Inspector, har, live};
use crate::capture::filter::Filter;
use crate::capture::summary::Summary;
use crate::capture::{Capture, Exchange, Side};
use crate::status::{Snapshot, Status};

#[derive(Serialize)]
struct Rows {
    requests: Vec<Summary>,
    /// How many were never kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
}

/// How things stand.
#[derive(Serialize)]
pub(super) struct Standing {
    #[serde(flatten)]
    now: Snapshot,
    inspect: Inspecting,
}

#[derive(Serialize)]
struct Inspecting {
    paused: bool,
    left_out: u64,
    memory: usize,
    limits: Bounds,
    version: &'static str,
}

#[derive(Serialize)]
struct Bounds {
    requests: usize,
    memory: usize,
    body: usize,
    rate: u32,
}

impl Standing {
    pub(super) fn of(status: &Status, capture: &Capture) -> Self {
        let limits = capture.limits();
        Self {
            now: status.snapshot(),
            inspect: Inspecting {
                paused: capture.is_paused(),
                left_out: capture.left_out(),
                memory: capture.memory(),
                limits: Bounds {
                    requests: limits.requests,
                    memory: limits.memory,
                    body: limits.body,
                    rate: limits.rate,
                },
                version: env!("CARGO_PKG_VERSION"),
            },
        }
    }
}

/// Answers what was asked of `path`, the parts behind `/api/v1/`.
pub(super) async fn answer(
    inspector: &Arc<Inspector>,
    path: &[&str],
    parts: &Parts,
    body: Bytes,
) -> Response<Body> {
    let capture = &inspector.capture;
    let query = Query::of(parts.uri.query());
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    match (path, parts.method.as_str()) {
        (["status"], _) if is_read => as_json(&Standing::of(&inspector.status, capture)),
        (["events"], _) if is_read => match query.filter() {
            Ok(filter) => {
                let last = parts.headers.get("last-event-id");
                let last = last
                    .and_then(|id| id.to_str().ok())
                    .or_else(|| query.get("since"));
                super::answer::stream(live::events(&inspector.status, capture, filter, last))
            }
            Err(error) => failed(StatusCode::BAD_REQUEST, &error),
        },
        (["requests"], _) if is_read => list(capture, &query).await,
        (["requests"], "DELETE") => {
            capture.clear();
            no_content()
        }
        (["requests", id, rest @ ..], _) => {
            let Some(exchange) = id.parse().ok().and_then(|id| capture.get(id)) else {
                return not_found("there is no such request; it may have made room for others");
            };
            one(inspector, &exchange, rest, parts, body).await
        }
        (["har"], _) if is_read => export(capture, &query).await,
        (["har"], "POST") => {
            let capture = capture.clone();
            let read = spawn_blocking(move || har::read(&body, &capture)).await;
            match read {
                Ok(Ok(ids)) => as_json(&json!({"imported": ids.len(), "ids": ids})),
                Ok(Err(error)) => failed(StatusCode::BAD_REQUEST, &error),
                Err(_) => failed(StatusCode::INTERNAL_SERVER_ERROR, "it could not be read"),
            }
        }
        (["pause"], "POST") => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Pause {
                paused: bool,
            }
            match serde_json::from_slice::<Pause>(&body) {
                Ok(pause) => {
                    capture.pause(pause.paused);
                    no_content()
                }
                Err(error) => failed(StatusCode::BAD_REQUEST, &error.to_string()),
            }
        }
        (["status" | "events" | "requests" | "har" | "pause"], _) => not_allowed(),
        _ => not_found("there is no such place in /api/v1"),
    }
}

async fn one(
    inspector: &Arc<Inspector>,
    exchange: &Arc<Exchange>,
    path: &[&str],
    parts: &Parts,
    body: Bytes,
) -> Response<Body> {
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    match (path, parts.method.as_str()) {
        ([], _) if is_read => as_json(&Detail::of(exchange)),
        ([], "PATCH") => note(inspector, exchange, &body),
        ([], "DELETE") => {
            inspector.capture.remove(exchange.id);
            no_content()
        }
        (["request", "body"], _) if is_read => raw(exchange.bodies().0),
        (["response", "body"], _) if is_read => raw(exchange.bodies().1),
        (["replay"], "POST") => send_again(inspector, exchange, &body).await,
        ([] | ["request" | "response", "body"] | ["replay"], _) => not_allowed(),
        _ => not_found("a request has no such part"),
    }
}

async fn list(capture: &Capture, query: &Query<'_>) -> Response<Body> {
    let filter = match query.filter() {
        Ok(filter) => filter,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error),
    };
    let limit = query.get("limit").and_then(|limit| limit.parse().ok());
    let found = found(capture, filter, limit.unwrap_or(usize::MAX)).await;
    let rows: Vec<_> = found.iter().map(|one| Summary::of(one)).collect();
    as_json(&Rows {
        requests: rows,
        left_out: Some(capture.left_out()),
    })
}

/// The last exchanges that `filter` wants, the oldest first. Looking through bodies takes a while, so it is done
/// beside the tunnels.
async fn found(capture: &Capture, filter: Filter, limit: usize) -> Vec<Arc<Exchange>> {
    let all = capture.all();
    let look = move || {
        let wanted = all.into_iter().rev().filter(|one| filter.wants(one));
        let mut wanted: Vec<_> = wanted.take(limit).collect();
        wanted.reverse();
        wanted
    };
    spawn_blocking(look).await.unwrap_or_default()
}

async fn export(capture: &Capture, query: &Query<'_>) -> Response<Body> {
    let filter = match query.filter() {
        Ok(filter) => filter,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error),
    };
    let with_secrets = query.get("secrets") == Some("1");
    let found = found(capture, filter, usize::MAX).await;
    let text = spawn_blocking(move || har::write(&found, with_secrets).to_string()).await;
    let mut answer = super::answer::json_text(text.unwrap_or_default());
    let name = HeaderValue::from_static("attachment; filename=\"adit.har\"");
    answer.headers_mut().insert(CONTENT_DISPOSITION, name);
    answer
}

fn note(inspector: &Inspector, exchange: &Exchange, body: &[u8]) -> Response<Body> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Note {
        marked: Option<bool>,
        comment: Option<String>,
    }
    let note: Note = match serde_json::from_slice(body) {
        Ok(note) => note,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if note
        .comment
        .as_ref()
        .is_some_and(|text| text.len() > MAX_COMMENT)
    {
        return failed(StatusCode::PAYLOAD_TOO_LARGE, "a comment has at most 4 KiB");
    }
    if let Some(marked) = note.marked {
        exchange.mark(marked);
    }
    if let Some(comment) = note.comment {
        exchange.state().comment = comment;
    }
    inspector.capture.changed(exchange);
    as_json(&Summary::of(exchange))
}

async fn send_again(
    inspector: &Arc<Inspector>,
    exchange: &Exchange,
    body: &[u8],
) -> Response<Body> {
    let edits: Edits = match serde_json::from_slice(body) {
        Ok(edits) => edits,
        Err(_) if body.is_empty() => Edits::default(),
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let Inspector {
        ways,
        capture,
        status,
        ..
    } = &**inspector;
    let prepared = match replay::prepare(exchange, &edits, ways, capture, status) {
        Ok(prepared) => prepared,
        Err(error) => return failed(StatusCode::CONFLICT, &error.to_string()),
    };
    let times = prepared.times;
    let signing = prepared.signing.clone();
    let (signed, unsigned) = (signing.signer(), signing.unsigned);
    let sent = replay::spawn(prepared, &inspector.tasks);
    if !edits.wait {
        let told = json!({"times": times, "signed": signed, "unsigned": unsigned});
        let mut answer = as_json(&told);
        *answer.status_mut() = StatusCode::ACCEPTED;
        return answer;
    }
    match sent.await {
        Ok(sent) => {
            let rows: Vec<_> = sent.iter().map(|one| Summary::of(one)).collect();
            as_json(&json!({"requests": rows, "signed": signed, "unsigned": unsigned}))
        }
        Err(_) => failed(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping"),
    }
}

/// All of an exchange but the bodies.
#[derive(Serialize)]
struct Detail {
    #[serde(flatten)]
    summary: Summary,
    request: Message,
    response: Option<Message>,
    inside: Vec<Inside>,
}

#[derive(Serialize)]
struct Message {
    headers: Vec<(String, String)>,
    trailers: Vec<(String, String)>,
    size: u64,
    kept: usize,
}

#[derive(Serialize)]
struct Inside {
    ms: f64,
    from: &'static str,
    kind: &'static str,
    size: u64,
    text: Option<String>,
    hex: Option<String>,
}

impl Detail {
    fn of(exchange: &Exchange) -> Self {
        let summary = Summary::of(exchange);
        let state = exchange.state();
        let mut headers = vec![("host".to_owned(), exchange.head.authority.clone())];
        headers.append(&mut pairs(&exchange.fields));
        let inside = state
            .messages
            .iter()
            .flat_map(|all| &all.last)
            .map(|(at, message)| {
                let text = String::from_utf8(message.start.clone()).ok();
                Inside {
                    ms: crate::capture::summary::milliseconds(*at),
                    from: match message.side {
                        Side::Visitor => "visitor",
                        Side::Origin => "origin",
                    },
                    kind: message.kind.word(),
                    size: message.size,
                    hex: text.is_none().then(|| HEXLOWER.encode(&message.start)),
                    text,
                }
            });
        Self {
            summary,
            request: Message {
                headers,
                trailers: pairs(&state.request_trailers),
                size: state.sent.size(),
                kept: state.sent.len(),
            },
            response: state.response.as_ref().map(|answer| Message {
                headers: pairs(&answer.fields),
                trailers: pairs(&state.trailers),
                size: state.body.size(),
                kept: state.body.len(),
            }),
            inside: inside.collect(),
        }
    }
}

fn pairs(fields: &Fields) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    fields
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// What stands behind the question mark.
pub(super) struct Query<'a>(Vec<(&'a str, String)>);

impl<'a> Query<'a> {
    pub(super) fn of(text: Option<&'a str>) -> Self {
        let pairs = text.unwrap_or_default().split('&');
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.map(|(name, value)| (name, decoded(value))).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(is, _)| *is == name);
        found.map(|(_, value)| value.as_str())
    }

    fn filter(&self) -> Result<Filter, String> {
        let text = self.get("filter").unwrap_or_default();
        text.parse()
            .map_err(|error: crate::capture::filter::BadFilter| error.to_string())
    }
}

/// Percent-encoding taken out, as forms have it.
fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// In bytes.
const MAX_COMMENT: usize = 4 << 10;
