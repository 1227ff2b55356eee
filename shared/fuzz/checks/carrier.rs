//! What a carrier brings: datagrams are what their lengths say, are written as they came, and are for one shard or
//! for any.

use adit_shared::quic::MAX_SHARDS;
use adit_shared::quic::steer::shard;
use adit_shared::wire::carrier::{self, HEADER, MAX};

pub(crate) fn check(data: &[u8]) {
    let mut rest = data;
    loop {
        match carrier::first(rest) {
            Ok(Some(datagram)) => {
                assert!(datagram.len() <= MAX);
                let mut written = Vec::new();
                assert!(carrier::put(&mut written, datagram));
                assert!(rest.starts_with(&written));
                for of in [1, 3, MAX_SHARDS] {
                    assert!(shard(datagram, of).is_none_or(|place| place < of));
                }
                rest = &rest[HEADER + datagram.len()..];
            }
            Ok(None) => {
                assert!(rest.len() < HEADER + MAX);
                return;
            }
            Err(carrier::TooLong(length)) => {
                assert!(length > MAX);
                return;
            }
        }
    }
}
