//! See `checks/acme.rs`.

#![no_main]

#[path = "../checks/acme.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
