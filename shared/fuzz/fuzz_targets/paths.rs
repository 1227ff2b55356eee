//! See `checks/paths.rs`.

#![no_main]

#[path = "../checks/paths.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
