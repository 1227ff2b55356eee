//! Measuring a tunnel: what `loadtest` and `bench` are made of.
//!
//! - [`result`]: what a load test found, as it is stored;
//! - [`mod@unit`]: figures as people read them;
//! - [`target`], [`sizes`]: where requests go, and how large they are;
//! - [`args`], [`plan`]: what was typed, and what it means;
//! - [`machine`], [`usage`]: what it runs on, and what processes take of that;
//! - [`load`]: a load test;
//! - [`progress`], [`summary`]: what a terminal shows of it;
//! - [`compare`]: what changed between two load tests;
//! - [`plot`]: plots as SVG text;
//! - [`report`]: a load test as a page of HTML;
//! - [`suite`]: relay and agent beside other ways to do the same;

pub mod result;
pub mod unit;

pub mod sizes;
pub mod target;

pub mod args;
pub mod plan;

pub mod machine;
pub mod usage;

mod client;
mod failure;
pub mod load;

pub mod progress;
pub mod summary;

pub mod compare;
pub mod plot;
pub mod report;
pub mod suite;
