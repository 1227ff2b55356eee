//! What the agent does instead of opening tunnels.
//!
//! - [`doctor`]: checks whether a tunnel would work;
//! - [`completions`]: helps a shell to complete our command line.

pub mod completions;
pub mod doctor;
