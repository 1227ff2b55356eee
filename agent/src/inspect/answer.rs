//! What the inspector answers: who may ask what is decided here, and where it is looked up.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::header::{CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde::Serialize;

use super::{Inspector, api, guard, ngrok};

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Answers one request that came to `port`.
pub(super) async fn answer(
    request: Request<Incoming>,
    port: u16,
    inspector: &Arc<Inspector>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if !guard::is_here(&parts.headers, port) {
        let why = "open this page as http://localhost or http://127.0.0.1, with the port\n";
        return text(StatusCode::FORBIDDEN, why);
    }
    let path = parts.uri.path();
    if !guard::is_read(&parts.method) {
        if !path.starts_with("/api/") {
            return not_allowed();
        }
        if let Err(why) = guard::may_write(&parts.method, &parts.headers, port) {
            return failed(StatusCode::FORBIDDEN, why);
        }
    }
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return failed(StatusCode::PAYLOAD_TOO_LARGE, "that is too much at once"),
    };
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        [""] if guard::is_read(&parts.method) => file(
            "text/html; charset=utf-8",
            include_str!("../../ui/dist/index.html"),
        ),
        ["page.css"] => file(
            "text/css; charset=utf-8",
            include_str!("../../ui/dist/page.css"),
        ),
        ["page.js"] => file(
            "text/javascript; charset=utf-8",
            include_str!("../../ui/dist/page.js"),
        ),
        ["api", "v1", rest @ ..] => api::answer(inspector, rest, &parts, body).await,
        ["api", rest @ ..] => ngrok::answer(inspector, rest, &parts, &body).await,
        _ => not_found("there is no such page"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    with(status, "text/plain; charset=utf-8", whole(text))
}

fn file(kind: &'static str, text: &'static str) -> Response<Body> {
    with(StatusCode::OK, kind, whole(text))
}

pub(super) fn json(value: &impl Serialize) -> Response<Body> {
    // Nothing that is shown here can fail to be written.
    json_text(serde_json::to_string(value).unwrap_or_default())
}

pub(super) fn json_text(text: String) -> Response<Body> {
    with(StatusCode::OK, "application/json", whole(text))
}

/// What visitors or origins sent: never to be shown by the browser itself.
pub(super) fn raw(bytes: Bytes) -> Response<Body> {
    let mut answer = with(StatusCode::OK, "application/octet-stream", whole(bytes));
    let download = HeaderValue::from_static("attachment; filename=\"body\"");
    answer.headers_mut().insert(CONTENT_DISPOSITION, download);
    answer
}

pub(super) fn stream(body: Body) -> Response<Body> {
    with(StatusCode::OK, "text/event-stream", body)
}

pub(super) fn no_content() -> Response<Body> {
    with(
        StatusCode::NO_CONTENT,
        "text/plain; charset=utf-8",
        whole(""),
    )
}

pub(super) fn not_found(why: &str) -> Response<Body> {
    failed(StatusCode::NOT_FOUND, why)
}

pub(super) fn not_allowed() -> Response<Body> {
    let why = "this is not done here with this method";
    let mut answer = failed(StatusCode::METHOD_NOT_ALLOWED, why);
    let allowed = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE");
    answer.headers_mut().insert(ALLOW, allowed);
    answer
}

pub(super) fn failed(status: StatusCode, why: &str) -> Response<Body> {
    let text = serde_json::json!({ "error": why }).to_string();
    with(status, "application/json", whole(text))
}

fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

fn with(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// The page is its own and nobody else's, and what visitors sent is never run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src 'self' data: blob:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
/// What is sent here at most: an archive. In bytes.
const MAX_BODY: usize = 64 << 20;
