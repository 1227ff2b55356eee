//! See `checks/portal.rs`.

#![no_main]

#[path = "../checks/portal.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
