//! Sections of fields: as lines of text, with an empty line at their end.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::wire::fields::{MAX_FIELDS, MAX_HEAD};

/// Writes one field.
pub fn put_field(name: &[u8], value: &[u8], to: &mut BytesMut) {
    to.put_slice(name);
    to.put_slice(b": ");
    to.put_slice(value);
    to.put_slice(b"\r\n");
}

/// Writes the fields of a trailer section, and the empty line at its end.
pub fn put_trailers(fields: &HeaderMap, to: &mut BytesMut) {
    for (name, value) in fields {
        put_field(name.as_str().as_bytes(), value.as_bytes(), to);
    }
    to.put_slice(b"\r\n");
}

/// Takes a trailer section, with the empty line at its end, out of what was read; `None` when more is
/// needed. `seen` is how much was looked at before, 0 at first.
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
    let len = match end(from, seen) {
        Some(len) if len <= MAX_HEAD => len,
        None if from.len() <= MAX_HEAD => return Ok(None),
        _ => return Err("the trailers are too large"),
    };
    let bytes = from.split_to(len).freeze();
    if has_bare_line_feed(&bytes) {
        return Err("a line of the trailers ends without a carriage return");
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(&bytes, &mut headers) {
        Ok(httparse::Status::Complete((taken, headers))) if taken == len => {
            fields(&bytes, headers).map(Some)
        }
        _ => Err("the trailers are none"),
    }
}

/// The fields that were parsed out of `bytes`; the values are slices of it.
fn fields(bytes: &Bytes, headers: &[httparse::Header<'_>]) -> Result<HeaderMap, &'static str> {
    let mut fields = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err("a field is none");
        };
        fields.append(name, value);
    }
    Ok(fields)
}

/// The length of a section with the empty line at its end. A line may end with a line feed alone
/// (RFC 9112 section 2.2); who does not want that asks [`has_bare_line_feed`].
pub fn end(bytes: &[u8], seen: &mut usize) -> Option<usize> {
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

/// Whether a line ends with a line feed alone. Some readers take that for the end of a line and some do
/// not, so a message that relies on it may be two.
pub fn has_bare_line_feed(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    // Without an early end, so that many bytes are compared at a time.
    let bare = pairs.fold(false, |bare, (one, next)| {
        bare | (*next == b'\n' && *one != b'\r')
    });
    bare || bytes.first() == Some(&b'\n')
}

/// Whether a list has `option`, whatever the case (RFC 9110 section 5.6.1).
pub fn lists(value: &[u8], option: &[u8]) -> bool {
    let mut options = value.split(|byte| *byte == b',');
    options.any(|one| one.trim_ascii().eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_line_feed_is_found_wherever_it_is() {
        for bytes in [
            &b"\n"[..],
            b"\na",
            b"a\n",
            b"a: b\r\nc: d\n\r\n",
            b"a: b\r\n\n",
        ] {
            assert!(has_bare_line_feed(bytes), "{}", bytes.escape_ascii());
        }
        for bytes in [&b""[..], b"\r\n", b"a: b\r\n\r\n", b"a\rb"] {
            assert!(!has_bare_line_feed(bytes), "{}", bytes.escape_ascii());
        }
    }
}
