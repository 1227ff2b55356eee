//! What the inspector answers.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::header::{X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;

use super::{guard, live};
use crate::status::Status;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Answers one request that came to `port`.
pub(super) fn answer<B>(request: &Request<B>, port: u16, status: &Status) -> Response<Body> {
    if !guard::is_here(request.headers(), port) {
        let why = "open this page as http://localhost or http://127.0.0.1, with the port\n";
        return text(StatusCode::FORBIDDEN, why);
    }
    if !guard::is_read(request.method()) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "this page is only read\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(ALLOW, allowed);
        return answer;
    }
    match request.uri().path() {
        "/" => file("text/html; charset=utf-8", include_str!("page.html")),
        "/page.css" => file("text/css; charset=utf-8", include_str!("page.css")),
        "/page.js" => file("text/javascript; charset=utf-8", include_str!("page.js")),
        "/api/v1/status" => json(&status.snapshot()),
        "/api/v1/requests" => {
            #[derive(Serialize)]
            struct Requests {
                requests: Vec<crate::status::Request>,
            }
            json(&Requests {
                requests: status.recent(),
            })
        }
        "/api/v1/events" => with(StatusCode::OK, "text/event-stream", live::events(status)),
        _ => text(StatusCode::NOT_FOUND, "there is no such page\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    with(status, "text/plain; charset=utf-8", whole(text))
}

fn file(kind: &'static str, text: &'static str) -> Response<Body> {
    with(StatusCode::OK, kind, whole(text))
}

fn json(value: &impl Serialize) -> Response<Body> {
    // Nothing that is shown here can fail to be written.
    let text = serde_json::to_string(value).unwrap_or_default();
    with(StatusCode::OK, "application/json", whole(text))
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
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
