//! Heads of HTTP/1.1 requests as bytes (RFC 9112).

use adit_shared::http1::section::put_field;
use adit_shared::length::Length;
use adit_shared::wire::head;
use bytes::{BufMut as _, BytesMut};
use http::header::HeaderValue;

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
    let start = to.len();
    let framing = put_head(head, protocol, to);
    if framing.is_err() {
        to.truncate(start);
    }
    framing
}

fn put_head(
    head: &head::Request,
    protocol: Option<&HeaderValue>,
    to: &mut BytesMut,
) -> Result<RequestFraming, &'static str> {
    let target = head.target.as_str();
    to.reserve(target.len() + 64 * (head.fields.len() + 2));
    to.put_slice(head.method.as_str().as_bytes());
    to.put_u8(b' ');
    to.put_slice(target.as_bytes());
    to.put_slice(b" HTTP/1.1\r\nhost: ");
    to.put_slice(head.authority.as_bytes());
    to.put_slice(b"\r\n");
    let mut length = Length::default();
    for (name, value) in &head.fields {
        match name {
            // What frames the message, whom it is for and what its connection is for are ours to say.
            b"connection" | b"host" | b"transfer-encoding" | b"upgrade" => continue,
            b"content-length" => length.add(value).map_err(|_| "a declared length is none")?,
            _ => {}
        }
        put_field(name, value, to);
    }
    let framing = match (head.end, length.declared()) {
        (true, None | Some(0)) => RequestFraming::Empty,
        (true, Some(_)) => return Err("a request without a body declares one"),
        (false, Some(length)) => RequestFraming::Length(length),
        (false, None) => RequestFraming::Chunked,
    };
    if framing == RequestFraming::Chunked {
        put_field(b"transfer-encoding", b"chunked", to);
    }
    if let Some(protocol) = protocol {
        put_field(b"connection", b"upgrade", to);
        put_field(b"upgrade", protocol.as_bytes(), to);
    }
    to.put_slice(b"\r\n");
    Ok(framing)
}

#[cfg(test)]
mod tests;
