//! A response head that is accepted is written in no more bytes, and means the same when read again.

use adit_shared::wire::head::Response;
use adit_shared::wire::varint::Malformed;
use bytes::{Bytes, BytesMut};

pub(crate) fn check(data: &[u8]) {
    let Ok(head) = Response::decode(Bytes::copy_from_slice(data)) else {
        return;
    };
    let written = encode(&head);
    assert!(written.len() <= data.len());
    let again = Response::decode(written.clone()).expect("what was written is read");
    assert_eq!(again, head);
    assert_eq!(encode(&again), written);
    let prefix = written.slice(..data.len() % written.len());
    assert_eq!(Response::decode(prefix), Err(Malformed::Incomplete));
}

fn encode(head: &Response) -> Bytes {
    let mut bytes = BytesMut::new();
    head.encode(&mut bytes);
    bytes.freeze()
}
