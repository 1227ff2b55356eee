//! See `checks/certificate.rs`.

#![no_main]

#[path = "../checks/certificate.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
