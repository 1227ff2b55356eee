//! A header of the PROXY protocol has one end, wherever it is cut, and is bounded.

use adit_relay::edge::proxied::header::{MAX, Step, parse};

pub(crate) fn check(data: &[u8]) {
    match parse(data) {
        Ok(Step::More) => assert!(data.len() < MAX),
        Ok(whole @ Step::Whole { length, .. }) => {
            assert!(length <= data.len() && length <= MAX);
            for end in 0..length {
                assert_eq!(parse(&data[..end]), Ok(Step::More));
            }
            assert_eq!(parse(&data[..length]), Ok(whole));
        }
        Err(_) => {}
    }
}
