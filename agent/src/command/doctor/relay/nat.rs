//! How long NATs on the way remember a connection that is silent.
//!
//! One that has forgotten it gives what comes next another address. The relay then asks whether we
//! are there (RFC 9000 section 9.3), which is how we know.

use std::net::SocketAddr;
use std::time::Duration;

use adit_shared::checkup::{Row, chain};
use adit_shared::quic::Connection;
use adit_shared::quic::endpoint::Dialer;
use adit_shared::quic::tuning::KEEP_ALIVE;
use adit_shared::wire;
use adit_shared::wire::code::Close;
use adit_shared::wire::control::Message;
use tokio::time::{sleep, timeout};

use super::token::{Welcomed, hello};
use super::trust::Witness;
use crate::config::{Given, Token};

/// Keeps a connection of its own silent for each of `silences`, and looks after each whether it is
/// still known. Safe to drop.
pub(super) async fn nat(
    given: &Given,
    token: Option<&Token>,
    to: Option<SocketAddr>,
    host: &str,
    witness: &Witness,
    silences: &[Duration],
) -> Row {
    let Some(to) = to else {
        return Row::skipped(NAME, "no connection to the relay");
    };
    let connected = async {
        let dialer = Dialer::bind(to).map_err(|error| chain(&error))?.silent();
        let tls = witness.client(wire::ALPN).map_err(|error| chain(&error))?;
        let connection = dialer
            .dial(to, host, tls)
            .await
            .map_err(|error| chain(&error))?;
        let welcomed = hello(given, token, &connection).await;
        let welcomed = welcomed.map_err(|error| chain(&error))?;
        Ok::<_, String>((dialer, connection, welcomed))
    };
    let (dialer, connection, mut welcomed) = match timeout(PATIENCE, connected).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(why)) => return Row::skipped(NAME, format!("no session with the relay: {why}")),
        Err(_) => return Row::skipped(NAME, "no session with the relay: no answer"),
    };
    let row = watch(&connection, &mut welcomed, silences).await;
    connection.close(Close::Goodbye, "doctor");
    drop(timeout(GOODBYE, dialer.wait_idle()).await);
    row
}

async fn watch(connection: &Connection, welcomed: &mut Welcomed, silences: &[Duration]) -> Row {
    let mut remembered = Duration::ZERO;
    for silence in silences {
        let before = connection.packets().challenges;
        sleep(*silence).await;
        if !is_answered(welcomed).await {
            return forgotten(*silence, remembered, "nothing comes back");
        }
        if connection.packets().challenges > before {
            return forgotten(*silence, remembered, "the relay sees us at another address");
        }
        remembered = *silence;
    }
    Row::ok(NAME, format!("remembered after {remembered:?} of silence"))
}

/// Whether two pings come back: what the first one provokes at the relay is here with the second.
async fn is_answered(welcomed: &mut Welcomed) -> bool {
    for number in 0..2 {
        if welcomed
            .sender
            .send(&Message::Ping { number })
            .await
            .is_err()
        {
            return false;
        }
        let answer = timeout(PATIENCE, welcomed.receiver.next()).await;
        if !matches!(answer, Ok(Ok(Some(Message::Pong { .. })))) {
            return false;
        }
    }
    true
}

fn forgotten(silence: Duration, remembered: Duration, how: &str) -> Row {
    let seen = format!("after {silence:?} of silence {how}; after {remembered:?} not yet");
    if silence > KEEP_ALIVE {
        // The agent is never silent for so long.
        return Row::ok(
            NAME,
            format!("{seen}; the agent is heard every {KEEP_ALIVE:?}"),
        );
    }
    Row::warn(
        NAME,
        format!(
            "{seen}, and the agent is heard every {KEEP_ALIVE:?}: requests may wait or be lost"
        ),
        "raise the router's udp timeout to 30 s or more; behind a VPN, have it kept alive",
    )
}

/// What the agent survives by being heard, what routers commonly allow, and what is nearly the idle
/// timeout of the connection.
pub(crate) const SILENCES: &[Duration] = &[
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(25),
];
const NAME: &str = "nat";
const PATIENCE: Duration = Duration::from_secs(5);
const GOODBYE: Duration = Duration::from_millis(200);
