//! What an endpoint must answer before it gets events.

use serde_json::{Value, json};

use super::key::{Key, Secret};
use super::message::Message;
use super::scheme::{Algorithm, Challenge, Encoding, KeyText, Provider};
use super::table::SNS_CONFIRM;

/// An answer to a challenge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its `Content-Type`, if it has a body.
    pub content_type: Option<&'static str>,
    /// Its body.
    pub body: String,
}

impl Answer {
    fn text(body: &str) -> Self {
        Self {
            status: 200,
            content_type: Some("text/plain; charset=utf-8"),
            body: body.to_owned(),
        }
    }

    fn json(body: &Value) -> Self {
        Self {
            status: 200,
            content_type: Some("application/json"),
            body: body.to_string(),
        }
    }

    fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            body: String::new(),
        }
    }
}

/// The answer to `message`, if it is a challenge of `provider`. What the provider signs must be `verified`;
/// the rest is answered for anybody, and gives nothing away but that somebody here has the secret.
pub fn answer(
    provider: &Provider,
    message: &Message<'_>,
    secrets: &[Secret],
    verified: bool,
) -> Option<Answer> {
    let is = |method: &str| message.method == method;
    let text = |pointer: &str| message.json_text(pointer);
    match provider.challenge? {
        Challenge::Slack if verified => {
            let is_challenge = text("/type")? == "url_verification";
            is_challenge.then(|| Some(Answer::text(&text("/challenge")?)))?
        }
        Challenge::Zoom if verified => {
            if text("/event")? != "endpoint.url_validation" {
                return None;
            }
            let token = text("/payload/plainToken")?;
            let encrypted = hmac(secrets, &token, Encoding::Hex)?;
            let body = json!({"plainToken": token, "encryptedToken": encrypted});
            Some(Answer::json(&body))
        }
        Challenge::Discord if verified => match message.json()?.get("type")?.as_u64()? {
            // Of an interactions endpoint; of events it is 0, and has no event.
            1 if message.json()?.get("event").is_none() => Some(Answer::json(&json!({"type": 1}))),
            0 => Some(Answer::empty(204)),
            _ => None,
        },
        Challenge::Xero if verified => {
            let events = message.json()?.get("events")?.as_array()?;
            events.is_empty().then(|| Answer::empty(200))
        }
        Challenge::Meta if is("GET") => {
            let is_challenge = message.parameter("hub.mode")? == b"subscribe";
            is_challenge.then(|| echo(message, "hub.challenge"))?
        }
        Challenge::X if is("GET") => {
            let token = printable(message.parameter("crc_token")?)?;
            let response = hmac(secrets, &token, Encoding::Base64)?;
            let body = json!({"response_token": format!("sha256={response}")});
            Some(Answer::json(&body))
        }
        Challenge::Trello if is("HEAD") => Some(Answer::empty(200)),
        Challenge::Dropbox if is("GET") => echo(message, "challenge"),
        Challenge::MicrosoftGraph if is("POST") => echo(message, "validationToken"),
        _ => None,
    }
}

/// The URL that is to be asked for so that `provider` sends events, if `message`, whose signature holds, wants that.
/// It is Amazon's.
pub fn confirmation(provider: &Provider, message: &Message<'_>) -> Option<String> {
    if provider.challenge != Some(Challenge::Sns) {
        return None;
    }
    let text = |pointer: &str| message.json_text(pointer);
    let url = text("/SubscribeURL")?;
    let is_asked = text("/Type")? == "SubscriptionConfirmation";
    let is_theirs = SNS_CONFIRM.iter().any(|place| place.has(&url));
    (is_asked && is_theirs).then(|| url.into_owned())
}

fn echo(message: &Message<'_>, parameter: &str) -> Option<Answer> {
    let text = printable(message.parameter(parameter)?)?;
    Some(Answer::text(&text))
}

/// Nobody gets to choose much of what is said under our URL.
fn printable(text: Vec<u8>) -> Option<String> {
    let is_printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
    let fits = (1..=MAX_ECHO).contains(&text.len());
    (is_printable && fits).then(|| String::from_utf8(text).ok())?
}

fn hmac(secrets: &[Secret], text: &str, encoding: Encoding) -> Option<String> {
    let secret = secrets.first()?;
    let key = Key::of(secret, Algorithm::HmacSha256, KeyText::Raw)?;
    Some(encoding.encode(&key.sign(text.as_bytes())?))
}

/// In bytes.
const MAX_ECHO: usize = 2048;
