//! A header of the PROXY protocol has one end, wherever it is cut, and is bounded.

#![no_main]

use adit_relay::edge::proxied::header::{MAX, Step, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
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
});
