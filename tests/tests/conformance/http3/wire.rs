//! HTTP/3 by hand, since no library would write what the rows need.

use adit_shared::wire::varint;

/// Types of frames (RFC 9114 section 7.2).
pub(super) const DATA: u64 = 0x00;
pub(super) const HEADERS: u64 = 0x01;
pub(super) const CANCEL_PUSH: u64 = 0x03;
pub(super) const SETTINGS: u64 = 0x04;
pub(super) const PUSH_PROMISE: u64 = 0x05;
pub(super) const GOAWAY: u64 = 0x07;
pub(super) const MAX_PUSH_ID: u64 = 0x0d;
/// A type, a setting or a kind of stream that is there to be ignored (RFC 9114 section 7.2.8).
pub(super) const GREASE: u64 = 0x1f * 5 + 0x21;

/// Types of streams (RFC 9114 section 6.2, RFC 9204 section 4.2).
pub(super) const CONTROL: u64 = 0x00;
pub(super) const PUSH: u64 = 0x01;
pub(super) const ENCODER: u64 = 0x02;
pub(super) const DECODER: u64 = 0x03;

/// Codes (RFC 9114 section 8.1, RFC 9204 section 6).
pub(super) const STREAM_CREATION: u64 = 0x103;
pub(super) const CLOSED_CRITICAL: u64 = 0x104;
pub(super) const FRAME_UNEXPECTED: u64 = 0x105;
pub(super) const FRAME: u64 = 0x106;
pub(super) const EXCESSIVE_LOAD: u64 = 0x107;
pub(super) const ID: u64 = 0x108;
pub(super) const SETTINGS_ERROR: u64 = 0x109;
pub(super) const MISSING_SETTINGS: u64 = 0x10a;
pub(super) const INCOMPLETE: u64 = 0x10d;
pub(super) const MESSAGE: u64 = 0x10e;
pub(super) const DECOMPRESSION: u64 = 0x200;
pub(super) const ENCODER_STREAM: u64 = 0x201;
pub(super) const DECODER_STREAM: u64 = 0x202;

/// Numbers as QUIC writes them.
pub(super) fn numbers(all: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in all {
        varint::put(&mut bytes, *number);
    }
    bytes
}

/// One frame.
pub(super) fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    [&numbers(&[kind, payload.len() as u64]), payload].concat()
}

/// The head of a frame that is `len` bytes long, whatever follows.
pub(super) fn declared(kind: u64, len: u64) -> Vec<u8> {
    numbers(&[kind, len])
}

/// A frame of settings, each a name and a value.
pub(super) fn settings(all: &[u64]) -> Vec<u8> {
    frame(SETTINGS, &numbers(all))
}

/// A field section of literals, in which nothing is compressed (RFC 9204 section 4.5.6).
pub(super) fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        integer(0x20, 3, name.len(), &mut section);
        section.extend(name.as_bytes());
        integer(0, 7, value.len(), &mut section);
        section.extend(value.as_bytes());
    }
    section
}

/// An integer behind the bits of `mark` (RFC 7541 section 5.1).
fn integer(mark: u8, prefix: u32, mut number: usize, to: &mut Vec<u8>) {
    let most = (1 << prefix) - 1;
    if number < most {
        return to.push(mark | u8::try_from(number).unwrap());
    }
    to.push(mark | u8::try_from(most).unwrap());
    number -= most;
    while number >= 128 {
        to.push(u8::try_from(number % 128).unwrap() | 128);
        number /= 128;
    }
    to.push(u8::try_from(number).unwrap());
}

/// A HEADERS frame.
pub(super) fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, &section(fields))
}

/// What a request says first.
pub(super) fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", method),
        (":scheme", "https"),
        (":authority", "app.localhost"),
        (":path", path),
    ]
}

/// A request without a body.
pub(super) fn get(path: &str) -> Vec<u8> {
    headers(&request("GET", path))
}

/// The head of a request with a body, and further fields.
pub(super) fn post(more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = request("POST", "/outer");
    fields.extend(more);
    headers(&fields)
}

/// A frame of data.
pub(super) fn data(text: &str) -> Vec<u8> {
    frame(DATA, text.as_bytes())
}
