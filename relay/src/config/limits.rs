//! What one party may take at most, so that nobody can exhaust the relay for the rest.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use adit_shared::pace::Least;
use adit_shared::quantity::{Size, Span};
use adit_shared::quic::tuning::{EXCHANGES, WINDOWS, Window};
use adit_shared::stall::Budget;
use adit_shared::wire::fields::{MAX_FIELDS, MAX_HEAD};
use serde::Deserialize;

use super::file::text;
use super::{ConfigError, Mode, memory};
use crate::addresses;
use crate::args;

/// The relay's limits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections of visitors at once. Each costs a file descriptor and, with TLS and its buffers,
    /// something like 50 KiB.
    pub visitors: usize,
    /// Connections of one address at once, 0 for no bound. Whoever stands for many is a trusted proxy.
    pub connections_per_address: usize,
    /// New connections of one address a second, 0 for no bound: each costs a TLS handshake.
    pub connects_per_address: usize,
    /// Requests of one address in flight, 0 for no bound: so that one visitor cannot have all that an
    /// agent takes.
    pub exchanges_per_address: usize,
    /// Requests of one address a second, 0 for no bound.
    pub requests_per_address: usize,
    /// Agents of one address that have not said who they are, 0 for no bound.
    pub handshakes_per_address: usize,
    /// Sessions at once. An idle one costs little, but each may have a window's worth of bytes
    /// under way per exchange.
    pub agents: usize,
    /// Agents that connected but have not said who they are. Each costs a handshake's worth of CPU
    /// and memory and has proved nothing, so this is what a flood of strangers can have.
    pub agents_handshaking: usize,
    /// Handshakes of agents under way, or begun in a second, above which those that follow prove their
    /// address first, which costs them a round trip (RFC 9000 section 8.1.2).
    pub handshakes_unvalidated: usize,
    /// Connections of agents that carry QUIC inside TCP at once. An agent needs one, and two for a
    /// moment when it changes.
    pub carriers: usize,
    /// Exchanges of one agent at once; further requests are answered 503. Agents may ask for less.
    /// More than the protocol's own number has no effect.
    pub exchanges_per_agent: usize,
    /// Exchanges of one tunnel at once; further requests are answered 503.
    pub exchanges_per_tunnel: usize,
    /// Exchanges of all agents at once; further requests are answered 503.
    pub exchanges: usize,
    /// Requests of one visitor's connection at once, over HTTP/2.
    pub streams_per_connection: usize,
    /// Tunnels of one session: enough for everything on a developer's machine, too few to take
    /// many names from others.
    pub tunnels_per_agent: usize,
    /// Messages of one agent a second on its control stream, 0 for no bound: those above wait to be read.
    /// Agents say a few when they come, and then next to nothing.
    pub messages_per_agent: usize,
    /// Requests that wait for one name's agent to come back. More would all hit its origin in the
    /// same instant.
    pub held_per_name: usize,
    /// Requests that wait for agents to come back, together. Each holds a connection and its head.
    pub held: usize,
    /// Bytes that they may hold together: heads, and what of bodies comes before somebody takes them, which
    /// over HTTP/2 is half a MiB of each.
    pub held_bytes: usize,
    /// How long a visitor may take for its TLS handshake.
    pub handshake_timeout: Duration,
    /// How long a visitor may take to send a request head. Slower ones are attacks or broken.
    pub head_timeout: Duration,
    /// How long a visitor's connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a visitor may send nothing of a body that is waited for, 0 for ever.
    pub upload_timeout: Duration,
    /// How long a visitor may take nothing of a response that waits for it, 0 for ever. A browser that
    /// pauses a video does that.
    pub download_timeout: Duration,
    /// Bytes a second that a visitor must give or take on the average, when it is waited for.
    pub least_rate: usize,
    /// How long an agent may take to say who it is, after the handshake. It needs one round trip.
    pub hello_timeout: Duration,
    /// Bytes of a request's body, 0 for no bound; above it the answer is 413.
    pub request_bytes: usize,
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
    pub fn list(&self) -> [(&'static str, &'static str, usize); 25] {
        [
            ("visitors", "Connections of visitors at once", self.visitors),
            (
                "connections_per_address",
                "Connections of one address at once",
                self.connections_per_address,
            ),
            (
                "connects_per_address",
                "New connections of one address a second",
                self.connects_per_address,
            ),
            (
                "exchanges_per_address",
                "Requests of one address in flight",
                self.exchanges_per_address,
            ),
            (
                "requests_per_address",
                "Requests of one address a second",
                self.requests_per_address,
            ),
            (
                "handshakes_per_address",
                "Agents of one address that have not said who they are",
                self.handshakes_per_address,
            ),
            ("agents", "Sessions at once", self.agents),
            (
                "agents_handshaking",
                "Agents that have not said who they are",
                self.agents_handshaking,
            ),
            (
                "handshakes_unvalidated",
                "Handshakes of agents above which addresses are proved first",
                self.handshakes_unvalidated,
            ),
            (
                "carriers",
                "TCP connections of agents that carry QUIC",
                self.carriers,
            ),
            (
                "exchanges_per_agent",
                "Exchanges of one agent at once",
                self.exchanges_per_agent,
            ),
            (
                "exchanges_per_tunnel",
                "Exchanges of one tunnel at once",
                self.exchanges_per_tunnel,
            ),
            ("exchanges", "Exchanges at once", self.exchanges),
            (
                "streams_per_connection",
                "Requests of one connection at once",
                self.streams_per_connection,
            ),
            (
                "tunnels_per_agent",
                "Tunnels of one session",
                self.tunnels_per_agent,
            ),
            (
                "messages_per_agent",
                "Messages of one agent a second",
                self.messages_per_agent,
            ),
            (
                "held_per_name",
                "Requests that wait for one name's agent",
                self.held_per_name,
            ),
            ("held", "Requests that wait for agents", self.held),
            (
                "held_bytes",
                "Bytes held by requests that wait for agents",
                self.held_bytes,
            ),
            ("head_bytes", "Bytes of a request head", self.head_bytes),
            ("head_fields", "Fields of a request head", self.head_fields),
            (
                "request_bytes",
                "Bytes of a request's body",
                self.request_bytes,
            ),
            (
                "least_rate",
                "Bytes a second that a visitor must give or take",
                self.least_rate,
            ),
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

    /// What one address may have.
    pub fn per_address(&self) -> addresses::Bounds {
        addresses::Bounds {
            connections: self.connections_per_address,
            connects: self.connects_per_address,
            exchanges: self.exchanges_per_address,
            requests: self.requests_per_address,
            handshakes: self.handshakes_per_address,
        }
    }

    /// What is expected of a visitor that sends a body.
    pub fn uploads(&self) -> Least {
        self.least(self.upload_timeout)
    }

    /// What is expected of a visitor that reads a response.
    pub fn downloads(&self) -> Least {
        self.least(self.download_timeout)
    }

    fn least(&self, patience: Duration) -> Least {
        Least {
            rate: u32::try_from(self.least_rate).unwrap_or(u32::MAX),
            patience: Some(patience).filter(|patience| !patience.is_zero()),
        }
    }

    /// What visitors who stopped reading may hold.
    pub fn stalls(&self) -> Budget {
        Budget {
            each: self.stalled_per_agent as u64,
            all: self.stalled as u64,
        }
    }
}

impl Limits {
    /// The usual ones of a relay in this mode: on a machine of one's own all visitors have one address.
    pub fn usual(mode: Mode) -> Self {
        let public = |bound| if mode == Mode::Public { bound } else { 0 };
        Self {
            connections_per_address: public(512),
            connects_per_address: public(200),
            // Half of what an agent takes.
            exchanges_per_address: public(EXCHANGES as usize / 2),
            handshakes_per_address: public(128),
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            visitors: 10_000,
            connections_per_address: 0,
            connects_per_address: 0,
            exchanges_per_address: 0,
            requests_per_address: 0,
            handshakes_per_address: 0,
            agents: 1_000,
            agents_handshaking: 256,
            handshakes_unvalidated: 64,
            carriers: 1_500,
            exchanges_per_agent: EXCHANGES as usize,
            exchanges_per_tunnel: EXCHANGES as usize,
            exchanges: 20_000,
            streams_per_connection: 128,
            tunnels_per_agent: 16,
            messages_per_agent: 100,
            held_per_name: 256,
            held: 4096,
            held_bytes: 64 << 20,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(120),
            upload_timeout: Duration::from_secs(20),
            download_timeout: Duration::from_secs(60),
            least_rate: 240,
            hello_timeout: Duration::from_secs(10),
            request_bytes: 0,
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
    connections_per_address: Option<usize>,
    connects_per_address: Option<usize>,
    exchanges_per_address: Option<usize>,
    requests_per_address: Option<usize>,
    handshakes_per_address: Option<usize>,
    agents: Option<NonZeroUsize>,
    agents_handshaking: Option<NonZeroUsize>,
    handshakes_unvalidated: Option<usize>,
    carriers: Option<NonZeroUsize>,
    exchanges_per_agent: Option<NonZeroUsize>,
    exchanges_per_tunnel: Option<NonZeroUsize>,
    exchanges: Option<NonZeroUsize>,
    streams_per_connection: Option<NonZeroUsize>,
    tunnels_per_agent: Option<NonZeroUsize>,
    messages_per_agent: Option<usize>,
    /// Zero is sensible here: nobody waits.
    held_per_name: Option<usize>,
    held: Option<usize>,
    #[serde(deserialize_with = "text")]
    held_bytes: Option<Size>,
    #[serde(deserialize_with = "text")]
    handshake_timeout: Option<Span>,
    #[serde(deserialize_with = "text")]
    head_timeout: Option<Span>,
    #[serde(deserialize_with = "text")]
    idle_timeout: Option<Span>,
    #[serde(deserialize_with = "text")]
    upload_timeout: Option<Span>,
    #[serde(deserialize_with = "text")]
    download_timeout: Option<Span>,
    #[serde(deserialize_with = "text")]
    least_rate: Option<Size>,
    #[serde(deserialize_with = "text")]
    hello_timeout: Option<Span>,
    #[serde(deserialize_with = "text")]
    request_bytes: Option<Size>,
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
    /// What a flag says: the name of one limit, and its value as in the file.
    pub(super) fn of(flag: &args::Limit) -> Result<Self, ConfigError> {
        let value = match flag.value.parse() {
            Ok(number) => toml::Value::Integer(number),
            Err(_) => toml::Value::String(flag.value.clone()),
        };
        let table = toml::Table::from_iter([(flag.key.clone(), value)]);
        Self::deserialize(table).map_err(|error| ConfigError::Limit(flag.key.clone(), error))
    }

    /// The limits of this table, which stands in the file `path`, and of `default` what it does not say.
    pub(super) fn resolve(
        self,
        path: Option<&Path>,
        default: &Limits,
    ) -> Result<Limits, ConfigError> {
        let count = |typed: Option<NonZeroUsize>, default| typed.map_or(default, NonZeroUsize::get);
        let span = |typed: Option<Span>, default| typed.map_or(default, |span| span.0);
        let limits = Limits {
            visitors: count(self.visitors, default.visitors),
            connections_per_address: self
                .connections_per_address
                .unwrap_or(default.connections_per_address),
            connects_per_address: self
                .connects_per_address
                .unwrap_or(default.connects_per_address),
            exchanges_per_address: self
                .exchanges_per_address
                .unwrap_or(default.exchanges_per_address),
            requests_per_address: self
                .requests_per_address
                .unwrap_or(default.requests_per_address),
            handshakes_per_address: self
                .handshakes_per_address
                .unwrap_or(default.handshakes_per_address),
            agents: count(self.agents, default.agents),
            agents_handshaking: count(self.agents_handshaking, default.agents_handshaking),
            handshakes_unvalidated: self
                .handshakes_unvalidated
                .unwrap_or(default.handshakes_unvalidated),
            carriers: count(self.carriers, default.carriers),
            exchanges_per_agent: count(self.exchanges_per_agent, default.exchanges_per_agent),
            exchanges_per_tunnel: count(self.exchanges_per_tunnel, default.exchanges_per_tunnel),
            exchanges: count(self.exchanges, default.exchanges),
            streams_per_connection: count(
                self.streams_per_connection,
                default.streams_per_connection,
            ),
            tunnels_per_agent: count(self.tunnels_per_agent, default.tunnels_per_agent),
            messages_per_agent: self
                .messages_per_agent
                .unwrap_or(default.messages_per_agent),
            held_per_name: self.held_per_name.unwrap_or(default.held_per_name),
            held: self.held.unwrap_or(default.held),
            held_bytes: self.held_bytes.map_or(default.held_bytes, |size| size.0),
            handshake_timeout: span(self.handshake_timeout, default.handshake_timeout),
            head_timeout: span(self.head_timeout, default.head_timeout),
            idle_timeout: span(self.idle_timeout, default.idle_timeout),
            upload_timeout: span(self.upload_timeout, default.upload_timeout),
            download_timeout: span(self.download_timeout, default.download_timeout),
            least_rate: self.least_rate.map_or(default.least_rate, |size| size.0),
            request_bytes: self
                .request_bytes
                .map_or(default.request_bytes, |size| size.0),
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
                file: path.map(Path::to_owned),
                least: *range.start(),
                most: *range.end(),
            })
        };
        fits("limits.head-bytes", limits.head_bytes, MIN_HEAD..=MAX_HEAD)?;
        fits("limits.head-fields", limits.head_fields, 1..=MAX_FIELDS)?;
        let streams = limits.streams_per_connection;
        fits("limits.streams-per-connection", streams, 1..=MAX_STREAMS)?;
        if let Some(window) = self.window {
            fits("limits.window", window.0, WINDOWS)?;
        }
        Ok(limits)
    }
}

/// What the HTTP library needs to read anything at all.
const MIN_HEAD: usize = 8 << 10;
/// More would cost a visitor's connection more memory for uploads than a tunnel should.
const MAX_STREAMS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/limits.md");

    /// All keys, as the one who reads the table says them.
    fn keys() -> Vec<String> {
        let unknown = toml::Table::from_iter([("?".to_owned(), toml::Value::Integer(1))]);
        let error = File::deserialize(unknown).unwrap_err().to_string();
        let (_, list) = error.split_once("expected one of ").unwrap();
        let keys: Vec<_> = list
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert!(keys.len() > 20, "{error}");
        keys
    }

    /// The rows of the page's tables: names, and the default.
    fn rows() -> Vec<(&'static str, &'static str)> {
        let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let mut cells = row.trim_matches('|').split('|').map(str::trim);
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .collect()
    }

    #[test]
    fn each_key_is_on_the_page_and_has_a_default_a_flag_and_a_gauge() {
        let usual = Limits::default();
        for key in keys() {
            let name = format!("`{key}`");
            let row = rows().into_iter().find(|(names, _)| names.contains(&name));
            let (_, default) = row.unwrap_or_else(|| panic!("{key} is not on the page"));
            assert!(!default.is_empty(), "{key} has no default on the page");

            // One of these is a value of it, and another than the default.
            let typed = ["3s", "40KiB", "200KiB", "200", "3"]
                .into_iter()
                .find(|value| {
                    let flag = args::Limit {
                        key: key.clone(),
                        value: (*value).to_owned(),
                    };
                    let read = File::of(&flag).and_then(|file| file.resolve(None, &usual));
                    read.is_ok_and(|limits| format!("{limits:?}") != format!("{usual:?}"))
                });
            assert!(typed.is_some(), "{key} cannot be set by a flag");

            let gauge = key.replace('-', "_");
            let is_number = !key.ends_with("-timeout") && key != "window";
            let is_shown = usual.list().iter().any(|(name, ..)| *name == gauge);
            assert_eq!(is_shown, is_number, "the gauge of {key}");
        }
    }

    #[test]
    fn nothing_is_on_the_page_that_is_no_key() {
        let keys = keys();
        for (names, _) in rows() {
            for name in names.split('`').skip(1).step_by(2) {
                assert!(keys.iter().any(|key| key == name), "{name} is no limit");
            }
        }
    }
}
