//! Every failure as the visitor sees it: the only place that maps errors to statuses.
//!
//! An answer has a stable code (`adit-error`), a fixed sentence and the request's id, as HTML, JSON
//! or text by what the visitor accepts. The chain of causes is for the log.

use adit_shared::name::RequestId;
use adit_shared::wire::code::Reset;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::exchange::ExchangeError;
use crate::forward::ForwardError;
use crate::forward::headers::{BadAuthority, X_REQUEST_ID};
use crate::route::Away;

/// One kind of answer of the relay's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The word for machines.
    pub code: &'static str,
    /// The sentence for people.
    pub sentence: &'static str,
    /// When to come back, in seconds.
    pub retry_after: Option<u32>,
}

const fn answer(status: StatusCode, code: &'static str, sentence: &'static str) -> Answer {
    Answer {
        status,
        code,
        sentence,
        retry_after: None,
    }
}

const BAD_HOST: Answer = answer(
    StatusCode::BAD_REQUEST,
    "bad-host",
    "The request does not say, or not clearly, which host it is for.",
);
const MISDIRECTED: Answer = answer(
    StatusCode::MISDIRECTED_REQUEST,
    "misdirected",
    "The request names another host than its connection is for.",
);
const HEAD_TOO_LARGE: Answer = answer(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head-too-large",
    "The request's header is too large for this relay.",
);
const CONNECT: Answer = answer(
    StatusCode::NOT_IMPLEMENTED,
    "connect-not-supported",
    "This relay publishes servers; it is no proxy for the CONNECT method.",
);
const UNKNOWN: Answer = answer(
    StatusCode::NOT_FOUND,
    "unknown-name",
    "No tunnel of this name exists here.",
);
const AWAY: Answer = answer(
    StatusCode::SERVICE_UNAVAILABLE,
    "agent-away",
    "The tunnel exists, but its agent is not connected right now.",
);
const OVERLOAD: Answer = answer(
    StatusCode::SERVICE_UNAVAILABLE,
    "too-many-requests-in-flight",
    "The tunnel has as many requests in flight as it takes.",
);
const AGENT_LOST: Answer = answer(
    StatusCode::BAD_GATEWAY,
    "agent-lost",
    "The connection to the tunnel's agent was lost before the server behind it answered.",
);
const AGENT_INVALID: Answer = answer(
    StatusCode::BAD_GATEWAY,
    "agent-invalid",
    "The tunnel's agent did not answer as agreed.",
);
const ORIGIN_REFUSED: Answer = answer(
    StatusCode::BAD_GATEWAY,
    "origin-refused",
    "The tunnel works, but the server behind it does not accept connections.",
);
const ORIGIN_RESET: Answer = answer(
    StatusCode::BAD_GATEWAY,
    "origin-reset",
    "The server behind the tunnel closed the connection before it answered.",
);
const ORIGIN_INVALID: Answer = answer(
    StatusCode::BAD_GATEWAY,
    "origin-invalid",
    "The server behind the tunnel sent something that is not a valid response.",
);
const ORIGIN_TIMEOUT: Answer = answer(
    StatusCode::GATEWAY_TIMEOUT,
    "origin-timeout",
    "The server behind the tunnel did not answer in time.",
);
const VISITOR_GAVE_UP: Answer = answer(
    StatusCode::BAD_REQUEST,
    "request-incomplete",
    "The request ended before it was whole.",
);

impl From<&ForwardError> for Answer {
    fn from(error: &ForwardError) -> Self {
        match error {
            ForwardError::Authority(BadAuthority::Disagree) | ForwardError::Misdirected => {
                MISDIRECTED
            }
            ForwardError::Authority(_) => BAD_HOST,
            ForwardError::HeadTooLarge | ForwardError::Exchange(ExchangeError::HeadTooLarge(_)) => {
                HEAD_TOO_LARGE
            }
            ForwardError::Connect => CONNECT,
            ForwardError::Unknown => UNKNOWN,
            ForwardError::Away(Away::Absent | Away::Crowded) => Self {
                retry_after: Some(5),
                ..AWAY
            },
            ForwardError::Exchange(ExchangeError::Overload) => Self {
                retry_after: Some(1),
                ..OVERLOAD
            },
            ForwardError::Exchange(ExchangeError::Lost(_)) => AGENT_LOST,
            ForwardError::Exchange(ExchangeError::Protocol(_)) => AGENT_INVALID,
            ForwardError::Exchange(ExchangeError::Reset(code)) => match code {
                Reset::OriginRefused => ORIGIN_REFUSED,
                Reset::OriginReset => ORIGIN_RESET,
                Reset::OriginInvalid | Reset::HeadTooLarge => ORIGIN_INVALID,
                Reset::OriginTimeout => ORIGIN_TIMEOUT,
                Reset::Overload => Self {
                    retry_after: Some(1),
                    ..OVERLOAD
                },
                Reset::VisitorReset => VISITOR_GAVE_UP,
                Reset::Cancelled | Reset::Internal => AGENT_LOST,
                Reset::Protocol => AGENT_INVALID,
            },
        }
    }
}

impl Answer {
    /// The answer as a response to a request with these `fields`.
    pub fn response(&self, fields: &HeaderMap, id: &RequestId) -> Response<Bytes> {
        let form = Form::preferred(fields);
        let mut response = Response::new(form.render(self, id));
        *response.status_mut() = self.status;
        let out = response.headers_mut();
        out.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        out.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        out.insert(&ADIT_ERROR, HeaderValue::from_static(self.code));
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            out.insert(&X_REQUEST_ID, id);
        }
        if let Some(seconds) = self.retry_after {
            out.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Html,
    Json,
    Text,
}

impl Form {
    /// The first form that the visitor names; text for those who take anything.
    fn preferred(fields: &HeaderMap) -> Self {
        let accepts = fields
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        for kind in accepts.flat_map(|value| value.split(',')) {
            match kind.split(';').next().unwrap_or_default().trim() {
                "text/html" | "application/xhtml+xml" => return Self::Html,
                "application/json" | "application/problem+json" => return Self::Json,
                "text/plain" | "text/*" => return Self::Text,
                _ => {}
            }
        }
        Self::Text
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    fn render(self, answer: &Answer, id: &RequestId) -> Bytes {
        let Answer {
            status,
            code,
            sentence,
            ..
        } = answer;
        let number = status.as_u16();
        let reason = status.canonical_reason().unwrap_or_default();
        let text = match self {
            Self::Text => format!("{number} {code}\n{sentence}\nrequest id: {id}\n"),
            Self::Json => {
                let value = serde_json::json!({
                    "error": code, "status": number, "message": sentence, "request_id": id.as_str(),
                });
                format!("{value}\n")
            }
            Self::Html => {
                let id = escape(id.as_str());
                format!(
                    "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n\
                     <meta name=viewport content=\"width=device-width\">\n\
                     <title>{number} {reason}</title>\n<style>{STYLE}</style>\n<main>\n\
                     <h1><span>{number}</span> {reason}</h1>\n<p>{sentence}\n\
                     <p><small><code>{code}</code> &middot; request <code>{id}</code></small>\n\
                     </main>\n</html>\n"
                )
            }
        };
        text.into()
    }
}

/// A visitor's own request id comes back on the page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:1.1rem/1.6 system-ui,sans-serif;\
    display:grid;place-items:center;min-height:90vh;margin:0 1.5rem}main{max-width:36rem}\
    h1{font-size:1.7rem;line-height:1.2}h1 span{opacity:.55}small{opacity:.75}";

static ADIT_ERROR: HeaderName = HeaderName::from_static("adit-error");

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &'static str) -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.insert(ACCEPT, HeaderValue::from_static(accept));
        fields
    }

    #[test]
    fn an_answer_takes_the_form_that_is_accepted() {
        let id: RequestId = "<b>\"x".parse().unwrap();
        let answer = Answer::from(&ForwardError::Unknown);
        let body = |accept| {
            let response = answer.response(&accepting(accept), &id);
            assert_eq!(response.status(), 404);
            assert_eq!(response.headers()["adit-error"], "unknown-name");
            String::from_utf8(response.into_body().into()).unwrap()
        };
        assert!(body("*/*").starts_with("404 unknown-name\n"));
        let json: serde_json::Value = serde_json::from_str(&body("application/json")).unwrap();
        assert_eq!(json["error"], "unknown-name");
        assert_eq!(json["request_id"], "<b>\"x");
        let html = body("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
        assert!(html.contains("&lt;b&gt;&quot;x") && !html.contains("<b>"));
    }

    #[test]
    fn statuses_are_those_of_the_contract() {
        let reset = |code| ForwardError::Exchange(ExchangeError::Reset(code));
        for (error, status, code) in [
            (ForwardError::Unknown, 404, "unknown-name"),
            (ForwardError::Away(Away::Absent), 503, "agent-away"),
            (reset(Reset::OriginRefused), 502, "origin-refused"),
            (reset(Reset::OriginReset), 502, "origin-reset"),
            (reset(Reset::OriginInvalid), 502, "origin-invalid"),
            (reset(Reset::OriginTimeout), 504, "origin-timeout"),
            (ForwardError::HeadTooLarge, 431, "head-too-large"),
            (ForwardError::Misdirected, 421, "misdirected"),
            (
                ForwardError::Authority(BadAuthority::Disagree),
                421,
                "misdirected",
            ),
            (
                ForwardError::Authority(BadAuthority::Missing),
                400,
                "bad-host",
            ),
        ] {
            let answer = Answer::from(&error);
            assert_eq!((answer.status.as_u16(), answer.code), (status, code));
        }
        assert!(
            Answer::from(&ForwardError::Away(Away::Absent))
                .retry_after
                .is_some()
        );
    }
}
