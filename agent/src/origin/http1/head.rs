//! Heads of HTTP/1.1 messages as bytes: ours to the origin, and the origin's to us (RFC 9112).

use std::mem::MaybeUninit;

use adit_shared::wire::head::{self, MAX_FIELDS, MAX_HEAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{Method, StatusCode};

/// How a request's body is told from what follows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestFraming {
    /// There is no body.
    Empty,
    /// The head declares that it has this many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

/// Writes the head of a request.
///
/// # Errors
///
/// What is wrong with a head that an origin might read in two ways: then nothing was written.
pub fn put_request(
    head: &head::Request,
    protocol: Option<&HeaderValue>,
    to: &mut BytesMut,
) -> Result<RequestFraming, &'static str> {
    let framing = match (head.end, declared(&head.fields)?) {
        (true, None | Some(0)) => RequestFraming::Empty,
        (true, Some(_)) => return Err("a request without a body declares one"),
        (false, Some(length)) => RequestFraming::Length(length),
        (false, None) => RequestFraming::Chunked,
    };
    let target = head.target.as_str();
    to.reserve(target.len() + 64 * (head.fields.len() + 2));
    to.put_slice(head.method.as_str().as_bytes());
    to.put_u8(b' ');
    to.put_slice(target.as_bytes());
    to.put_slice(b" HTTP/1.1\r\nhost: ");
    to.put_slice(head.authority.as_bytes());
    to.put_slice(b"\r\n");
    for (name, value) in &head.fields {
        // What frames the message, whom it is for and what its connection is for are ours to say.
        if !OURS.contains(&name) {
            put_field(name.as_str(), value.as_bytes(), to);
        }
    }
    if framing == RequestFraming::Chunked {
        put_field(TRANSFER_ENCODING.as_str(), b"chunked", to);
    }
    if let Some(protocol) = protocol {
        put_field(CONNECTION.as_str(), b"upgrade", to);
        put_field(UPGRADE.as_str(), protocol.as_bytes(), to);
    }
    to.put_slice(b"\r\n");
    Ok(framing)
}

/// Writes trailers behind the last chunk, and the end.
pub fn put_trailers(fields: &HeaderMap, to: &mut BytesMut) {
    for (name, value) in fields {
        put_field(name.as_str(), value.as_bytes(), to);
    }
    to.put_slice(b"\r\n");
}

fn put_field(name: &str, value: &[u8], to: &mut BytesMut) {
    to.put_slice(name.as_bytes());
    to.put_slice(b": ");
    to.put_slice(value);
    to.put_slice(b"\r\n");
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// All fields, as they came. The values share the memory that was read into.
    pub fields: HeaderMap,
    /// Whether the connection may be used again, as far as the head says.
    pub keep_alive: bool,
}

/// Takes a head out of what was read; `None` when more is needed. `seen` is how much was looked at
/// before, 0 at first.
///
/// # Errors
///
/// What is wrong with it.
pub fn take_response(from: &mut BytesMut, seen: &mut usize) -> Result<Option<Head>, &'static str> {
    // An origin that speaks something else may wait for us to speak.
    let begun = from.len().min(START.len());
    if from[..begun] != START[..begun] {
        return Err(NOT_HTTP);
    }
    let Some(len) = end_of_section(from, seen) else {
        return if from.len() > MAX_HEAD {
            Err("the origin's head is too large")
        } else {
            Ok(None)
        };
    };
    if len > MAX_HEAD {
        return Err("the origin's head is too large");
    }
    *seen = 0;
    let bytes = from.split_to(len).freeze();
    let mut headers = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        &bytes,
        &mut headers,
    );
    match parsed {
        Ok(httparse::Status::Complete(taken)) if taken == len => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err("the origin's head has too many fields");
        }
        _ => return Err(NOT_HTTP),
    }
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or("the origin's status is none")?;
    let fields = fields(&bytes, response.headers)?;
    let keep_alive = match response.version {
        Some(1) => !lists(&fields, CONNECTION, b"close"),
        // Before HTTP/1.1 a message with a coding is not to be trusted (RFC 9112 section 6.1).
        _ if fields.contains_key(TRANSFER_ENCODING) => {
            return Err("the origin sends chunks in HTTP/1.0");
        }
        _ => lists(&fields, CONNECTION, b"keep-alive") && !lists(&fields, CONNECTION, b"close"),
    };
    Ok(Some(Head {
        status,
        fields,
        keep_alive,
    }))
}

/// Takes a trailer section, with the empty line at its end, out of what was read; `None` when more is
/// needed.
///
/// # Errors
///
/// What is wrong with it.
pub fn take_trailers(
    from: &mut BytesMut,
    seen: &mut usize,
) -> Result<Option<HeaderMap>, &'static str> {
    if from.starts_with(b"\r\n") {
        drop(from.split_to(2));
        return Ok(Some(HeaderMap::new()));
    }
    let Some(len) = end_of_section(from, seen) else {
        return if from.len() > MAX_HEAD {
            Err("the origin's trailers are too large")
        } else {
            Ok(None)
        };
    };
    let bytes = from.split_to(len).freeze();
    let mut headers = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(&bytes, &mut headers) {
        Ok(httparse::Status::Complete((taken, headers))) if taken == len => {
            fields(&bytes, headers).map(Some)
        }
        _ => Err("the origin's trailers are none"),
    }
}

/// How a response's body is told from what follows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// There are this many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the connection.
    Close,
}

impl Framing {
    /// The framing of an answer to `method`, as RFC 9112 section 6.3 decides it, and strictly: what two
    /// readers might see differently is an error.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn of(
        method: &Method,
        status: StatusCode,
        fields: &HeaderMap,
    ) -> Result<Self, &'static str> {
        let length = declared(fields);
        let bodiless = *method == Method::HEAD
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        if bodiless {
            return Ok(Self::Length(0));
        }
        let mut codings = fields.get_all(TRANSFER_ENCODING).iter();
        if let Some(coding) = codings.next() {
            // No other coding was asked for.
            if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err("the origin's transfer coding is not known");
            }
            if fields.contains_key(CONTENT_LENGTH) {
                return Err("the origin declares a length and sends chunks");
            }
            return Ok(Self::Chunked);
        }
        Ok(length?.map_or(Self::Close, Self::Length))
    }
}

/// The length that fields declare, once or in agreement (RFC 9110 section 8.6).
fn declared(fields: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let values = fields.get_all(CONTENT_LENGTH).iter();
    let mut lengths = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let Some(first) = lengths.next() else {
        return Ok(None);
    };
    let number = |text: &[u8]| {
        let digits = text.trim_ascii();
        let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        // The parser would take a sign.
        all.then(|| str::from_utf8(digits).ok()?.parse::<u64>().ok())
            .flatten()
            .ok_or("a declared length is none")
    };
    let length = number(first)?;
    for other in lengths {
        if number(other)? != length {
            return Err("two different lengths are declared");
        }
    }
    Ok(Some(length))
}

/// Whether the list field `name` has `option`.
fn lists(fields: &HeaderMap, name: HeaderName, option: &[u8]) -> bool {
    fields.get_all(name).iter().any(|value| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|one| one.trim_ascii().eq_ignore_ascii_case(option))
    })
}

/// The fields of a section; the values are slices of `bytes`.
fn fields(bytes: &Bytes, headers: &[httparse::Header<'_>]) -> Result<HeaderMap, &'static str> {
    let mut fields = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err("a field of the origin's is none");
        };
        fields.append(name, value);
    }
    Ok(fields)
}

/// The length of a section with the empty line at its end. A line may end with a line feed alone
/// (RFC 9112 section 2.2).
fn end_of_section(bytes: &[u8], seen: &mut usize) -> Option<usize> {
    let mut from = *seen;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\n') {
        let next = from + at + 1;
        match &bytes[next..] {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            [] | [b'\r'] => {
                *seen = next - 1;
                return None;
            }
            _ => from = next,
        }
    }
    *seen = bytes.len();
    None
}

const NOT_HTTP: &str = "the origin does not speak HTTP/1.1";
/// What every response begins with.
const START: &[u8] = b"HTTP/1.";
/// Fields of a request that come from elsewhere than its list of fields.
static OURS: [&HeaderName; 4] = [&CONNECTION, &HOST, &TRANSFER_ENCODING, &UPGRADE];

#[cfg(test)]
mod tests;
