//! What one party may take at most, so that nobody can exhaust the relay for the rest.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use adit_shared::quic::tuning::{EXCHANGES, Window};
use adit_shared::stall::Budget;
use adit_shared::wire::head::{MAX_FIELDS, MAX_HEAD};
use serde::Deserialize;

use super::file::text;
use super::{ConfigError, memory};
use crate::args::{Size, Span};

/// The relay's limits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections of visitors at once. Each costs a file descriptor and, with TLS and its buffers,
    /// something like 50 KiB.
    pub visitors: usize,
    /// Sessions at once. An idle one costs little, but each may have a window's worth of bytes
    /// under way per exchange.
    pub agents: usize,
    /// Agents that connected but have not said who they are. Each costs a handshake's worth of CPU
    /// and memory and has proved nothing, so this is what a flood of strangers can have.
    pub agents_handshaking: usize,
    /// Exchanges of one agent at once; further requests are answered 503. Agents may ask for less.
    /// More than the protocol's own number has no effect.
    pub exchanges_per_agent: usize,
    /// Tunnels of one session: enough for everything on a developer's machine, too few to take
    /// many names from others.
    pub tunnels_per_agent: usize,
    /// Requests that wait for one name's agent to come back. More would all hit its origin in the
    /// same instant.
    pub held_per_name: usize,
    /// Requests that wait for agents to come back, together. Each holds a connection and its head.
    pub held: usize,
    /// How long a visitor may take to send a request head. Slower ones are attacks or broken.
    pub head_timeout: Duration,
    /// How long an agent may take to say who it is, after the handshake. It needs one round trip.
    pub hello_timeout: Duration,
    /// Bytes of a visitor's request head; above it the answer is 431. Common servers behind agents
    /// take 8 KiB (Apache, Jetty), 16 KiB (Node.js) or 32 KiB (nginx) by default.
    pub head_bytes: usize,
    /// Fields of a visitor's request head. Browsers send about 20, proxies add a few.
    pub head_fields: usize,
    /// Bytes that visitors of one agent who stopped reading may hold together; above it the one
    /// that stopped first is reset. A paused video holds a window's worth: 6 MiB, or 1 MiB on this
    /// machine.
    pub stalled_per_agent: usize,
    /// Bytes that all visitors who stopped reading may hold together.
    pub stalled: usize,
    /// Bytes of one exchange that may be under way to the relay; more lets one exchange be faster
    /// on a long way, and a visitor who stopped reading hold more.
    pub window: Window,
}

impl Limits {
    /// Name, meaning and value of the limits that are numbers, to be shown beside what they bound.
    pub fn list(&self) -> [(&'static str, &'static str, usize); 11] {
        [
            ("visitors", "Connections of visitors at once", self.visitors),
            ("agents", "Sessions at once", self.agents),
            (
                "agents_handshaking",
                "Agents that have not said who they are",
                self.agents_handshaking,
            ),
            (
                "exchanges_per_agent",
                "Exchanges of one agent at once",
                self.exchanges_per_agent,
            ),
            (
                "tunnels_per_agent",
                "Tunnels of one session",
                self.tunnels_per_agent,
            ),
            (
                "held_per_name",
                "Requests that wait for one name's agent",
                self.held_per_name,
            ),
            ("held", "Requests that wait for agents", self.held),
            ("head_bytes", "Bytes of a request head", self.head_bytes),
            ("head_fields", "Fields of a request head", self.head_fields),
            (
                "stalled_per_agent",
                "Bytes held by visitors of one agent who stopped reading",
                self.stalled_per_agent,
            ),
            (
                "stalled",
                "Bytes held by visitors who stopped reading",
                self.stalled,
            ),
        ]
    }

    /// What visitors who stopped reading may hold.
    pub fn stalls(&self) -> Budget {
        Budget {
            each: self.stalled_per_agent as u64,
            all: self.stalled as u64,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            visitors: 10_000,
            agents: 1_000,
            agents_handshaking: 256,
            exchanges_per_agent: EXCHANGES as usize,
            tunnels_per_agent: 16,
            held_per_name: 256,
            held: 4096,
            head_timeout: Duration::from_secs(15),
            hello_timeout: Duration::from_secs(10),
            head_bytes: 32 << 10,
            head_fields: 128,
            stalled_per_agent: 128 << 20,
            stalled: memory::share().min(1 << 30),
            window: Window::ByPath,
        }
    }
}

/// The table `[limits]` of the file, as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    visitors: Option<NonZeroUsize>,
    agents: Option<NonZeroUsize>,
    agents_handshaking: Option<NonZeroUsize>,
    exchanges_per_agent: Option<NonZeroUsize>,
    tunnels_per_agent: Option<NonZeroUsize>,
    /// Zero is sensible here: nobody waits.
    held_per_name: Option<usize>,
    held: Option<usize>,
    #[serde(deserialize_with = "text")]
    head_timeout: Option<Span>,
    #[serde(deserialize_with = "text")]
    hello_timeout: Option<Span>,
    #[serde(deserialize_with = "text")]
    head_bytes: Option<Size>,
    head_fields: Option<NonZeroUsize>,
    #[serde(deserialize_with = "text")]
    stalled_per_agent: Option<Size>,
    #[serde(deserialize_with = "text")]
    stalled: Option<Size>,
    #[serde(deserialize_with = "text")]
    window: Option<Size>,
}

impl File {
    /// The limits of this table, which stands in the file `path`.
    pub(super) fn resolve(self, path: Option<&Path>) -> Result<Limits, ConfigError> {
        let default = Limits::default();
        let count = |typed: Option<NonZeroUsize>, default| typed.map_or(default, NonZeroUsize::get);
        let span = |typed: Option<Span>, default| typed.map_or(default, |span| span.0);
        let limits = Limits {
            visitors: count(self.visitors, default.visitors),
            agents: count(self.agents, default.agents),
            agents_handshaking: count(self.agents_handshaking, default.agents_handshaking),
            exchanges_per_agent: count(self.exchanges_per_agent, default.exchanges_per_agent),
            tunnels_per_agent: count(self.tunnels_per_agent, default.tunnels_per_agent),
            held_per_name: self.held_per_name.unwrap_or(default.held_per_name),
            held: self.held.unwrap_or(default.held),
            head_timeout: span(self.head_timeout, default.head_timeout),
            hello_timeout: span(self.hello_timeout, default.hello_timeout),
            head_bytes: self.head_bytes.map_or(default.head_bytes, |size| size.0),
            head_fields: count(self.head_fields, default.head_fields),
            stalled_per_agent: self
                .stalled_per_agent
                .map_or(default.stalled_per_agent, |size| size.0),
            stalled: self.stalled.map_or(default.stalled, |size| size.0),
            window: self.window.map_or(default.window, |size| {
                Window::Bytes(u32::try_from(size.0).unwrap_or(u32::MAX))
            }),
        };
        // What a visitor may send must fit into what an agent accepts.
        let fits = |key: &'static str, value: usize, range: std::ops::RangeInclusive<usize>| {
            if range.contains(&value) {
                return Ok(());
            }
            Err(ConfigError::OutOfRange {
                key,
                file: path.map(Path::to_owned).unwrap_or_default(),
                least: *range.start(),
                most: *range.end(),
            })
        };
        fits("limits.head-bytes", limits.head_bytes, MIN_HEAD..=MAX_HEAD)?;
        fits("limits.head-fields", limits.head_fields, 1..=MAX_FIELDS)?;
        if let Some(window) = self.window {
            fits("limits.window", window.0, MIN_WINDOW..=MAX_WINDOW)?;
        }
        Ok(limits)
    }
}

/// What the HTTP library needs to read anything at all.
const MIN_HEAD: usize = 8 << 10;
/// A head must fit, and a window of less would stop every body again and again.
const MIN_WINDOW: usize = 128 << 10;
/// What one connection keeps to send again; a larger window is of no use.
const MAX_WINDOW: usize = 16 << 20;
