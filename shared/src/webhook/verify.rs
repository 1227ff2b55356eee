//! Whether a request is genuine.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use super::issued;
use super::key::{Key, Secret};
use super::message::Message;
use super::scheme::{Algorithm, Piece, Provider, Scheme, Source, TimeAt, Unit};
use super::token;

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

/// The URL of the certificate without which `message` cannot be verified, if there is one, and what `message` says
/// makes it worth to be fetched.
pub fn certificate_url(
    provider: &Provider,
    secrets: &[Secret],
    message: &Message<'_>,
) -> Option<String> {
    let mut schemes = provider.schemes.iter();
    schemes.find_map(|scheme| {
        let certificate = scheme.certificate?;
        if !is_meant(scheme, message) || !is_for(scheme, secrets, message) {
            return None;
        }
        let url = text_at(message, certificate.at)?;
        let is_there = certificate.places.iter().any(|place| place.has(&url));
        (is_there && !signatures(scheme, message).is_empty()).then_some(url)
    })
}

/// Whether a request says that it is signed in this way.
fn is_meant(scheme: &Scheme, message: &Message<'_>) -> bool {
    let says = |(at, what): (Source, &str)| text_at(message, at).is_some_and(|text| text == what);
    scheme.when.is_none_or(says)
}

/// Whether a request is for one of our secrets, where it says so.
fn is_for(scheme: &Scheme, secrets: &[Secret], message: &Message<'_>) -> bool {
    scheme.audience.is_none_or(|at| {
        let audience = text_at(message, at);
        audience.is_some_and(|text| secrets.iter().any(|secret| secret.reveal() == text))
    })
}

fn check(
    scheme: &Scheme,
    secrets: &[Secret],
    message: &Message<'_>,
    now: SystemTime,
    tolerance: Option<Duration>,
) -> Result<(), Unverified> {
    let signatures = signatures(scheme, message);
    if signatures.is_empty() || !is_meant(scheme, message) {
        return Err(Unverified::Unsigned);
    }
    if scheme.algorithm == Algorithm::Jwt {
        let tolerance = tolerance.or_else(|| scheme.time.and_then(|time| time.tolerance));
        return token::check(&signatures[0], secrets, message.body, now, tolerance);
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
    let made = stamp.as_deref().unwrap_or_default();
    let is_signed = |key: &Key, content: &[u8]| {
        let mut each = signatures.iter();
        each.any(|signature| key.verifies(content, signature))
    };
    let is_genuine = if scheme.certificate.is_some() {
        let key = certified(scheme, secrets, message, now)?;
        let mut contents = secrets
            .iter()
            .map(|secret| content(scheme, message, made, secret));
        contents.try_fold(false, |is, content| Ok(is || is_signed(&key, &content?)))?
    } else {
        let Some(first) = secrets.first() else {
            return Err(Unverified::Mismatch);
        };
        let content = content(scheme, message, made, first)?;
        let mut keys = secrets
            .iter()
            .filter_map(|secret| Key::of(secret, scheme.algorithm, scheme.key));
        keys.any(|key| is_signed(&key, &content))
    };
    if !is_genuine {
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

/// The key of the certificate that a message names.
///
/// # Errors
///
/// [`Unverified`]: it is not for us, it names something else, or the certificate could not be had.
fn certified(
    scheme: &Scheme,
    secrets: &[Secret],
    message: &Message<'_>,
    now: SystemTime,
) -> Result<Key, Unverified> {
    let named = scheme.certificate.ok_or(Unverified::Malformed)?;
    let url = text_at(message, named.at).ok_or(Unverified::Malformed)?;
    let is_there = named.places.iter().any(|place| place.has(&url));
    if !is_there || !is_for(scheme, secrets, message) {
        return Err(Unverified::Mismatch);
    }
    let certificate = message.certificate.as_ref();
    let certificate = certificate.ok_or(Unverified::NoCertificate)?;
    let key = issued::key(certificate, now).ok_or(Unverified::Mismatch)?;
    Key::rsa(scheme.algorithm, key).ok_or(Unverified::Mismatch)
}

/// What is signed, of a message with the time `stamp`, for the holder of `secret`.
///
/// # Errors
///
/// [`Unverified::Malformed`] when a piece of it is missing.
pub(super) fn content(
    scheme: &Scheme,
    message: &Message<'_>,
    stamp: &str,
    secret: &Secret,
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
            Piece::Lines(keys) => {
                for key in keys {
                    // None of them has a slash or a tilde, which pointers escape.
                    if let Some(text) = message.json_text(&format!("/{key}")) {
                        content.extend(key.as_bytes());
                        content.push(b'\n');
                        content.extend(text.as_bytes());
                        content.push(b'\n');
                    }
                }
            }
            Piece::Secret => content.extend(secret.reveal().as_bytes()),
            Piece::Crc32 => content.extend(crc32fast::hash(message.body).to_string().as_bytes()),
            Piece::EscapedTarget => content.extend(escaped_target(message.url).as_bytes()),
            Piece::Fields(list) => listed(scheme, message, list, &mut content)?,
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
                    let own = HEXLOWER.encode(digest_of(message.body).as_ref());
                    if !own.as_bytes().eq_ignore_ascii_case(&named) {
                        return Err(Unverified::Mismatch);
                    }
                }
            },
        }
    }
    Ok(content)
}

/// Appends the fields that the field `list` lists.
fn listed(
    scheme: &Scheme,
    message: &Message<'_>,
    list: &'static str,
    content: &mut Vec<u8>,
) -> Result<(), Unverified> {
    let names = text_at(message, Source::Field(list)).ok_or(Unverified::Malformed)?;
    let names = names
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase());
    let mut names: Vec<_> = names.take(MAX_LISTED).collect();
    names.sort();
    names.dedup();
    let is_listed = |name: &str| names.iter().any(|one| one == name);
    let time = scheme.time.map(|time| time.at);
    let is_timed = !matches!(time, Some(TimeAt::Source(Source::Field(name))) if !is_listed(name));
    if !is_listed(list) || !is_timed {
        return Err(Unverified::Malformed);
    }
    for (at, name) in names.iter().enumerate() {
        let mut values = message.fields.get_all(name);
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Unverified::Malformed);
        };
        if at > 0 {
            content.push(b';');
        }
        content.extend(name.as_bytes());
        content.push(b':');
        content.extend(value.trim_ascii());
    }
    Ok(())
}

/// Path and query of a URL as Contentful's toolkit escapes them: the query as one component, and then all of it
/// once more.
fn escaped_target(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let target = url[start..].find('/').map_or("/", |at| &url[start + at..]);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // The toolkit takes no more than one question mark.
    let query = query.split('?').next().unwrap_or_default();
    let mut escaped = utf8_percent_encode(path, COMPONENT_AND_MORE).to_string();
    if !query.is_empty() {
        escaped.push('?');
        let once = utf8_percent_encode(query, COMPONENT).to_string();
        escaped.extend(utf8_percent_encode(&once, COMPONENT_AND_MORE));
    }
    escaped
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
    /// The certificate that it names could not be fetched.
    #[error("its certificate cannot be had now")]
    NoCertificate,
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
            Self::NoCertificate => "no-certificate",
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
/// Fields that a signature may be of.
const MAX_LISTED: usize = 64;
/// What JavaScript leaves as it is in a component of a URL, and in a whole one (ECMA-262 section 19.2.6.1).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
const COMPONENT_AND_MORE: &AsciiSet = &COMPONENT
    .remove(b';')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b'#');
