//! See `checks/cookies.rs`.

#![no_main]

#[path = "../checks/cookies.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
