//! See `checks/sniff.rs`.

#![no_main]

#[path = "../checks/sniff.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
