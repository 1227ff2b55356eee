//! The agent: gives a program on this machine a public URL.
//!
//! Modules are listed in reading order, and a module uses only modules above it:
//!
//! - [`cli`]: the command line, as typed;
//! - [`config`]: what it means;
//! - [`capture`]: what went through the tunnels, kept for whoever wants to look into it;
//! - [`status`]: the one place that knows what the agent is doing;
//! - [`origin`]: the way to the server beside the agent;
//! - [`webhook`]: what must be kept and known for webhooks;
//! - [`inspect`]: shows all that in a browser and to programs, and sends requests again;
//! - [`local`]: a relay inside this process;
//! - [`link`]: the connection to the relay, for as long as the agent runs;
//! - [`ui`]: says what happens on the terminal;
//! - [`command`]: what the agent does instead of opening tunnels;
//! - [`run()`]: all of it together.

pub mod cli;
pub mod config;

pub mod capture;
pub mod status;

pub mod origin;

pub mod webhook;

pub mod inspect;

pub mod link;
pub mod local;

pub mod ui;

pub mod command;
mod run;

pub use run::{End, run};
