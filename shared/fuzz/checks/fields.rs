//! Trailers that are accepted are written in no more bytes, and mean the same when read again, as fields
//! and as a map of them.

use adit_shared::wire::fields::{Fields, MAX_HEAD};
use adit_shared::wire::frame::put_trailers;
use bytes::{Bytes, BytesMut};

pub(crate) fn check(data: &[u8]) {
    let Ok(fields) = Fields::decode(Bytes::copy_from_slice(data)) else {
        return;
    };
    assert_eq!(fields.iter().count(), fields.len());
    let written = encode(&fields);
    assert!(written.len() <= data.len());
    assert_eq!(Fields::decode(written), Ok(fields.clone()));
    if data.len() <= MAX_HEAD {
        assert_eq!(put_trailers(&mut BytesMut::new(), &fields), Ok(()));
    }

    let short = Fields::from_pairs(&fields).expect("what was read is valid");
    assert_eq!(short, fields);
    assert!(encode(&short).len() <= data.len());
    let map = fields.to_map();
    assert_eq!(map.len(), fields.len());
    let from_map = Fields::try_from(&map).expect("a map of what was within the limits");
    assert_eq!(from_map.to_map(), map);
}

fn encode(fields: &Fields) -> Bytes {
    let mut bytes = BytesMut::new();
    fields.encode(&mut bytes);
    bytes.freeze()
}
