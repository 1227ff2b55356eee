//! See `checks/dns.rs`.

#![no_main]

#[path = "../checks/dns.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
