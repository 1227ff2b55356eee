//! Whether the relay can be reached where UDP is blocked: QUIC inside TLS over TCP, through the proxy if
//! there is one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use adit_shared::checkup::{Row, chain};
use adit_shared::quic::Connection;
use adit_shared::task::Tasks;
use adit_shared::wire::code::Close;
use adit_shared::wire::{ALPN, CARRIER_ALPN};
use tokio::time::timeout;

use super::trust::{Shown, Witness};
use crate::config::{Proxy, TransportChoice};
use crate::link::{Carried, Peer, over_tcp};
use crate::ui::brief;

/// What came of one address.
pub(super) struct Reached {
    place: String,
    through_proxy: bool,
    outcome: Result<(Carried, Duration), String>,
    shown: Option<Shown>,
    tasks: Tasks,
}

/// Where to, and through what.
#[derive(Clone, Copy)]
pub(super) struct To<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) proxy: Option<&'a Proxy>,
}

/// Connects as an agent would, to `address`, or to what only the proxy knows. Safe to drop.
pub(super) async fn reach(address: Option<SocketAddr>, to: To<'_>, witness: &Witness) -> Reached {
    let witness = witness.another();
    let tasks = Tasks::default();
    let begun = Instant::now();
    let connected = async {
        let quic = witness.client(ALPN).map_err(|error| chain(&error))?;
        let tls = witness
            .client(CARRIER_ALPN)
            .map_err(|error| chain(&error))?;
        let peer = Peer::by(to.host.to_owned(), to.port, quic, tls);
        let peer = peer.with_transport(TransportChoice::Tcp, to.proxy.cloned());
        over_tcp(&peer, address, &tasks).await
    };
    let outcome = match timeout(PATIENCE, connected).await {
        Ok(connected) => connected.map(|carried| (carried, begun.elapsed())),
        Err(_) => Err("no answer".to_owned()),
    };
    let place = match (to.proxy, address) {
        (Some(proxy), _) => format!("{}:{} through the proxy {proxy}", to.host, to.port),
        (None, Some(address)) => address.to_string(),
        (None, None) => format!("{}:{}", to.host, to.port),
    };
    Reached {
        place,
        through_proxy: to.proxy.is_some(),
        outcome,
        shown: witness.shown(),
        tasks,
    }
}

impl Reached {
    /// The connection that was made.
    pub(super) fn connection(&self) -> Option<&Connection> {
        let (carried, _) = self.outcome.as_ref().ok()?;
        Some(&carried.connection)
    }

    /// The certificate there.
    pub(super) fn shown(&self) -> Option<Shown> {
        self.shown.clone()
    }

    /// What is said of TCP, from what was seen `beside` this one without QUIC.
    pub(super) fn row(&self, beside: Option<Row>) -> Row {
        match (&self.outcome, beside) {
            (Ok((_, took)), _) => {
                let seen = format!("{} takes agents, in {}", self.place, brief(*took));
                Row::ok(super::TCP, seen)
            }
            // What is wrong without QUIC is wrong with it, unless a proxy stands between.
            (Err(why), beside) if !self.through_proxy => beside.unwrap_or_else(|| {
                let seen = format!("{} takes no agents: {why}", self.place);
                Row::fail(super::TCP, seen, NO_CARRIER)
            }),
            (Err(why), _) => {
                let seen = format!("no way to {}: {why}", self.place);
                Row::fail(super::TCP, seen, NO_PROXY)
            }
        }
    }

    /// The relay learns the end of the connection a moment sooner; nothing depends on it.
    pub(super) async fn close(&self) {
        if let Ok((carried, _)) = &self.outcome {
            carried.connection.close(Close::Goodbye, "doctor");
            drop(timeout(GOODBYE, carried.dialer.wait_idle()).await);
        }
        self.tasks.abort();
    }
}

const PATIENCE: Duration = Duration::from_secs(4);
const GOODBYE: Duration = Duration::from_millis(200);
const NO_CARRIER: &str = "nothing while udp works; for agents whose udp is blocked, the relay's --https and --quic \
                          must be one port";
const NO_PROXY: &str = "give the proxy its credentials (http://USER:PASSWORD@HOST:PORT), have it let CONNECT to the \
                        relay through, or name the relay in NO_PROXY";
