//! Heads of HTTP/1.1 responses (RFC 9112): read from an origin's text, and kept as they travel on.

use std::mem::MaybeUninit;
use std::time::Duration;

use adit_shared::hop::Options;
use adit_shared::http1::section;
use adit_shared::length::{BadLength, Length};
use adit_shared::wire::fields::{Fields, FieldsMut, MAX_FIELDS, MAX_HEAD};
use bytes::{Buf as _, BytesMut};
use http::{Method, StatusCode};

use super::super::pool;

/// The head of a response.
#[derive(Debug, PartialEq)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The fields that are not for this hop only, in their order.
    pub fields: Fields,
    /// How long the connection may wait for its next request, as far as the head says; none if it must not.
    pub keep: Option<Duration>,
    /// How the body is framed, if the response has one.
    framing: Result<Framing, &'static str>,
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

impl Head {
    /// The framing of the body when this answers `method`, as RFC 9112 section 6.3 decides it, and strictly:
    /// what two readers might see differently is an error.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn framing(&self, method: &Method) -> Result<Framing, &'static str> {
        let bodiless = *method == Method::HEAD
            || self.status.is_informational()
            || self.status == StatusCode::NO_CONTENT
            || self.status == StatusCode::NOT_MODIFIED;
        if bodiless {
            return Ok(Framing::Length(0));
        }
        self.framing
    }
}

/// Takes a head out of what was read; `None` when more is needed. `seen` is how much was looked at before,
/// 0 at first. `fields` lends its memory.
///
/// # Errors
///
/// What is wrong with it.
pub fn take_response(
    from: &mut BytesMut,
    seen: &mut usize,
    fields: &mut FieldsMut,
) -> Result<Option<Head>, &'static str> {
    // An origin that speaks something else may wait for us to speak.
    let begun = from.len().min(START.len());
    if from[..begun] != START[..begun] {
        return Err(NOT_HTTP);
    }
    // Most heads come in one piece. One that does not is parsed when all of it is there, not for each piece.
    let whole = *seen == 0 && !from.is_empty();
    let mut parsed = whole.then(|| parse(from, fields).ok().flatten()).flatten();
    if parsed.is_none() {
        if section::end(from, seen).is_none() {
            return (from.len() <= MAX_HEAD).then_some(None).ok_or(TOO_LARGE);
        }
        parsed = parse(from, fields)?;
    }
    let (head, len) = parsed.ok_or(NOT_HTTP)?;
    from.advance(len);
    *seen = 0;
    Ok(Some(head))
}

/// The head at the start of `bytes`, and its length.
fn parse(bytes: &[u8], fields: &mut FieldsMut) -> Result<Option<(Head, usize)>, &'static str> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut headers,
    );
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) if len > MAX_HEAD => return Err(TOO_LARGE),
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err("the origin's head has too many fields");
        }
        Err(_) => return Err(NOT_HTTP),
    };
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or("the origin's status is none")?;

    let is_connection = |name: &str| name.eq_ignore_ascii_case("connection");
    let connection = response.headers.iter();
    let connection = connection.filter(|header| is_connection(header.name));
    let options = Options::of(connection.map(|header| header.value));
    let mut declared = Declared::default();
    fields.clear();
    for header in &*response.headers {
        let name = header.name.as_bytes();
        declared.add(name, header.value);
        if !options.strip(name) {
            let pushed = fields.push(name, header.value);
            pushed.map_err(|_| "a field of the origin's is none")?;
        }
    }
    let goes_on = match response.version {
        Some(1) => !options.close,
        // Before HTTP/1.1 a message with a coding is not to be trusted (RFC 9112 section 6.1).
        _ if declared.coding != Coding::None => {
            return Err("the origin sends chunks in HTTP/1.0");
        }
        _ => options.keep_alive && !options.close,
    };
    let head = Head {
        status,
        fields: fields.take(),
        keep: goes_on.then(|| pool::keep(declared.keep_alive)),
        framing: declared.framing(),
    };
    Ok(Some((head, len)))
}

/// What fields say of the body and the connection.
#[derive(Debug, Default)]
struct Declared<'a> {
    length: Length,
    bad_length: Option<&'static str>,
    coding: Coding,
    /// The first `Keep-Alive`.
    keep_alive: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Coding {
    #[default]
    None,
    Chunked,
    Other,
}

impl<'a> Declared<'a> {
    fn add(&mut self, name: &[u8], value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            10 if is("keep-alive") => {
                self.keep_alive.get_or_insert(value);
            }
            14 if is("content-length") => {
                if let Err(error) = self.length.add(value) {
                    self.bad_length = Some(match error {
                        BadLength::NoNumber => "the origin declares a length that is none",
                        BadLength::Disagree => "the origin declares two different lengths",
                    });
                }
            }
            17 if is("transfer-encoding") => {
                let only = self.coding == Coding::None && value.eq_ignore_ascii_case(b"chunked");
                // No other coding was asked for.
                self.coding = if only { Coding::Chunked } else { Coding::Other };
            }
            _ => {}
        }
    }

    fn framing(&self) -> Result<Framing, &'static str> {
        let length = self
            .bad_length
            .map_or_else(|| Ok(self.length.declared()), Err);
        match (self.coding, length) {
            (Coding::None, length) => Ok(length?.map_or(Framing::Close, Framing::Length)),
            (Coding::Other, _) => Err("the origin's transfer coding is not known"),
            (Coding::Chunked, Ok(None)) => Ok(Framing::Chunked),
            (Coding::Chunked, _) => Err("the origin declares a length and sends chunks"),
        }
    }
}

const NOT_HTTP: &str = "the origin does not speak HTTP/1.1";
const TOO_LARGE: &str = "the origin's head is too large";
/// What every response begins with.
const START: &[u8] = b"HTTP/1.";

#[cfg(test)]
mod tests;
