//! See `checks/fields.rs`.

#![no_main]

#[path = "../checks/fields.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
