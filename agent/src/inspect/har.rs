//! HTTP Archives (HAR 1.2), out and in.
//!
//! What is written has no secrets in its heads unless they are asked for: such a file is made to be passed on.
//! Bodies are written as they are.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_shared::wire::fields::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{Method, Uri};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::capture::exchange::{Answer, End, Head, State};
use crate::capture::kept::Kept;
use crate::capture::summary::milliseconds;
use crate::capture::{Capture, Cause, Exchange};

/// These exchanges as an archive.
pub fn write(exchanges: &[Arc<Exchange>], with_secrets: bool) -> Value {
    let entries: Vec<Value> = exchanges
        .iter()
        .map(|one| entry(one, with_secrets))
        .collect();
    json!({"log": {
        "version": "1.2",
        "creator": {"name": "adit", "version": env!("CARGO_PKG_VERSION")},
        "entries": entries,
    }})
}

fn entry(exchange: &Exchange, with_secrets: bool) -> Value {
    let state = exchange.state();
    let took = milliseconds(exchange.took(&state));
    let arrival = exchange.head.arrival;
    let version = arrival.map_or("HTTP/1.1", |arrival| arrival.version.name());
    let waited = arrival.map_or(-1.0, |arrival| milliseconds(arrival.waited));
    let answer = state.response.as_ref();
    let wait = answer.map_or(took, |answer| milliseconds(answer.after));
    let at = Timestamp::try_from(exchange.at).unwrap_or_default();
    let url = exchange.url();
    let url = if with_secrets {
        Cow::Borrowed(url.as_str())
    } else {
        masked_url(&url)
    };
    let query: Vec<Value> = url
        .split_once('?')
        .map_or("", |(_, query)| query)
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let mut headers = vec![json!({"name": "host", "value": exchange.head.authority})];
    headers.extend(pairs(&exchange.fields, with_secrets));
    let mut request = json!({
        "method": exchange.head.method.as_str(),
        "url": url,
        "httpVersion": version,
        "cookies": [],
        "headers": headers,
        "queryString": query,
        "headersSize": -1,
        "bodySize": state.sent.size(),
    });
    if state.sent.size() > 0 {
        let (text, encoding) = text(&state.sent.bytes());
        let kind = exchange.field("content-type").unwrap_or_default();
        request["postData"] = json!({"mimeType": kind, "text": text});
        if let Some(encoding) = encoding {
            // HAR has a place for it only in responses; readers pass over what they do not know.
            request["postData"]["_encoding"] = encoding.into();
        }
    }
    let (body, encoding) = text(&state.body.bytes());
    let field = |name| {
        let value = answer.and_then(|answer| answer.fields.get(name));
        value
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .unwrap_or_default()
    };
    let mut content = json!({
        "size": state.body.size(),
        "mimeType": field("content-type"),
        "text": body,
    });
    if let Some(encoding) = encoding {
        content["encoding"] = encoding.into();
    }
    let status = answer.map_or(0, |answer| answer.status);
    let mut entry = json!({
        "startedDateTime": format!("{at:.3}"),
        "time": took,
        "request": request,
        "response": {
            "status": status,
            "statusText": super::ngrok::reason(status),
            "httpVersion": version,
            "cookies": [],
            "headers": answer.map(|answer| pairs(&answer.fields, with_secrets)).unwrap_or_default(),
            "content": content,
            "redirectURL": field("location"),
            "headersSize": -1,
            "bodySize": state.body.size(),
        },
        "cache": {},
        "timings": {"blocked": waited, "send": 0, "wait": wait, "receive": (took - wait).max(0.0)},
        "_id": exchange.id,
        "_tunnel": exchange.tunnel,
        "_outcome": state.end.as_ref().map(|end| end.outcome.as_ref()),
        "_cut": state.sent.is_cut() || state.body.is_cut(),
    });
    if let Some(visitor) = exchange.visitor() {
        entry["_visitor"] = visitor.into();
    }
    if !state.comment.is_empty() {
        entry["comment"] = state.comment.as_str().into();
    }
    entry
}

fn pairs(fields: &Fields, with_secrets: bool) -> Vec<Value> {
    let shown = fields.iter().map(|(name, value)| {
        let (name, value) = (
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(value),
        );
        let value = if with_secrets {
            value
        } else {
            masked(&name, value)
        };
        json!({"name": name, "value": value})
    });
    shown.collect()
}

/// The value of a header field for somebody else's eyes; `name` is in lower case.
pub fn masked<'a>(name: &str, value: Cow<'a, str>) -> Cow<'a, str> {
    let is_secret =
        SECRET.contains(&name) || name.ends_with("-token") || name.ends_with("-api-key");
    if is_secret {
        Cow::Borrowed(MASK)
    } else {
        value
    }
}

fn masked_url(url: &str) -> Cow<'_, str> {
    let Some((before, query)) = url.split_once('?') else {
        return Cow::Borrowed(url);
    };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if SECRET_KEYS.contains(&name.to_ascii_lowercase().as_str()) => {
            format!("{name}={MASK}")
        }
        _ => pair.to_owned(),
    });
    Cow::Owned(format!("{before}?{}", pairs.collect::<Vec<_>>().join("&")))
}

/// As text if it is, in Base64 otherwise.
fn text(bytes: &Bytes) -> (String, Option<&'static str>) {
    match str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (BASE64.encode(bytes), Some("base64")),
    }
}

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: Option<String>,
    #[serde(default)]
    time: f64,
    request: Asked,
    response: Option<Answered>,
    comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Pair>,
    post_data: Option<Content>,
}

#[derive(Deserialize)]
struct Answered {
    status: u16,
    #[serde(default)]
    headers: Vec<Pair>,
    content: Option<Content>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Content {
    text: Option<String>,
    #[serde(alias = "_encoding")]
    encoding: Option<String>,
}

/// Adds what an archive has, and says what their numbers are.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn read(archive: &[u8], capture: &Capture) -> Result<Vec<u64>, String> {
    let archive: Archive =
        serde_json::from_slice(archive).map_err(|error| format!("this is no HAR: {error}"))?;
    let limits = capture.limits();
    let mut made = Vec::new();
    for entry in archive.log.entries {
        made.push(entry.parts(limits.body)?);
    }
    let mut ids = Vec::new();
    for (at, head, fields, state) in made {
        let budget = capture.budget().clone();
        let (tunnel, cause) = ("imported", Cause::Import);
        let added = capture
            .add(|id| Exchange::with(id, tunnel, at, cause, None, head, fields, state, &budget));
        ids.push(added.id);
    }
    Ok(ids)
}

impl Entry {
    fn parts(self, limit: usize) -> Result<(SystemTime, Head, Fields, State), String> {
        let bad = |what: &str| format!("{what} of {:?} is not valid", self.request.url);
        let url: Uri = self.request.url.parse().map_err(|_| bad("the URL"))?;
        let authority = url.authority().ok_or_else(|| bad("the URL"))?;
        let at = self
            .started_date_time
            .as_deref()
            .and_then(|text| text.parse::<Timestamp>().ok());
        let took = Duration::from_secs_f64((self.time / 1000.0).clamp(0.0, 1e9));
        let head = Head {
            method: Method::from_bytes(self.request.method.as_bytes())
                .map_err(|_| bad("the method"))?,
            https: url.scheme_str() != Some("http"),
            authority: authority.to_string(),
            target: url
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            protocol: None,
            arrival: None,
        };
        let fields = fields(&self.request.headers).ok_or_else(|| bad("a header field"))?;
        let mut state = State {
            sent: kept(self.request.post_data, limit),
            comment: self.comment.unwrap_or_default(),
            request_took: Some(Duration::ZERO),
            end: Some(End {
                outcome: Cow::Borrowed("imported"),
                after: took,
            }),
            ..State::default()
        };
        if let Some(answer) = self.response.filter(|answer| answer.status > 0) {
            let fields = fields_of(&answer.headers);
            state.response = Some(Answer {
                status: answer.status,
                fields,
                after: took,
            });
            state.body = kept(answer.content, limit);
        }
        Ok((
            at.map_or_else(SystemTime::now, Into::into),
            head,
            fields,
            state,
        ))
    }
}

fn fields(pairs: &[Pair]) -> Option<Fields> {
    // Archives of browsers name HTTP/2's own fields too.
    let pairs = pairs
        .iter()
        .filter(|pair| !pair.name.starts_with(':') && !pair.name.eq_ignore_ascii_case("host"));
    Fields::from_pairs(pairs.map(|pair| (pair.name.trim(), pair.value.trim()))).ok()
}

fn fields_of(pairs: &[Pair]) -> Fields {
    fields(pairs).unwrap_or_default()
}

fn kept(content: Option<Content>, limit: usize) -> Kept {
    let Some((text, encoding)) = content.and_then(|c| Some((c.text?, c.encoding))) else {
        return Kept::default();
    };
    let bytes = match encoding.as_deref() {
        Some("base64") => BASE64.decode(text).unwrap_or_default(),
        _ => text.into_bytes(),
    };
    let size = bytes.len() as u64;
    let bytes = Bytes::from(bytes);
    Kept::of(bytes.slice(..bytes.len().min(limit)), size)
}

const MASK: &str = "(masked)";
/// Header fields whose values let somebody in.
const SECRET: [&str; 7] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
];
/// The same in a query.
const SECRET_KEYS: [&str; 9] = [
    "access_token",
    "api_key",
    "apikey",
    "code",
    "key",
    "password",
    "secret",
    "signature",
    "token",
];

#[cfg(test)]
mod tests {
    use crate::capture::{Capture, Limits};

    use super::*;

    #[test]
    fn an_entry_without_a_host_is_refused_as_what_is_written_of_it_would_be() {
        let read = |url: &str| {
            let request = json!({"method": "GET", "url": url});
            let archive = json!({"log": {"entries": [{"request": request}]}}).to_string();
            let capture = Capture::new(Limits::default(), None);
            read(archive.as_bytes(), &capture).map(|_| write(&capture.all(), true))
        };
        let written = read("https://a.test/b?c").unwrap();
        assert_eq!(
            written["log"]["entries"][0]["request"]["url"],
            "https://a.test/b?c"
        );
        for url in ["/", "*", ""] {
            assert!(read(url).is_err(), "{url}");
        }
    }
}
