//! See `checks/accept.rs`.

#![no_main]

#[path = "../checks/accept.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
