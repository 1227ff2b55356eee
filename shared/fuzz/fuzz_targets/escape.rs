//! See `checks/escape.rs`.

#![no_main]

#[path = "../checks/escape.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
