//! See `checks/datagram.rs`.

#![no_main]

#[path = "../checks/datagram.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
