//! See `checks/challenge.rs`.

#![no_main]

#[path = "../checks/challenge.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
