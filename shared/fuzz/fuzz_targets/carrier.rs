//! See `checks/carrier.rs`.

#![no_main]

#[path = "../checks/carrier.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
