//! See `checks/pin.rs`.

#![no_main]

#[path = "../checks/pin.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
