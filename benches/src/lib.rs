//! Measuring a tunnel: what `loadtest` and `bench` are made of.
//!
//! - [`result`]: what a load test found, as it is stored;
//! - [`unit`]: figures as people read them;
//! - [`plot`]: plots as SVG text;

pub mod result;
pub mod unit;

pub mod plot;
