//! Whether the relay can be found, reached and trusted.

use std::net::SocketAddr;
use std::sync::Arc;

use adit_shared::quic::endpoint::Dialer;
use adit_shared::quic::tls;
use adit_shared::wire;
use adit_shared::wire::code::Close;
use rustls::ClientConfig;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{PATIENCE, Row, Verdict, bad_config, chain};
use crate::config::{Given, RelayAddress, default_trust};
use crate::ui::brief;

const NAME: &str = "relay name";
const HANDSHAKE: &str = "quic handshake";

/// The checks that need the relay. Safe to drop.
pub(super) async fn relay(given: &Given) -> Vec<Row> {
    let (host, port) = match given.relay() {
        Ok(RelayAddress::Remote { host, port }) => (host, port),
        Ok(RelayAddress::Local) => return vec![Row::skip(NAME, "it runs in the agent's process")],
        Err(error) => return vec![bad_config(NAME, &error)],
    };
    let trust = match given.trust() {
        Ok(Some(trust)) => Ok(trust),
        Ok(None) => default_trust(&host),
        Err(error) => return vec![bad_config(HANDSHAKE, &error)],
    };
    let tls = match trust.and_then(|trust| tls::client(&trust, &[wire::ALPN])) {
        Ok(tls) => Arc::new(tls),
        Err(error) => {
            let fix = "trust the relay with --pin or --relay-ca";
            return vec![Row::fail(HANDSHAKE, chain(&error), fix)];
        }
    };
    let addresses: Vec<_> = match timeout(PATIENCE, lookup_host((host.as_str(), port))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return vec![unresolved(&host, &error.to_string())],
        Err(_) => return vec![unresolved(&host, "the name server does not answer")],
    };
    if addresses.is_empty() {
        return vec![unresolved(&host, "the name has no address")];
    }
    let shown: Vec<_> = addresses.iter().map(|a| a.ip().to_string()).collect();
    let mut rows = vec![Row::pass(NAME, format!("{host} is {}", shown.join(", ")))];
    let mut handshakes = Vec::new();
    for address in addresses {
        handshakes.push(handshake(address, &host, tls.clone()).await);
    }
    // The agent takes the first address that answers.
    if handshakes.iter().any(|row| row.verdict == Verdict::Pass) {
        for row in &mut handshakes {
            if row.verdict == Verdict::Fail {
                row.verdict = Verdict::Warn;
            }
        }
    }
    rows.extend(handshakes);
    rows
}

fn unresolved(host: &str, why: &str) -> Row {
    let detail = format!("{host} cannot be resolved: {why}");
    Row::fail(
        NAME,
        detail,
        "check the name, and that this machine is online",
    )
}

async fn handshake(address: SocketAddr, host: &str, tls: Arc<ClientConfig>) -> Row {
    let dialer = match Dialer::bind(address) {
        Ok(dialer) => dialer,
        Err(error) => {
            let fix = "allow this program to open udp sockets";
            return Row::fail(HANDSHAKE, chain(&error), fix);
        }
    };
    match timeout(PATIENCE, dialer.dial(address, host, tls)).await {
        Ok(Ok(connection)) => {
            let rtt = brief(connection.rtt());
            connection.close(Close::Goodbye, "doctor");
            // The relay learns it a moment sooner; nothing depends on it.
            drop(timeout(PATIENCE, dialer.wait_idle()).await);
            Row::pass(HANDSHAKE, format!("{address} answers in {rtt}"))
        }
        Ok(Err(error)) => Row::fail(
            HANDSHAKE,
            format!("{address}: {}", chain(&error)),
            "if the certificate is at fault, use the --pin that the relay prints when it starts",
        ),
        Err(_) => Row::fail(
            HANDSHAKE,
            format!("{address} does not answer over udp"),
            "check that the relay runs, and that udp to that port is let out of this network",
        ),
    }
}
