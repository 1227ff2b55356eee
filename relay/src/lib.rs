//! The public side of a tunnel: takes visitors' requests and hands them to agents.
//!
//! Modules are listed in reading order, and a module uses only modules above it:
//!
//! - [`store`]: the embedded database and the directory around it;
//! - [`auth`]: tokens, and which names they allow;
//! - [`args`], [`config`]: what was typed, and what it means;
//! - [`metrics`]: what is counted;
//! - [`exchange`]: one request and its response over one stream;
//! - [`session`], [`sessions`]: agents' connections;
//! - [`route`]: from a host to the session that serves it;
//! - [`queue`]: requests that are kept for agents that are away;
//! - [`mirror`]: agents that get copies of what another one serves;
//! - [`addresses`]: what each address has of the relay;
//! - [`forward`]: one request from top to bottom;
//! - [`edge`]: what visitors meet;
//! - [`acme`]: certificates, ordered and renewed;
//! - [`join`]: how agents come in;
//! - [`admin`]: what operators look at;
//! - `shard`: the part of it that runs on one thread;
//! - [`run`]: all of it, started and drained;
//! - [`command`]: what the `relay` program can do besides serving.

pub mod acme;
pub mod addresses;
pub mod admin;
pub mod args;
pub mod auth;
pub mod command;
pub mod config;
pub mod edge;
pub mod exchange;
pub mod forward;
pub mod join;
pub mod metrics;
pub mod mirror;
pub mod queue;
pub mod route;
pub mod run;
pub mod session;
pub mod sessions;
mod shard;
pub mod store;

pub use run::{Ready, Relay, StartError, start};
pub use shard::ShardError;
