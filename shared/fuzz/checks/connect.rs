//! What a proxy answers to `CONNECT` has one status, which is there only when the answer is whole, and nothing may
//! follow a consent.

use adit_agent::link::connect::status;

pub(crate) fn check(data: &[u8]) {
    let mut first = None;
    for end in 0..=data.len() {
        match (status(&data[..end]), first) {
            (Ok(None), None) => {}
            (Ok(Some(code)), None) => {
                assert!(data[..end].ends_with(b"\n"));
                first = Some((end, code));
            }
            // What is no answer becomes none by what follows.
            (Err(_), None) => {
                assert!(status(data).is_err());
                return;
            }
            (Ok(code), Some((_, before))) => {
                assert_eq!(code, Some(before));
                assert!(before >= 300);
            }
            (Err(_), Some((whole, before))) => assert!(end > whole && before < 300),
        }
    }
}
