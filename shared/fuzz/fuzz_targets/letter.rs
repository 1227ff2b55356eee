//! See `checks/letter.rs`.

#![no_main]

#[path = "../checks/letter.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
