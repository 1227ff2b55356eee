//! Somebody who wants nothing but to keep a relay from its work.
//!
//! A flood is acts that begin at a steady pace, each for itself: it ends when the relay ends it, or stays for
//! as long as it can. There are never more than so many at once.

mod act;
mod agent;
mod busy;
mod http3;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use adit_shared::quic::HTTP3;
use adit_shared::quic::tls::{self, Trust};
use clap::ValueEnum;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::interval;

use super::{obey, say, spawn};

/// A kind of flood.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum FloodKind {
    /// All that another tunnel of the relay can give.
    BusyTunnel,
    /// Agents whose answers are none.
    AgentAnswers,
    /// Agents that say on the control stream whatever may be said there, as fast as they can.
    AgentMessages,
    /// Agents that claim as much as they may, and leave.
    AgentNames,
    /// Agents that take requests, and read no bodies.
    AgentDeaf,
    /// Connections on which nothing is said.
    Connections,
    /// TLS handshakes, one after the other.
    Tls,
    /// TLS handshakes that come byte by byte.
    SlowHandshakes,
    /// Heads that come byte by byte.
    SlowHeads,
    /// Bodies that come byte by byte.
    SlowBodies,
    /// Large responses that are read byte by byte.
    SlowReads,
    /// Requests as fast as they are answered.
    Requests,
    /// Heads that are far too large.
    Heads,
    /// HTTP/2: streams that are reset at once.
    Resets,
    /// HTTP/2: streams that the relay has to reset (CVE-2025-8671).
    BrokenStreams,
    /// HTTP/2: a head that never ends.
    Continuation,
    /// HTTP/2: a body of frames that have nothing.
    EmptyData,
    /// HTTP/2: PING.
    Pings,
    /// HTTP/2: SETTINGS.
    Settings,
    /// HTTP/2: requests whose responses have no window.
    Windows,
    /// HTTP/3: requests that are given up at once.
    Http3Resets,
    /// HTTP/3: large responses that are read byte by byte.
    Http3SlowReads,
    /// HTTP/3: bodies that come byte by byte.
    Http3SlowBodies,
    /// HTTP/3: heads that are far too large.
    Http3Heads,
    /// HTTP/3: frames of a GiB that nobody knows.
    Http3Unknown,
    /// HTTP/3: frames that nobody knows and that have nothing.
    Http3Frames,
    /// QUIC handshakes that are begun and left.
    HalfHandshakes,
    /// Agents that never say hello.
    SilentAgents,
    /// Datagrams that are nothing.
    Garbage,
}

impl FloodKind {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[
        Self::BusyTunnel,
        Self::AgentAnswers,
        Self::AgentMessages,
        Self::AgentNames,
        Self::AgentDeaf,
        Self::Connections,
        Self::Tls,
        Self::SlowHandshakes,
        Self::SlowHeads,
        Self::SlowBodies,
        Self::SlowReads,
        Self::Requests,
        Self::Heads,
        Self::Resets,
        Self::BrokenStreams,
        Self::Continuation,
        Self::EmptyData,
        Self::Pings,
        Self::Settings,
        Self::Windows,
        Self::Http3Resets,
        Self::Http3SlowReads,
        Self::Http3SlowBodies,
        Self::Http3Heads,
        Self::Http3Unknown,
        Self::Http3Frames,
        Self::HalfHandshakes,
        Self::SilentAgents,
        Self::Garbage,
    ];

    /// What it is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BusyTunnel => "busy-tunnel",
            Self::AgentAnswers => "agent-answers",
            Self::AgentMessages => "agent-messages",
            Self::AgentNames => "agent-names",
            Self::AgentDeaf => "agent-deaf",
            Self::Connections => "connections",
            Self::Tls => "tls",
            Self::SlowHandshakes => "slow-handshakes",
            Self::SlowHeads => "slow-heads",
            Self::SlowBodies => "slow-bodies",
            Self::SlowReads => "slow-reads",
            Self::Requests => "requests",
            Self::Heads => "heads",
            Self::Resets => "resets",
            Self::BrokenStreams => "broken-streams",
            Self::Continuation => "continuation",
            Self::EmptyData => "empty-data",
            Self::Pings => "pings",
            Self::Settings => "settings",
            Self::Windows => "windows",
            Self::Http3Resets => "http3-resets",
            Self::Http3SlowReads => "http3-slow-reads",
            Self::Http3SlowBodies => "http3-slow-bodies",
            Self::Http3Heads => "http3-heads",
            Self::Http3Unknown => "http3-unknown",
            Self::Http3Frames => "http3-frames",
            Self::HalfHandshakes => "half-handshakes",
            Self::SilentAgents => "silent-agents",
            Self::Garbage => "garbage",
        }
    }

    /// How many acts begin in a second, and how many there are at once.
    const fn pace(self) -> (u64, usize) {
        match self {
            Self::BusyTunnel => (100, 96),
            Self::AgentAnswers | Self::AgentMessages | Self::AgentDeaf => (10, 8),
            Self::AgentNames => (50, 16),
            Self::Connections | Self::SlowHandshakes | Self::SlowHeads | Self::SlowBodies => {
                (500, 2_000)
            }
            Self::Tls => (400, 400),
            Self::SlowReads => (20, 500),
            Self::Windows | Self::Http3SlowReads | Self::Http3SlowBodies => (10, 500),
            Self::Requests => (100, 64),
            Self::Heads => (200, 200),
            Self::Resets
            | Self::BrokenStreams
            | Self::Continuation
            | Self::EmptyData
            | Self::Pings
            | Self::Settings
            | Self::Http3Resets
            | Self::Http3Unknown
            | Self::Http3Frames => (50, 8),
            Self::Http3Heads => (50, 32),
            Self::HalfHandshakes | Self::SilentAgents => (300, 1_000),
            Self::Garbage => (100, 100),
        }
    }
}

/// Whom it is against.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// What it does.
    kind: FloodKind,
    /// Visitors without TLS.
    #[arg(long)]
    http: SocketAddr,
    /// Visitors with TLS.
    #[arg(long)]
    https: SocketAddr,
    /// Agents.
    #[arg(long)]
    quic: SocketAddr,
    /// A host that is served there.
    #[arg(long)]
    host: String,
    /// The relay's CA.
    #[arg(long)]
    ca: PathBuf,
    /// What lets agents in.
    #[arg(long)]
    token_file: PathBuf,
}

/// What an act needs.
#[derive(Debug)]
struct Flood {
    target: Target,
    visitors: Arc<ClientConfig>,
    agents: Arc<ClientConfig>,
    over_quic: Arc<ClientConfig>,
    token: String,
    sent: AtomicU64,
    ended: AtomicU64,
}

impl Flood {
    /// Something was sent: a connection, a request, a frame, a datagram.
    fn sent(&self) {
        self.sent_many(1);
    }

    fn sent_many(&self, many: u64) {
        self.sent.fetch_add(many, Ordering::Relaxed);
    }
}

pub(super) async fn run(target: Target) -> anyhow::Result<()> {
    // What is measured is the relay, not what is left of a processor beside us.
    let _ = rustix::process::nice(19);
    let client = |protocol: &[u8]| -> anyhow::Result<_> {
        let trust = Trust::Roots(tls::read_certificates(Path::new(&target.ca))?);
        Ok(Arc::new(tls::client(&trust, &[protocol])?))
    };
    let flood = Arc::new(Flood {
        visitors: client(b"http/1.1")?,
        agents: client(adit_shared::wire::ALPN)?,
        over_quic: client(HTTP3)?,
        token: std::fs::read_to_string(&target.token_file)?
            .trim()
            .to_owned(),
        target,
        sent: AtomicU64::new(0),
        ended: AtomicU64::new(0),
    });
    say(&Value::Null)?;
    spawn(pour(flood.clone()));
    obey(|_| async {
        Ok(json!({
            "sent": flood.sent.load(Ordering::Relaxed),
            "ended": flood.ended.load(Ordering::Relaxed),
        }))
    })
    .await
}

async fn pour(flood: Arc<Flood>) {
    let (rate, most) = flood.target.kind.pace();
    let room = Arc::new(Semaphore::new(most));
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate).unwrap_or(1));
    for number in 0.. {
        ticks.tick().await;
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let flood = flood.clone();
        spawn(async move {
            // How it ends is the relay's business.
            drop(act::once(&flood, number).await);
            flood.ended.fetch_add(1, Ordering::Relaxed);
            drop(permit);
        });
    }
}

/// The address of the flood.
const US: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
