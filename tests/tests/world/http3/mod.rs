//! Visitors over HTTP/3.

mod bounds;
mod requests;

use adit_relay::edge::http3::qpack;
use adit_shared::wire::varint;
use bytes::BytesMut;

/// A frame of any type.
fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint::put(&mut bytes, kind);
    varint::put_bytes(&mut bytes, payload);
    bytes
}

/// A HEADERS frame.
fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = BytesMut::new();
    qpack::begin(&mut section);
    for (name, value) in fields {
        qpack::put(name.as_bytes(), value.as_bytes(), &mut section);
    }
    frame(1, &section)
}
