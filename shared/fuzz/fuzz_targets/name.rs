//! See `checks/name.rs`.

#![no_main]

#[path = "../checks/name.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
