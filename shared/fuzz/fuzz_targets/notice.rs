//! See `checks/notice.rs`.

#![no_main]

#[path = "../checks/notice.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
