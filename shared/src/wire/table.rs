//! Header fields that travel as a number instead of text.
//!
//! The table is part of `adit/1`: its order never changes, and additions go to a new version.
//! Codes 1 to [`NAMES`]`.len()` stand for a name; the codes above stand for a name with a value,
//! in the order in which the values are listed. Code 0 announces a literal name.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};

/// What a code stands for.
#[derive(Debug)]
pub enum Entry {
    /// A name; the value follows as text.
    Name(&'static HeaderName),
    /// A whole field.
    Field(&'static HeaderName, &'static HeaderValue),
}

/// How a field is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Code {
    /// Name and value as text.
    Literal,
    /// This code, then the value as text.
    Name(u64),
    /// This code alone.
    Field(u64),
}

/// The shortest way to write a field.
pub fn code(name: &HeaderName, value: &HeaderValue) -> Code {
    let text = name.as_str();
    let same_length = INDEX.by_length.get(text.len()).map_or(&[][..], |at| at);
    let Some(&at) = same_length.iter().find(|&&at| NAMES[at].0 == *name) else {
        return Code::Literal;
    };
    let (_, values) = NAMES[at];
    match values.iter().position(|known| *known == value.as_bytes()) {
        Some(nth) => Code::Field((INDEX.first_field[at] + nth) as u64),
        None => Code::Name(at as u64 + 1),
    }
}

/// What `code` stands for, if it is in the table.
pub fn entry(code: u64) -> Option<Entry> {
    let at = usize::try_from(code).ok()?.checked_sub(1)?;
    if let Some((name, _)) = NAMES.get(at) {
        return Some(Entry::Name(name));
    }
    let (name, value) = INDEX.fields.get(at - NAMES.len())?;
    Some(Entry::Field(name, value))
}

struct Index {
    /// Places in `NAMES`, by length of the name.
    by_length: Vec<Vec<usize>>,
    /// For each name, the code of its first known value.
    first_field: Vec<usize>,
    /// The fields behind the codes above the names.
    fields: Vec<(HeaderName, HeaderValue)>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index {
        by_length: Vec::new(),
        first_field: Vec::new(),
        fields: Vec::new(),
    };
    for (at, (name, values)) in NAMES.iter().enumerate() {
        let length = name.as_str().len();
        if index.by_length.len() <= length {
            index.by_length.resize(length + 1, Vec::new());
        }
        index.by_length[length].push(at);
        index.first_field.push(NAMES.len() + 1 + index.fields.len());
        for value in *values {
            // Without a copy there is no count of references, which all threads would write.
            if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from_static(value)) {
                index.fields.push((name.clone(), value));
            }
        }
    }
    index
});

/// Names in the order of their codes, from 1 on, each with the values that have codes of their own.
pub static NAMES: [(HeaderName, &[&[u8]]); 62] = [
    (header::ACCEPT, &[b"*/*", b"application/json"]),
    (
        header::ACCEPT_ENCODING,
        &[
            b"gzip, deflate, br",
            b"gzip, deflate, br, zstd",
            b"gzip, deflate",
            b"gzip",
            b"identity",
        ],
    ),
    (header::ACCEPT_LANGUAGE, &[b"en-US,en;q=0.9"]),
    (header::ACCEPT_RANGES, &[b"bytes"]),
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, &[b"*"]),
    (header::AGE, &[]),
    (header::AUTHORIZATION, &[]),
    (
        header::CACHE_CONTROL,
        &[b"no-cache", b"no-store", b"max-age=0"],
    ),
    (header::CONTENT_DISPOSITION, &[]),
    (header::CONTENT_ENCODING, &[b"gzip", b"br"]),
    (header::CONTENT_LANGUAGE, &[]),
    (header::CONTENT_LENGTH, &[b"0"]),
    (header::CONTENT_RANGE, &[]),
    (header::CONTENT_SECURITY_POLICY, &[]),
    (
        header::CONTENT_TYPE,
        &[
            b"application/json",
            b"application/json; charset=utf-8",
            b"application/x-www-form-urlencoded",
            b"application/octet-stream",
            b"application/grpc",
            b"text/html; charset=utf-8",
            b"text/html",
            b"text/plain; charset=utf-8",
            b"text/plain",
            b"text/css",
            b"text/javascript",
            b"text/event-stream",
        ],
    ),
    (header::COOKIE, &[]),
    (header::DATE, &[]),
    (header::ETAG, &[]),
    (header::EXPECT, &[b"100-continue"]),
    (header::EXPIRES, &[]),
    (header::FORWARDED, &[]),
    (header::IF_MATCH, &[]),
    (header::IF_MODIFIED_SINCE, &[]),
    (header::IF_NONE_MATCH, &[]),
    (header::IF_RANGE, &[]),
    (header::LAST_MODIFIED, &[]),
    (header::LINK, &[]),
    (header::LOCATION, &[]),
    (header::ORIGIN, &[]),
    (header::PRAGMA, &[b"no-cache"]),
    (HeaderName::from_static("priority"), &[]),
    (header::RANGE, &[]),
    (header::REFERER, &[]),
    (header::RETRY_AFTER, &[]),
    (HeaderName::from_static("sec-ch-ua"), &[]),
    (HeaderName::from_static("sec-ch-ua-mobile"), &[b"?0", b"?1"]),
    (HeaderName::from_static("sec-ch-ua-platform"), &[]),
    (
        HeaderName::from_static("sec-fetch-dest"),
        &[b"document", b"empty", b"script"],
    ),
    (
        HeaderName::from_static("sec-fetch-mode"),
        &[b"navigate", b"cors", b"no-cors"],
    ),
    (
        HeaderName::from_static("sec-fetch-site"),
        &[b"none", b"same-origin", b"cross-site"],
    ),
    (HeaderName::from_static("sec-fetch-user"), &[b"?1"]),
    (header::SEC_WEBSOCKET_ACCEPT, &[]),
    (header::SEC_WEBSOCKET_EXTENSIONS, &[]),
    (header::SEC_WEBSOCKET_KEY, &[]),
    (header::SEC_WEBSOCKET_PROTOCOL, &[]),
    (header::SEC_WEBSOCKET_VERSION, &[b"13"]),
    (header::SERVER, &[]),
    (header::SET_COOKIE, &[]),
    (header::STRICT_TRANSPORT_SECURITY, &[]),
    (header::TE, &[b"trailers"]),
    (HeaderName::from_static("traceparent"), &[]),
    (header::TRAILER, &[]),
    (header::UPGRADE_INSECURE_REQUESTS, &[b"1"]),
    (header::USER_AGENT, &[]),
    (header::VARY, &[b"Accept-Encoding"]),
    (header::VIA, &[]),
    (header::WWW_AUTHENTICATE, &[]),
    (HeaderName::from_static("x-forwarded-for"), &[]),
    (HeaderName::from_static("x-forwarded-host"), &[]),
    (
        HeaderName::from_static("x-forwarded-proto"),
        &[b"http", b"https"],
    ),
    (HeaderName::from_static("x-powered-by"), &[b"Express"]),
    (HeaderName::from_static("x-request-id"), &[]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_for_what_is_written_with_it() {
        let mut codes = 0;
        for number in 1.. {
            let Some(entry) = entry(number) else { break };
            codes += 1;
            match entry {
                Entry::Name(name) => {
                    let odd = HeaderValue::from_static("a value that no table has");
                    assert_eq!(code(name, &odd), Code::Name(number));
                }
                Entry::Field(name, value) => assert_eq!(code(name, value), Code::Field(number)),
            }
        }
        let values: usize = NAMES.iter().map(|(_, values)| values.len()).sum();
        assert_eq!(codes, NAMES.len() + values);
        assert!(entry(0).is_none());
    }

    #[test]
    fn names_are_written_with_one_byte() {
        assert!(NAMES.len() < 64);
        let unknown = HeaderName::from_static("x-hub-signature-256");
        assert_eq!(
            code(&unknown, &HeaderValue::from_static("x")),
            Code::Literal
        );
    }
}
