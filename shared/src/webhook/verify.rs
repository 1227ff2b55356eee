//! Whether a request is genuine.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use jiff::Timestamp;
use thiserror::Error;

use super::key::{Key, Secret, to_hex};
use super::message::Message;
use super::scheme::{Piece, Provider, Scheme, Source, TimeAt, Unit};

/// Whether `message` was signed by `provider`, with one of `secrets`: several are for while one takes the
/// place of another. A signature is as old as it says; `tolerance` is how far from `now` that may be, instead
/// of what the provider says.
///
/// # Errors
///
/// [`Unverified`], the nearest miss.
pub fn verify(
    provider: &Provider,
    secrets: &[Secret],
    message: &Message<'_>,
    now: SystemTime,
    tolerance: Option<Duration>,
) -> Result<(), Unverified> {
    let mut nearest = Unverified::Unsigned;
    for scheme in provider.schemes {
        match check(scheme, secrets, message, now, tolerance) {
            Ok(()) => return Ok(()),
            Err(miss) => nearest = nearest.max(miss),
        }
    }
    Err(nearest)
}

fn check(
    scheme: &Scheme,
    secrets: &[Secret],
    message: &Message<'_>,
    now: SystemTime,
    tolerance: Option<Duration>,
) -> Result<(), Unverified> {
    let signatures = signatures(scheme, message);
    if signatures.is_empty() {
        return Err(Unverified::Unsigned);
    }
    let stamp = scheme.time.map(|time| match time.at {
        TimeAt::Source(source) => text_at(message, source),
        TimeAt::Item(prefix) => items(scheme, message).find_map(|item| {
            Some(String::from_utf8(
                item.strip_prefix(prefix.as_bytes())?.into(),
            ))?
            .ok()
        }),
    });
    let stamp = stamp.map(|text| text.ok_or(Unverified::Malformed));
    let stamp = stamp.transpose()?;
    let content = content(scheme, message, stamp.as_deref().unwrap_or_default())?;
    let keys = secrets
        .iter()
        .filter_map(|secret| Key::of(secret, scheme.algorithm, scheme.key));
    let is_signed = keys.into_iter().any(|key| {
        let mut each = signatures.iter();
        each.any(|signature| key.verifies(&content, signature))
    });
    if !is_signed {
        return Err(Unverified::Mismatch);
    }
    let (Some(time), Some(stamp)) = (scheme.time, stamp) else {
        return Ok(());
    };
    let Some(tolerance) = tolerance.or(time.tolerance) else {
        return Ok(());
    };
    let stamp = time.unit.read(&stamp).ok_or(Unverified::Malformed)?;
    let apart = now
        .duration_since(stamp)
        .unwrap_or_else(|future| future.duration());
    if apart > tolerance {
        return Err(Unverified::Stale);
    }
    Ok(())
}

/// What is signed, of a message with the time `stamp`.
///
/// # Errors
///
/// [`Unverified::Malformed`] when a piece of it is missing.
pub(super) fn content(
    scheme: &Scheme,
    message: &Message<'_>,
    stamp: &str,
) -> Result<Vec<u8>, Unverified> {
    let missing = || Unverified::Malformed;
    let mut content = Vec::with_capacity(message.body.len() + 256);
    for piece in scheme.signed {
        match *piece {
            Piece::Text(text) => content.extend(text.as_bytes()),
            Piece::Id => {
                let id = scheme.id.and_then(|name| message.at(Source::Field(name)));
                content.extend(&*id.ok_or_else(missing)?);
            }
            Piece::Time => content.extend(stamp.as_bytes()),
            Piece::Method => content.extend(message.method.as_bytes()),
            Piece::Url => content.extend(message.url.as_bytes()),
            Piece::UnescapedUrl => content.extend(unescape(message.url).as_bytes()),
            Piece::Body => content.extend(message.body),
            Piece::Json(pointer) => {
                let text = message.json_text(pointer).ok_or_else(missing)?;
                content.extend(text.as_bytes());
            }
            Piece::Form(digest) => match message.form() {
                Some(pairs) => {
                    let mut pairs: Vec<_> = pairs.collect();
                    pairs.sort();
                    pairs.dedup();
                    for (key, value) in pairs {
                        content.extend(key);
                        content.extend(value);
                    }
                }
                None if message.body.is_empty() => {}
                None => {
                    let named = digest.and_then(|key| message.parameter(key));
                    let named = named.ok_or_else(missing)?;
                    let own = to_hex(digest_of(message.body).as_ref());
                    if !own.as_bytes().eq_ignore_ascii_case(&named) {
                        return Err(Unverified::Mismatch);
                    }
                }
            },
        }
    }
    Ok(content)
}

fn digest_of(body: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, body)
}

/// The signatures of a message; not more than anybody sends.
fn signatures(scheme: &Scheme, message: &Message<'_>) -> Vec<Vec<u8>> {
    let signatures = items(scheme, message).filter_map(|item| {
        let text = item.strip_prefix(scheme.prefix.as_bytes())?;
        scheme.encoding.decode(text)
    });
    signatures.take(MAX_SIGNATURES).collect()
}

fn items(scheme: &Scheme, message: &Message<'_>) -> impl Iterator<Item = Vec<u8>> {
    let values = scheme.at.iter().filter_map(|source| message.at(*source));
    let between = scheme.between as u8;
    values.flat_map(move |value| {
        let items = value.split(|byte| *byte == between);
        let items = items.map(|item| item.trim_ascii().to_vec());
        items.collect::<Vec<_>>()
    })
}

fn text_at(message: &Message<'_>, source: Source) -> Option<String> {
    String::from_utf8(message.at(source)?.into_owned()).ok()
}

impl Unit {
    /// The time that a text stands for.
    fn read(self, text: &str) -> Option<SystemTime> {
        let from_epoch = |since| SystemTime::UNIX_EPOCH.checked_add(since);
        match self {
            Self::Seconds => from_epoch(Duration::from_secs(text.parse().ok()?)),
            Self::Milliseconds => from_epoch(Duration::from_millis(text.parse().ok()?)),
            Self::Date => text.parse::<Timestamp>().ok().map(SystemTime::from),
        }
    }

    /// A time as text.
    pub(super) fn write(self, at: SystemTime) -> String {
        let since = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        match self {
            Self::Seconds => since.as_secs().to_string(),
            Self::Milliseconds => since.as_millis().to_string(),
            Self::Date => {
                let at = Timestamp::try_from(at).unwrap_or_default();
                format!("{at:.0}")
            }
        }
    }
}

/// Undoes the escapes that HubSpot undoes before it signs.
fn unescape(url: &str) -> String {
    let mut url = url.to_owned();
    for (escaped, plain) in UNESCAPED {
        url = url.replace(escaped, plain);
        url = url.replace(&escaped.to_ascii_lowercase(), plain);
    }
    url
}

/// Why a request is not known to be genuine; the later, the nearer.
#[derive(Clone, Copy, Debug, Eq, Error, Ord, PartialEq, PartialOrd)]
pub enum Unverified {
    /// It has no signature.
    #[error("it has no signature")]
    Unsigned,
    /// Its body is too large to be checked.
    #[error("its body is too large to be checked")]
    TooLarge,
    /// What has to be signed is missing, or stands there twice.
    #[error("what has to be signed is missing")]
    Malformed,
    /// Its signature is of something else, or with another secret.
    #[error("its signature does not match")]
    Mismatch,
    /// It was signed too long ago, or too far in the future.
    #[error("its signature is too old, or from the future")]
    Stale,
}

impl Unverified {
    /// As a word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::TooLarge => "too-large",
            Self::Malformed => "malformed",
            Self::Mismatch => "mismatch",
            Self::Stale => "stale",
        }
    }
}

/// HubSpot's list for signatures of version 3.
const UNESCAPED: [(&str, &str); 12] = [
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];
const MAX_SIGNATURES: usize = 16;
