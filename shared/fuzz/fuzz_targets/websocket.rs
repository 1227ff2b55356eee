//! See `checks/websocket.rs`.

#![no_main]

#[path = "../checks/websocket.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
