//! The local interface of ngrok's agent, in its shapes, so that tools made for it work: `/api/tunnels`,
//! `/api/requests/http` and what stands beside them. Durations are nanoseconds.
//!
//! Tunnels are those that the agent was started with: none is made or taken away here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_shared::wire::fields::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Inspector;
use super::answer::{Body, json as as_json, no_content};
use super::api::Query;
use super::replay::{self, Edits};
use crate::capture::{Cause, Exchange};

/// Answers what was asked of `path`, the parts behind `/api/`.
pub(super) async fn answer(
    inspector: &Arc<Inspector>,
    path: &[&str],
    parts: &Parts,
    body: &Bytes,
) -> Response<Body> {
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    let name = |parts: &[&str]| {
        parts
            .join("/")
            .replace("%20", " ")
            .replace("%28", "(")
            .replace("%29", ")")
    };
    match (path, parts.method.as_str()) {
        ([] | [""], _) if is_read => as_json(&index()),
        (["status"], _) if is_read => as_json(&status(inspector)),
        (["tunnels"], _) if is_read => {
            as_json(&json!({"tunnels": tunnels(inspector), "uri": "/api/tunnels"}))
        }
        (["tunnels", rest @ ..], _) if is_read => one(tunnels(inspector), &name(rest)),
        (["endpoints"], _) if is_read => as_json(&json!({"endpoints": endpoints(inspector)})),
        (["endpoints", rest @ ..], _) if is_read => one(endpoints(inspector), &name(rest)),
        (["tunnels" | "endpoints", ..], _) => error(
            StatusCode::METHOD_NOT_ALLOWED,
            "the tunnels are those that the agent was started with",
        ),
        (["requests", "http"], _) if is_read => {
            let query = Query::of(parts.uri.query());
            let limit = query
                .get("limit")
                .and_then(|limit| limit.parse().ok())
                .unwrap_or(50);
            let of = query.get("tunnel_name").filter(|name| !name.is_empty());
            let all = inspector.capture.all();
            let wanted = all
                .iter()
                .rev()
                .filter(|one| one.cause != Cause::Import && of.is_none_or(|of| belongs(one, of)));
            let wanted: Vec<_> = wanted.take(limit).map(|one| request(one)).collect();
            as_json(&json!({"uri": "/api/requests/http", "requests": wanted}))
        }
        (["requests", "http"], "DELETE") => {
            inspector.capture.clear();
            no_content()
        }
        (["requests", "http"], "POST") => replay_one(inspector, body).await,
        (["requests", "http", id], _) if is_read => match find(inspector, id) {
            Some(exchange) => as_json(&request(&exchange)),
            None => missing(),
        },
        _ => missing(),
    }
}

fn index() -> Value {
    json!({
        "status_uri": "/api/status",
        "tunnels_uri": "/api/tunnels",
        "endpoints_uri": "/api/endpoints",
        "requests_uri": "/api/requests/http",
        "uri": "/api/",
    })
}

fn status(inspector: &Inspector) -> Value {
    let now = inspector.status.snapshot();
    let rtt = now.rtt.unwrap_or_default();
    let relay = now.relay.map(|relay| relay.to_string()).unwrap_or_default();
    json!({
        "status": if now.online { "online" } else { "offline" },
        "agent_version": env!("CARGO_PKG_VERSION"),
        "session": {"legs": [{"region": relay, "latency": format!("{}ms", rtt.as_millis())}]},
        "uri": "/api/status",
    })
}

/// Name, public URL and label of each: ngrok has a tunnel for every URL.
fn names(inspector: &Inspector) -> Vec<(String, String, String)> {
    let mut names = Vec::new();
    for tunnel in inspector.status.snapshot().tunnels {
        let mut urls = tunnel.urls.clone();
        urls.sort_by_key(|url| !url.starts_with("https"));
        for (at, url) in urls.into_iter().enumerate() {
            let name = match at {
                0 => tunnel.tunnel.clone(),
                1 => format!("{} (http)", tunnel.tunnel),
                at => format!("{} ({at})", tunnel.tunnel),
            };
            names.push((name, url, tunnel.tunnel.clone()));
        }
    }
    names
}

fn tunnels(inspector: &Inspector) -> Vec<Value> {
    let made = names(inspector).into_iter().map(|(name, url, label)| {
        let uri = format!("/api/tunnels/{}", name.replace(' ', "%20"));
        json!({
            "name": name,
            "ID": label,
            "uri": uri,
            "public_url": url,
            "proto": url.split(':').next(),
            "config": {"addr": origin(inspector, &label), "inspect": true},
            "metrics": metrics(inspector, &label),
        })
    });
    made.collect()
}

fn endpoints(inspector: &Inspector) -> Vec<Value> {
    let made = names(inspector).into_iter().map(|(name, url, label)| {
        let uri = format!("/api/endpoints/{}", name.replace(' ', "%20"));
        let origin = origin(inspector, &label);
        let protocol = if origin.starts_with("h2c") {
            "http2"
        } else {
            "http1"
        };
        json!({
            "name": name,
            "uri": uri,
            "url": url,
            "upstream": {"url": origin, "protocol": protocol},
            "inspect": true,
            "traffic_policy": "",
            "pooling_enabled": false,
            "metrics": metrics(inspector, &label),
        })
    });
    made.collect()
}

fn origin(inspector: &Inspector, label: &str) -> String {
    let way = inspector
        .ways
        .iter()
        .find(|(tunnel, _)| tunnel.label == label);
    way.map(|(tunnel, _)| tunnel.origin.url())
        .unwrap_or_default()
}

/// Of the exchanges that are kept.
fn metrics(inspector: &Inspector, label: &str) -> Value {
    let now = SystemTime::now();
    let (mut took, mut open, mut recent) = (Vec::new(), 0, [0.0; 3]);
    for one in inspector.capture.all() {
        if one.tunnel != label || one.cause != Cause::Visitor {
            continue;
        }
        if one.is_ended() {
            took.push(one.took(&one.state()).as_nanos() as u64);
        } else {
            open += 1;
        }
        let age = now.duration_since(one.at).unwrap_or_default();
        for (rate, minutes) in recent.iter_mut().zip([1.0, 5.0, 15.0]) {
            if age < Duration::from_secs_f64(minutes * 60.0) {
                *rate += 1.0 / (minutes * 60.0);
            }
        }
    }
    took.sort_unstable();
    let percentile = |part: f64| {
        let at = (took.len() as f64 * part).ceil() as usize;
        took.get(at.saturating_sub(1)).copied().unwrap_or_default()
    };
    let mut http = json!({
        "count": took.len() + open,
        "rate1": recent[0], "rate5": recent[1], "rate15": recent[2],
        "p50": percentile(0.5), "p90": percentile(0.9),
        "p95": percentile(0.95), "p99": percentile(0.99),
    });
    let mut conns = http.clone();
    conns["gauge"] = open.into();
    json!({"conns": conns, "http": http.take()})
}

fn one(all: Vec<Value>, name: &str) -> Response<Body> {
    match all.into_iter().find(|one| one["name"] == name) {
        Some(one) => as_json(&one),
        None => missing(),
    }
}

fn belongs(exchange: &Exchange, name: &str) -> bool {
    exchange.tunnel == name || name.strip_suffix(" (http)") == Some(&exchange.tunnel)
}

fn find(inspector: &Inspector, id: &str) -> Option<Arc<Exchange>> {
    inspector.capture.get(id.parse().ok()?)
}

fn request(exchange: &Exchange) -> Value {
    let state = exchange.state();
    let at = Timestamp::try_from(exchange.at).unwrap_or_default();
    let head = &exchange.head;
    let mut fields = vec![("Host".to_owned(), head.authority.clone())];
    fields.append(&mut pairs(&exchange.fields));
    let start = format!("{} {} HTTP/1.1", head.method, head.target);
    let response = state.response.as_ref().map(|answer| {
        let line = format!("{} {}", answer.status, reason(answer.status));
        let fields = pairs(&answer.fields);
        let raw = raw(&format!("HTTP/1.1 {line}"), &fields, &state.body.bytes());
        json!({
            "status": line,
            "status_code": answer.status,
            "proto": "HTTP/1.1",
            "headers": map(&fields),
            "raw": raw,
        })
    });
    json!({
        "uri": format!("/api/requests/http/{}", exchange.id),
        "id": exchange.id.to_string(),
        "tunnel_name": exchange.tunnel,
        "remote_addr": exchange.visitor().unwrap_or_default(),
        "start": format!("{at}"),
        "duration": exchange.took(&state).as_nanos() as u64,
        "request": {
            "method": head.method.as_str(),
            "proto": "HTTP/1.1",
            "headers": map(&fields),
            "uri": head.target,
            "raw": raw(&start, &fields, &state.sent.bytes()),
        },
        "response": response,
    })
}

/// Names as Go writes them: `X-Request-Id`.
fn pairs(fields: &Fields) -> Vec<(String, String)> {
    let made = fields.iter().map(|(name, value)| {
        let mut is_first = true;
        let name = name.iter().map(|byte| {
            let shown = if is_first {
                byte.to_ascii_uppercase()
            } else {
                *byte
            };
            is_first = *byte == b'-';
            char::from(shown)
        });
        (name.collect(), String::from_utf8_lossy(value).into_owned())
    });
    made.collect()
}

fn map(pairs: &[(String, String)]) -> BTreeMap<&str, Vec<&str>> {
    let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in pairs {
        map.entry(name).or_default().push(value);
    }
    map
}

/// A whole message in Base64.
fn raw(start: &str, fields: &[(String, String)], body: &[u8]) -> String {
    let mut text = format!("{start}\r\n");
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    BASE64.encode([text.as_bytes(), body].concat())
}

async fn replay_one(inspector: &Arc<Inspector>, body: &[u8]) -> Response<Body> {
    #[derive(Deserialize)]
    struct Again {
        id: String,
        tunnel_name: Option<String>,
    }
    let Ok(again) = serde_json::from_slice::<Again>(body) else {
        return error(StatusCode::BAD_REQUEST, "an id is needed");
    };
    let Some(exchange) = find(inspector, &again.id) else {
        return missing();
    };
    let tunnel = again.tunnel_name.filter(|name| !name.is_empty());
    let edits = Edits {
        tunnel: tunnel.map(|name| name.trim_end_matches(" (http)").to_owned()),
        ..Edits::default()
    };
    let Inspector {
        ways,
        capture,
        status,
        ..
    } = &**inspector;
    match replay::prepare(&exchange, &edits, ways, capture, status) {
        Ok(prepared) => {
            // ngrok answers when it is done.
            let _ = replay::spawn(prepared, &inspector.tasks).await;
            no_content()
        }
        Err(why) => error(StatusCode::BAD_REQUEST, &why.to_string()),
    }
}

fn missing() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "Resource not found")
}

fn error(status: StatusCode, why: &str) -> Response<Body> {
    let mut answer = as_json(&json!({
        "error_code": 100,
        "status_code": status.as_u16(),
        "msg": why,
        "details": {},
    }));
    *answer.status_mut() = status;
    answer
}

/// The usual words for a status.
pub(super) fn reason(status: u16) -> &'static str {
    let status = StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}
