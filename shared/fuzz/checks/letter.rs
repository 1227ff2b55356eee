//! A request that is read back from an inbox is written the same again, and what its webhook is called is one word
//! that fits into a field.

use adit_relay::queue::letter::Letter;
use bytes::Bytes;

pub(crate) fn check(data: &[u8]) {
    let Ok(letter) = Letter::decode(Bytes::copy_from_slice(data)) else {
        return;
    };
    let written = letter.encode().expect("what was read can be kept").freeze();
    assert!(written.len() <= data.len());
    let again = Letter::decode(written.clone()).expect("what was written is read");
    assert_eq!(again, letter);
    assert_eq!(
        again.encode().expect("it was kept before").freeze(),
        written
    );
    let prefix = written.slice(..data.len() % written.len());
    assert!(Letter::decode(prefix).is_err());
    if let Some(event) = letter.event() {
        assert!(!event.is_empty() && event.len() <= 200);
    }
}
