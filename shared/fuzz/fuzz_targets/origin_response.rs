//! See `checks/origin_response.rs`.

#![no_main]

#[path = "../checks/origin_response.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
