//! Making a request genuine: for a replay, whose first signature is too old by now, and for samples.

use std::time::SystemTime;

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use thiserror::Error;

use super::key::{Key, Secret};
use super::message::Message;
use super::scheme::{KeyText, Piece, Provider, Scheme, Source, Time, TimeAt};
use super::verify::content;
use crate::wire::fields::{BadField, Fields};

/// What a signed request has instead of what it had.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signed {
    /// All its header fields.
    pub fields: Fields,
    /// Its body, when that had to be changed: some providers write the time into it.
    pub body: Option<Vec<u8>>,
}

/// Signs `message` as `provider` would at the time `now`. It keeps its id, and gets one if it needs one.
///
/// # Errors
///
/// [`SignError`].
pub fn sign(
    provider: &Provider,
    secret: &Secret,
    message: &Message<'_>,
    now: SystemTime,
) -> Result<Signed, SignError> {
    // As it was signed before, if it was.
    let was_signed = |scheme: &&&Scheme| scheme.at.iter().any(|at| message.at(*at).is_some());
    let usable = || {
        let schemes = provider.schemes.iter();
        schemes.filter(|scheme| Key::of(secret, scheme.algorithm, scheme.key).is_some())
    };
    let scheme = usable().find(|scheme| was_signed(&scheme));
    let Some(scheme) = scheme.or_else(|| usable().next()) else {
        let is_theirs = |scheme: &Scheme| matches!(scheme.key, KeyText::Audience | KeyText::Jwk);
        return Err(if provider.schemes.iter().any(is_theirs) {
            SignError::Provider(provider.name)
        } else {
            SignError::Secret(provider.name)
        });
    };
    let key = Key::of(secret, scheme.algorithm, scheme.key);
    let key = key.ok_or(SignError::Secret(provider.name))?;
    let Some(Source::Field(at)) = scheme.at.first() else {
        return Err(SignError::Body(provider.name));
    };
    let mut fresh = Vec::new();
    if let Some(name) = scheme.id
        && message.fields.get(name).is_none()
    {
        fresh.push((name, new_id()?));
    }
    for piece in scheme.signed {
        if let (Piece::Fields(list), Some(TimeAt::Source(Source::Field(time)))) =
            (piece, scheme.time.map(|time| time.at))
            && message.fields.get(list).is_none()
        {
            fresh.push((list, format!("{list},{time}")));
        }
    }
    let (stamp, body) = match scheme.time {
        Some(time) => put_time(&time, message, now, &mut fresh),
        None => (String::new(), None),
    };
    let unsigned = replace(message.fields, &fresh)?;
    let message = Message::new(
        message.method,
        message.url,
        &unsigned,
        body.as_deref().unwrap_or(message.body),
    );
    if let Some(TimeAt::Source(Source::Json(pointer))) = scheme.time.map(|time| time.at)
        && message.json_text(pointer).as_deref() != Some(&*stamp)
    {
        return Err(SignError::Url(provider.name));
    }
    let content =
        content(scheme, &message, &stamp, secret).map_err(|_| SignError::Url(provider.name))?;
    let signature = key.sign(&content).ok_or(SignError::Public(provider.name))?;
    let signature = scheme.encoding.encode(&signature);
    let item = match scheme.time.map(|time| time.at) {
        Some(TimeAt::Item(prefix)) => format!("{prefix}{stamp}{}", scheme.between),
        _ => String::new(),
    };
    let value = format!("{item}{}{signature}", scheme.prefix);
    Ok(Signed {
        fields: replace(&unsigned, &[(at, value)])?,
        body,
    })
}

/// Writes the time to where it stands; says it, and the body if it stands there.
fn put_time(
    time: &Time,
    message: &Message<'_>,
    now: SystemTime,
    fresh: &mut Vec<(&'static str, String)>,
) -> (String, Option<Vec<u8>>) {
    let stamp = time.unit.write(now);
    match time.at {
        TimeAt::Source(Source::Field(name)) => {
            fresh.push((name, stamp.clone()));
            (stamp, None)
        }
        TimeAt::Source(Source::Json(pointer)) => {
            let body = put_number(message.body, pointer, &stamp);
            (stamp, body)
        }
        TimeAt::Source(Source::Form(_)) | TimeAt::Item(_) => (stamp, None),
    }
}

/// Puts a number to where another stands in a JSON body, and leaves the rest as it is, byte for byte.
fn put_number(body: &[u8], pointer: &str, number: &str) -> Option<Vec<u8>> {
    let text = str::from_utf8(body).ok()?;
    let key = format!("\"{}\"", pointer.trim_start_matches('/'));
    let after = text.rfind(&key)? + key.len();
    let start = after + text[after..].find(|c: char| c.is_ascii_digit())?;
    let is_value = text[after..start]
        .chars()
        .all(|c| c == ':' || c.is_whitespace());
    let rest = text[start..].trim_start_matches(|c: char| c.is_ascii_digit());
    is_value.then(|| format!("{}{number}{rest}", &text[..start]).into_bytes())
}

/// The fields, with `fresh` ones instead of those of the same names.
fn replace(fields: &Fields, fresh: &[(&str, String)]) -> Result<Fields, BadField> {
    let is_fresh = |name: &[u8]| fresh.iter().any(|(one, _)| one.as_bytes() == name);
    let kept = fields.iter().filter(|(name, _)| !is_fresh(name));
    let fresh = fresh
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    Fields::from_pairs(kept.chain(fresh))
}

fn new_id() -> Result<String, SignError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| SignError::Random)?;
    Ok(format!("msg_{}", HEXLOWER.encode(&bytes)))
}

/// Why a request cannot be signed.
#[derive(Debug, Error)]
pub enum SignError {
    /// Only the provider has a key to sign with.
    #[error("only {0} itself can sign: its key is in a certificate, or public")]
    Provider(&'static str),
    /// The secret is not written as that provider's are.
    #[error("this is no secret of {0}")]
    Secret(&'static str),
    /// Only the provider has the private key.
    #[error("only {0} itself can sign: what you have is its public key")]
    Public(&'static str),
    /// The signature stands in the body.
    #[error("{0} signs within the body")]
    Body(&'static str),
    /// The URL holds a digest of another body, or a piece is missing.
    #[error("{0} signs what is missing here, or a digest of the body that stands in the URL")]
    Url(&'static str),
    /// The signature makes the head too large.
    #[error("the head becomes too large")]
    Head(#[from] BadField),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}
