//! See `checks/har.rs`.

#![no_main]

#[path = "../checks/har.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
