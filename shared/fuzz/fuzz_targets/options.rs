//! See `checks/options.rs`.

#![no_main]

#[path = "../checks/options.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
