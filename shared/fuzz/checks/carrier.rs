//! What a carrier brings: datagrams are what their lengths say, and are written as they came.

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
