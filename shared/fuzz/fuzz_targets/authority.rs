//! See `checks/authority.rs`.

#![no_main]

#[path = "../checks/authority.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
