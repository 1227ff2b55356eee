//! How large packets may be on the way to the relay.

use std::time::Duration;

use adit_shared::checkup::Row;
use adit_shared::quic::{Connection, Packets, route};
use tokio::time::{Instant, interval};

/// Watches the connection's own search for the largest packet that gets through, until it finds no
/// larger one or has had its time. Safe to drop.
pub(super) async fn path(connection: &Connection) -> Row {
    let (found, is_settled) = search(connection).await;
    let remote = connection.remote().ip().to_canonical();
    // Of IP and UDP (RFC 791, RFC 8200, RFC 768).
    let headers = if remote.is_ipv4() { 20 + 8 } else { 40 + 8 };
    let packet = u32::from(found.largest) + headers;
    let route = route::mtu(connection.remote());
    let most = if is_settled { "" } else { "at least " };
    let route = match route {
        Some(route) => format!("; the route here takes {route}"),
        None => String::new(),
    };
    let seen = format!("packets of {most}{packet} bytes get through{route}");
    if packet < LEAST && is_settled {
        return Row::warn(
            NAME,
            seen,
            "a VPN or tunnel on the way makes packets smaller than IPv6 allows: raise its MTU to \
             1280 or more; it works like this, only slower",
        );
    }
    Row::ok(NAME, seen)
}

/// Without a connection.
pub(super) fn unknown() -> Row {
    Row::skipped(NAME, "no connection to the relay")
}

/// What was found, and whether the search had come to its end.
async fn search(connection: &Connection) -> (Packets, bool) {
    let begun = Instant::now();
    let mut ticks = interval(TICK);
    let mut last = (connection.packets(), Instant::now());
    loop {
        ticks.tick().await;
        let found = connection.packets();
        if found != last.0 {
            last = (found, Instant::now());
        }
        // A size is given up when three probes of it were lost, each of which is noticed after a
        // round trip or two.
        if last.1.elapsed() > QUIET + 4 * connection.rtt() {
            return (found, true);
        }
        if begun.elapsed() > PATIENCE || connection.close_reason().is_some() {
            return (found, false);
        }
    }
}

pub(super) const NAME: &str = "path mtu";
/// What every IPv6 link takes (RFC 8200 section 5).
const LEAST: u32 = 1280;
const TICK: Duration = Duration::from_millis(10);
const QUIET: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_millis(1200);
