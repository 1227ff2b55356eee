//! See `checks/http3.rs`.

#![no_main]

#[path = "../checks/http3.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
