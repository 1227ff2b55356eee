//! Trailers that are accepted are written in no more bytes, and mean the same when read again.

#![no_main]

use adit_shared::wire::frame::put_trailers;
use adit_shared::wire::head::{MAX_HEAD, decode_fields, encode_fields};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(fields) = decode_fields(&mut Bytes::copy_from_slice(data)) else {
        return;
    };
    let written = encode(&fields);
    assert!(written.len() <= data.len());
    let again = decode_fields(&mut written.clone()).expect("what was written is read");
    assert_eq!(again, fields);
    assert_eq!(encode(&again), written);
    if data.len() <= MAX_HEAD {
        assert_eq!(put_trailers(&mut BytesMut::new(), &fields), Ok(()));
    }
});

fn encode(fields: &HeaderMap) -> Bytes {
    let mut bytes = BytesMut::new();
    encode_fields(fields, &mut bytes);
    bytes.freeze()
}
