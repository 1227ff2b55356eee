//! See `checks/http2.rs`.

#![no_main]

#[path = "../checks/http2.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
