//! How things stand, for those who look rather than listen.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use adit_shared::quic::Transport;
use serde::{Serialize, Serializer};

use super::json;

/// How things stand at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Whether there is a session that serves something. Of several relays, this and what follows
    /// speaks of the first that is online.
    pub online: bool,
    /// Whether the agent was asked to stop.
    pub draining: bool,
    /// Since when it is online or offline.
    #[serde(serialize_with = "json::time")]
    pub since: SystemTime,
    /// The relay's name for the last session.
    pub session: Option<String>,
    /// Where the relay is.
    pub relay: Option<SocketAddr>,
    /// The round trip to it, in milliseconds when written as JSON.
    #[serde(rename = "rtt_ms", serialize_with = "optional_milliseconds")]
    pub rtt: Option<Duration>,
    /// What the session travels in, `udp` or `tcp` when written as JSON.
    #[serde(serialize_with = "word")]
    pub transport: Option<Transport>,
    /// How things stand with each relay, when there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<RelayStatus>,
    /// The tunnels, whether granted or not.
    pub tunnels: Vec<TunnelStatus>,
    /// How often what happened.
    pub counts: Counts,
}

/// How things stand with one of several relays; the parts mean what they mean in [`Snapshot`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct RelayStatus {
    /// The relay, as it was given.
    pub name: String,
    /// Whether there is a session with it that serves something.
    pub online: bool,
    /// Its name for the last session.
    pub session: Option<String>,
    /// Where it is.
    pub address: Option<SocketAddr>,
    /// The round trip to it.
    #[serde(rename = "rtt_ms", serialize_with = "optional_milliseconds")]
    pub rtt: Option<Duration>,
    /// What the session with it travels in.
    #[serde(serialize_with = "word")]
    pub transport: Option<Transport>,
}

/// How one tunnel stands.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TunnelStatus {
    /// The label of the tunnel.
    pub tunnel: String,
    /// Where visitors reach it, or did before the session was lost.
    pub urls: Vec<String>,
    /// Why the relay does not serve it.
    pub refused: Option<String>,
    /// The origin, while it cannot be connected to.
    pub waiting_for: Option<String>,
}

/// How often what happened since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Exchanges that ended.
    pub requests: u64,
    /// Those of them that failed on this side.
    pub failed: u64,
    /// Sessions that the relay granted something.
    pub sessions: u64,
    /// Changes of our address that the session survived.
    pub migrations: u64,
    /// Silences of a relay that the session outlived, whatever it did for that.
    pub resumed: u64,
    /// Exchanges that were cut because the way to the relay was lost. The relay may have sent some of
    /// them again.
    pub lost: u64,
}

impl Snapshot {
    pub(super) fn turn(&mut self, online: bool) {
        if self.online != online {
            self.online = online;
            self.since = SystemTime::now();
        }
    }

    pub(super) fn at(&mut self, name: &str) -> &mut RelayStatus {
        let at = self.relays.iter().position(|relay| relay.name == name);
        let at = at.unwrap_or_else(|| {
            self.relays.push(RelayStatus {
                name: name.to_owned(),
                ..RelayStatus::default()
            });
            self.relays.len() - 1
        });
        &mut self.relays[at]
    }

    /// Of several relays, the first that is online speaks for all.
    pub(super) fn settle(&mut self) {
        let online = self.relays.iter().find(|relay| relay.online);
        let Some(first) = online.or_else(|| self.relays.first()).cloned() else {
            return;
        };
        (self.relay, self.rtt) = (first.address, first.rtt);
        self.transport = first.transport;
        self.session = first.session;
        self.turn(first.online);
    }

    pub(super) fn tunnel(&mut self, label: &str) -> &mut TunnelStatus {
        let at = self.tunnels.iter().position(|t| t.tunnel == label);
        let at = at.unwrap_or_else(|| {
            self.tunnels.push(TunnelStatus {
                tunnel: label.to_owned(),
                ..TunnelStatus::default()
            });
            self.tunnels.len() - 1
        });
        &mut self.tunnels[at]
    }
}

fn optional_milliseconds<S: Serializer>(rtt: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    rtt.map(json::milliseconds).serialize(to)
}

fn word<S: Serializer>(transport: &Option<Transport>, to: S) -> Result<S::Ok, S::Error> {
    transport.map(Transport::word).serialize(to)
}
