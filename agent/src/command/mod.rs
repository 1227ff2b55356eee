//! What the agent does instead of opening tunnels.
//!
//! - [`doctor`]: checks whether a tunnel would work;
//! - [`requests`]: shows and sends again what an agent that runs keeps;
//! - [`webhook`]: lists providers of webhooks, and sends samples;
//! - [`completions`]: helps a shell to complete our command line.

pub mod completions;
pub mod doctor;
pub mod requests;
pub mod webhook;
