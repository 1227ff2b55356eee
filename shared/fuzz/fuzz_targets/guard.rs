//! See `checks/guard.rs`.

#![no_main]

#[path = "../checks/guard.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
