//! Measuring a tunnel: what `loadtest` and `bench` are made of.
//!
//! - [`result`]: what a load test found, as it is stored;

pub mod result;
