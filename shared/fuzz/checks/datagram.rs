//! A datagram that is understood is written in no more bytes, and read again.

use adit_shared::wire::datagram::{Datagram, MAX_LEN};

pub(crate) fn check(data: &[u8]) {
    let Ok(Some(datagram)) = Datagram::decode(data) else {
        return;
    };
    let written = datagram.encode();
    assert!(written.len() <= data.len().min(MAX_LEN));
    assert_eq!(Datagram::decode(&written), Ok(Some(datagram)));
}
