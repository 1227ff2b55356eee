//! See `checks/varint.rs`.

#![no_main]

#[path = "../checks/varint.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
