//! A number is written in no more bytes than it came in; a byte string is what its length says.

use adit_shared::wire::varint::{self, Malformed};
use bytes::{Bytes, BytesMut};

pub(crate) fn check(data: &[u8]) {
    let mut rest = data;
    match varint::get(&mut rest) {
        Ok(number) => {
            assert!(number <= varint::MAX);
            let mut written = BytesMut::new();
            varint::put(&mut written, number);
            assert_eq!(written.len(), varint::len(number));
            assert!(written.len() <= data.len() - rest.len());
            assert_eq!(varint::get(&mut written), Ok(number));
            assert!(written.is_empty());
        }
        Err(error) => {
            assert_eq!(error, Malformed::Incomplete);
            assert_eq!(rest, data);
            assert!(data.len() < 8);
        }
    }

    let mut rest = Bytes::copy_from_slice(data);
    if let Ok(bytes) = varint::get_bytes(&mut rest, MAX, "too long") {
        assert!(bytes.len() <= MAX);
        assert!(data.ends_with(&[&bytes[..], &rest[..]].concat()));
        let mut written = BytesMut::new();
        varint::put_bytes(&mut written, &bytes);
        assert_eq!(
            varint::get_bytes(&mut written.freeze(), MAX, "too long"),
            Ok(bytes)
        );
    }
}

const MAX: usize = 100;
