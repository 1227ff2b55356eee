//! Every failure as the visitor sees it: the only place that maps errors to statuses.
//!
//! An answer has a stable code (`adit-error`), a fixed sentence and the request's id, as HTML, JSON
//! or text by what the visitor accepts. The chain of causes is for the log.

use adit_shared::name::RequestId;
use adit_shared::webhook::{Unverified, challenge};
use adit_shared::wire::code::Reset;
use adit_shared::wire::fields::Fields;
use adit_shared::wire::head;
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;

use super::http1::BadRequest;
use crate::exchange::ExchangeError;
use crate::forward::headers::BadAuthority;
use crate::forward::{Fault, ForwardError, Receipt};
use crate::queue::Refusal;
use crate::queue::letter;

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
const NOTICE: Answer = answer(
    StatusCode::FORBIDDEN,
    "notice",
    "A browser is told first what it is about to see.",
);
const CONNECT: Answer = answer(
    StatusCode::NOT_IMPLEMENTED,
    "connect-not-supported",
    "This relay publishes servers; it is no proxy for the CONNECT method.",
);
const UNVERIFIED: Answer = answer(
    StatusCode::UNAUTHORIZED,
    "webhook-unverified",
    "This is no webhook with a valid signature.",
);
const WEBHOOK_TOO_LARGE: Answer = answer(
    StatusCode::PAYLOAD_TOO_LARGE,
    "webhook-too-large",
    "This webhook is too large to be verified.",
);
const UNCHECKED: Answer = answer(
    StatusCode::SERVICE_UNAVAILABLE,
    "webhook-unchecked",
    "The certificate that this webhook names cannot be fetched now.",
);
const WEBHOOK_BUSY: Answer = answer(
    StatusCode::SERVICE_UNAVAILABLE,
    "webhook-busy",
    "Too many webhooks wait to be verified.",
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
const RATE: Answer = answer(
    StatusCode::TOO_MANY_REQUESTS,
    "too-many-requests",
    "Too many requests come from this address; try again in a moment.",
);
const RELAY_BUSY: Answer = answer(
    StatusCode::SERVICE_UNAVAILABLE,
    "relay-busy",
    "The relay has as many requests in flight as it takes.",
);
const BODY_TOO_LARGE: Answer = answer(
    StatusCode::PAYLOAD_TOO_LARGE,
    "body-too-large",
    "The request's body is too large for this relay.",
);
const BODY_LATE: Answer = answer(
    StatusCode::REQUEST_TIMEOUT,
    "body-late",
    "The request's body came too slowly.",
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

const KEPT: Answer = answer(
    StatusCode::ACCEPTED,
    "kept",
    "The request is kept, and will be delivered.",
);
const INBOX_FULL: Answer = answer(
    StatusCode::INSUFFICIENT_STORAGE,
    "inbox-full",
    "The request cannot be served now, and there is no room to keep it.",
);
const INBOX_FAILED: Answer = answer(
    StatusCode::INSUFFICIENT_STORAGE,
    "inbox-failed",
    "The request cannot be served now, and could not be kept.",
);
const INBOX_TOO_LARGE: Answer = answer(
    StatusCode::PAYLOAD_TOO_LARGE,
    "inbox-too-large",
    "The request cannot be served now, and is too large to be kept.",
);
const INBOX_BUSY: Answer = answer(
    StatusCode::SERVICE_UNAVAILABLE,
    "inbox-busy",
    "The request cannot be served now, and too many are being kept at once.",
);

const BAD_REQUEST: Answer = answer(
    StatusCode::BAD_REQUEST,
    "bad-request",
    "The request is not HTTP as it should be.",
);
const BAD_TARGET: Answer = Answer {
    code: "bad-target",
    ..BAD_REQUEST
};
const BAD_FRAMING: Answer = Answer {
    code: "bad-framing",
    ..BAD_REQUEST
};
const CODING: Answer = answer(
    StatusCode::NOT_IMPLEMENTED,
    "coding-not-supported",
    "The request has a transfer coding that this relay does not know.",
);
const VERSION: Answer = answer(
    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    "version-not-supported",
    "This relay speaks HTTP/1.1, HTTP/2 and HTTP/3.",
);
const LATE: Answer = answer(
    StatusCode::REQUEST_TIMEOUT,
    "request-late",
    "The request's header did not come in time.",
);

impl From<&BadRequest> for Answer {
    fn from(error: &BadRequest) -> Self {
        match *error {
            BadRequest::Syntax(sentence) => Self {
                sentence,
                ..BAD_REQUEST
            },
            BadRequest::Target(sentence) => Self {
                sentence,
                ..BAD_TARGET
            },
            BadRequest::Framing(sentence) => Self {
                sentence,
                ..BAD_FRAMING
            },
            BadRequest::Authority => BAD_HOST,
            BadRequest::Coding => CODING,
            BadRequest::Version => VERSION,
            BadRequest::TooLarge | BadRequest::TooMany => HEAD_TOO_LARGE,
            BadRequest::Late => LATE,
        }
    }
}

impl From<&ForwardError> for Answer {
    fn from(error: &ForwardError) -> Self {
        match error {
            ForwardError::Authority(BadAuthority::Disagree) | ForwardError::Misdirected => {
                MISDIRECTED
            }
            ForwardError::Authority(_) => BAD_HOST,
            ForwardError::HeadTooLarge
            | ForwardError::TooManyFields
            | ForwardError::Exchange(ExchangeError::HeadTooLarge(_)) => HEAD_TOO_LARGE,
            // Whoever can show more than an answer does not ask for one.
            ForwardError::Notice(_) => NOTICE,
            ForwardError::Connect => CONNECT,
            ForwardError::Unverified(Unverified::TooLarge) => WEBHOOK_TOO_LARGE,
            ForwardError::Unverified(Unverified::NoCertificate) => Self {
                retry_after: Some(5),
                ..UNCHECKED
            },
            ForwardError::Unverified(_) | ForwardError::Challenge(_) => UNVERIFIED,
            ForwardError::Crowded => Self {
                retry_after: Some(5),
                ..WEBHOOK_BUSY
            },
            ForwardError::Target => BAD_TARGET,
            ForwardError::Field => BAD_REQUEST,
            ForwardError::Unknown => UNKNOWN,
            ForwardError::Away(_) => Self {
                retry_after: Some(5),
                ..AWAY
            },
            ForwardError::Asks(_) => Self {
                retry_after: Some(1),
                ..RATE
            },
            ForwardError::Full => Self {
                retry_after: Some(1),
                ..RELAY_BUSY
            },
            ForwardError::Body(Fault::TooLarge) => BODY_TOO_LARGE,
            ForwardError::Body(Fault::Late) => BODY_LATE,
            ForwardError::Busy | ForwardError::Exchange(ExchangeError::Overload) => Self {
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
            ForwardError::Kept(receipt) => Self {
                status: StatusCode::from_u16(receipt.status).unwrap_or(StatusCode::ACCEPTED),
                ..KEPT
            },
            ForwardError::Refused(refusal) => match refusal {
                Refusal::Full | Refusal::Share | Refusal::RelayFull | Refusal::Disk => Self {
                    retry_after: Some(60),
                    ..INBOX_FULL
                },
                Refusal::Failed => Self {
                    retry_after: Some(5),
                    ..INBOX_FAILED
                },
                Refusal::TooLarge => INBOX_TOO_LARGE,
                Refusal::Busy => Self {
                    retry_after: Some(1),
                    ..INBOX_BUSY
                },
            },
        }
    }
}

impl Answer {
    /// The answer as a response, in this form.
    pub fn response(&self, form: Form, id: &RequestId) -> (head::Response, Bytes) {
        self.named(form, id, (ADIT_ERROR, self.code))
    }

    /// As [`response`](Self::response), for a request that is kept: that is no error.
    pub fn receipt(
        &self,
        receipt: &Receipt,
        form: Form,
        id: &RequestId,
    ) -> (head::Response, Bytes) {
        self.named(form, id, (letter::INBOX.as_str(), &receipt.id.to_string()))
    }

    fn named(&self, form: Form, id: &RequestId, name: (&str, &str)) -> (head::Response, Bytes) {
        let body = form.render(self, id);
        let (length, retry_after) = (body.len().to_string(), self.retry_after);
        let retry_after = retry_after.map(|seconds| seconds.to_string());
        let retry_after = retry_after
            .as_deref()
            .map(|seconds| ("retry-after", seconds));
        let now = now();
        let fields = [
            ("date", now.as_str()),
            ("content-type", form.content_type()),
            ("cache-control", "no-store"),
            name,
            ("x-request-id", id.as_str()),
            ("content-length", &length),
        ];
        let head = head::Response {
            status: self.status,
            // All of it can be said.
            fields: Fields::from_pairs(fields.into_iter().chain(retry_after)).unwrap_or_default(),
            end: false,
        };
        (head, body)
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// For browsers.
    Html,
    /// For programs.
    Json,
    /// For anybody else.
    Text,
}

impl Form {
    /// The first form that these values of `Accept` name; text for those who take anything.
    pub fn preferred<'a>(accept: impl Iterator<Item = &'a [u8]>) -> Self {
        for kind in accept.flat_map(|value| value.split(|byte| *byte == b',')) {
            let kind = kind.split(|byte| *byte == b';').next();
            match kind.unwrap_or_default().trim_ascii() {
                b"text/html" | b"application/xhtml+xml" => return Self::Html,
                b"application/json" | b"application/problem+json" => return Self::Json,
                b"text/plain" | b"text/*" => return Self::Text,
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

/// Whoever has a clock says the time (RFC 9110 section 6.6.1).
pub(super) fn now() -> String {
    let now = Timestamp::now();
    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// What a provider of webhooks wants to hear from the right endpoint.
pub(super) fn challenge(answer: &challenge::Answer, id: &RequestId) -> (head::Response, Bytes) {
    let body = Bytes::copy_from_slice(answer.body.as_bytes());
    let length = body.len().to_string();
    let date = now();
    let mut pairs = vec![
        ("date", date.as_str()),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-request-id", id.as_str()),
    ];
    if answer.status != 204 {
        pairs.push(("content-length", &length));
    }
    pairs.extend(answer.content_type.map(|kind| ("content-type", kind)));
    let head = head::Response {
        status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK),
        // They are few, and valid.
        fields: Fields::from_pairs(pairs).unwrap_or_default(),
        end: body.is_empty(),
    };
    (head, body)
}

/// What a visitor sent comes back on a page.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:1.1rem/1.6 system-ui,sans-serif;\
    display:grid;place-items:center;min-height:90vh;margin:0 1.5rem}main{max-width:36rem}\
    h1{font-size:1.7rem;line-height:1.2}h1 span{opacity:.55}small{opacity:.75}";

const ADIT_ERROR: &str = "adit-error";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Away;

    #[test]
    fn an_answer_takes_the_form_that_is_accepted() {
        let id: RequestId = "<b>\"x".parse().unwrap();
        let answer = Answer::from(&ForwardError::Unknown);
        let body = |accept: &str| {
            let form = Form::preferred(std::iter::once(accept.as_bytes()));
            let (head, body) = answer.response(form, &id);
            assert_eq!(head.status, 404);
            assert_eq!(head.fields.get("adit-error"), Some(&b"unknown-name"[..]));
            String::from_utf8(body.into()).unwrap()
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
            (ForwardError::TooManyFields, 431, "head-too-large"),
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
