//! See `checks/settle.rs`.

#![no_main]

#[path = "../checks/settle.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
