//! See `checks/connect.rs`.

#![no_main]

#[path = "../checks/connect.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
