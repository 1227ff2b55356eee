//! The agent: gives a program on this machine a public URL.
//!
//! Modules are listed in reading order, and a module uses only modules above it:
//!
//! - [`cli`]: the command line, as typed;
//! - [`config`]: what it means;
//! - [`status`]: the one place that knows what the agent is doing;
//! - [`inspect`]: shows that in a browser;
//! - [`origin`]: the way to the server beside the agent;
//! - [`local`]: a relay inside this process;
//! - [`link`]: the connection to the relay, for as long as the agent runs;
//! - [`ui`]: says what happens on the terminal;
//! - [`command`]: what the agent does instead of opening tunnels;
//! - [`run()`]: all of it together.

pub mod cli;
pub mod config;
pub mod status;

pub mod inspect;

pub mod origin;

pub mod link;
pub mod local;

pub mod ui;

pub mod command;
mod run;

pub use run::{End, run};
