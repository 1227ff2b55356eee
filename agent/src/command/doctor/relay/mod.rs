//! Whether the relay can be found, reached and trusted, and whether it wants us.
//!
//! Three ways are tried at once: QUIC over UDP, up to a hello, and the same inside TLS over TCP, as the
//! agent takes them; and HTTPS at the same port, which shows what else stands there, and says the time.

mod carrier;
mod clock;
pub mod head;
mod nat;
mod path;
mod portal;
mod tcp;
mod token;
mod trust;
mod udp;

use std::iter::repeat;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adit_shared::checkup::{Row, Verdict, chain};
use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

pub(super) use self::nat::SILENCES;
use self::trust::{Expected, Shown, Witness};
use super::{Setting, bad_config, proxy};
use crate::config::{BadConfig, RelayAddress, TransportChoice, default_trust};

/// The checks that need the relay, for each that is given, all at once. Safe to drop.
pub(super) async fn relays(setting: &Setting<'_>) -> Vec<Row> {
    match setting.given.relays() {
        Ok(relays) => {
            let each = (0..).zip(relays).map(|(at, to)| relay(setting, at, to));
            join_all(each).await.concat()
        }
        Err(BadConfig::NoRelay | BadConfig::Missing(..)) => {
            vec![Row::skipped(NAME, "none is given (--relay HOST)")]
        }
        Err(error) => vec![bad_config(NAME, &error)],
    }
}

/// The checks of the relay at this place among those given.
async fn relay(setting: &Setting<'_>, at: usize, relay: RelayAddress) -> Vec<Row> {
    let given = setting.given;
    let RelayAddress::Remote { host, port } = relay else {
        return vec![Row::skipped(NAME, "it runs in the agent's process")];
    };
    let token = given.token_of(at);
    let (found, addresses) = resolve(&host, port).await;
    let mut rows = vec![found];
    let (trust, is_given) = match given.trust_of(at) {
        Ok(Some(trust)) => (trust, true),
        Ok(None) => match default_trust(&host) {
            Ok(trust) => (trust, false),
            Err(error) => return with(rows, Row::fail(TRUST, chain(&error), TRUST_FIX)),
        },
        Err(error) => return with(rows, bad_config(TRUST, &error)),
    };
    let choice = given.transport().unwrap_or_default();
    let proxy = proxy::to(setting, &host).ok().flatten();
    let proxy = proxy.filter(|_| choice != TransportChoice::Udp);
    if addresses.is_empty() && proxy.is_none() {
        return rows;
    }
    let witness = match Witness::new(&trust, setting.now) {
        Ok(witness) => witness,
        Err(error) => return with(rows, Row::fail(TRUST, chain(&error), TRUST_FIX)),
    };

    // The way that the agent takes, and all that is found out at its end.
    let over_udp = async {
        let tried = join_all(addresses.iter().map(|to| udp::reach(*to, &host, &witness))).await;
        let session = match tried.iter().find_map(udp::Reached::connection) {
            Some(connection) => {
                let path = path::path(connection).await;
                Some([path, token::row(given, &token, connection).await])
            }
            None => None,
        };
        join_all(tried.iter().map(udp::Reached::close)).await;
        (tried, session)
    };
    let over_tcp = join_all(addresses.iter().map(|to| tcp::reach(*to, &host, &witness)));
    let gateway = portal::redirects(&addresses, &host);
    let carriers: Vec<_> = match (choice, &proxy) {
        (TransportChoice::Udp, _) => Vec::new(),
        // It finds the relay by itself.
        (_, Some(_)) => vec![addresses.first().copied()],
        (_, None) => addresses.iter().copied().map(Some).collect(),
    };
    let to = carrier::To {
        host: &host,
        port,
        proxy: proxy.as_ref(),
    };
    let carried = carriers.into_iter();
    let carried = join_all(carried.map(|address| carrier::reach(address, to, &witness)));
    let ((udp, session), tcp, carried, gateway) =
        tokio::join!(over_udp, over_tcp, carried, gateway);
    let session = match (
        session,
        carried.iter().find_map(carrier::Reached::connection),
    ) {
        (Some(session), _) => session,
        (None, Some(connection)) => {
            let path = Row::skipped(path::NAME, "over tcp there is none to find out");
            [path, token::row(given, &token, connection).await]
        }
        (None, None) => [path::unknown(), token::unknown(&token)],
    };
    join_all(carried.iter().map(carrier::Reached::close)).await;

    let by_udp: Vec<_> = udp
        .iter()
        .zip(&tcp)
        .map(|(udp, tcp)| udp.row(tcp.is_connected()))
        .collect();
    let by_tcp: Vec<_> = if carried.is_empty() {
        tcp.iter().map(tcp::Reached::row).collect()
    } else {
        let beside = tcp.iter().map(|tcp| (!tcp.is_trusted()).then(|| tcp.row()));
        let carried = carried.iter().zip(beside.chain(repeat(None)));
        carried
            .map(|(carried, beside)| carried.row(beside))
            .collect()
    };
    let is_well = |rows: &[Row]| rows.iter().any(|row| row.verdict == Verdict::Ok);
    let (by_udp_well, by_tcp_well) = (is_well(&by_udp), is_well(&by_tcp));
    let is_carried = carried.iter().any(|carried| carried.connection().is_some());
    if is_carried {
        // The proxy knows what this machine does not.
        rows = rows.into_iter().map(|row| softened(row, true)).collect();
    }
    rows.extend(by_udp.into_iter().map(|mut row| {
        if !by_udp_well && is_carried {
            row.seen.push_str("; agents go over tcp");
        }
        softened(row, by_udp_well || is_carried)
    }));
    let needs_tcp = choice == TransportChoice::Tcp;
    let is_enough = (by_udp_well && !needs_tcp) || by_tcp_well;
    rows.extend(by_tcp.into_iter().map(|row| softened(row, is_enough)));
    rows.push(portal::row(&tcp, gateway));
    let now = (setting.now)();
    let by_quic = Shown::best(udp.iter().map(udp::Reached::shown));
    let by_tcp = Shown::best(
        (carried.iter().map(carrier::Reached::shown)).chain(tcp.iter().map(tcp::Reached::shown)),
    );
    let (by_quic, by_tcp) = (by_quic.as_ref(), by_tcp.as_ref());
    let expected = Expected {
        host: &host,
        trust: &trust,
        is_given,
    };
    rows.push(trust::row(expected, by_quic, by_tcp, now));
    let date = tcp.iter().find_map(tcp::Reached::date);
    rows.push(clock::row(date, by_quic.or(by_tcp), now));
    rows.extend(session);
    if !setting.silences.is_empty() {
        let to = udp.iter().find_map(udp::Reached::address);
        rows.push(
            nat::nat(
                given,
                token.ok().flatten().as_ref(),
                to,
                &host,
                &witness,
                setting.silences,
            )
            .await,
        );
    }
    rows
}

/// The addresses of the relay, as many as are looked at.
async fn resolve(host: &str, port: u16) -> (Row, Vec<SocketAddr>) {
    if let Ok(ip) = host.parse::<IpAddr>() {
        let row = Row::ok(NAME, format!("{ip} is an address: no name to look up"));
        return (row, vec![(ip, port).into()]);
    }
    let unresolved = |why: &str| {
        let seen = format!("{host} cannot be resolved: {why}");
        let fix = "check the spelling, that this machine is online, and that its name server works";
        (Row::fail(NAME, seen, fix), Vec::new())
    };
    let mut addresses: Vec<_> = match timeout(LOOKUP, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return unresolved(&error.to_string()),
        Err(_) => return unresolved("the name server does not answer"),
    };
    // As the agent goes through them.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    if addresses.is_empty() {
        return unresolved("it has no address");
    }
    let list = |is_v6| {
        let ips = addresses.iter().filter(|a| a.is_ipv6() == is_v6);
        let ips: Vec<_> = ips.map(|address| address.ip().to_string()).collect();
        match (ips.is_empty(), is_v6) {
            (false, _) => ips.join(", "),
            (true, true) => "no IPv6 address".to_owned(),
            (true, false) => "no IPv4 address".to_owned(),
        }
    };
    let row = Row::ok(NAME, format!("{host} has {}; {}", list(false), list(true)));
    addresses.truncate(MAX_ADDRESSES);
    (row, addresses)
}

/// A failure beside an address that works is none: the agent takes that one.
fn softened(mut row: Row, other_works: bool) -> Row {
    if other_works && row.verdict == Verdict::Fail {
        row.verdict = Verdict::Warn;
    }
    row
}

fn with(mut rows: Vec<Row>, row: Row) -> Vec<Row> {
    rows.push(row);
    rows
}

const NAME: &str = "relay name";
const TCP: &str = "tcp";
const TRUST: &str = "relay trust";
const TRUST_FIX: &str = "trust the relay with --pin or --relay-ca";
const LOOKUP: Duration = Duration::from_millis(2500);
/// Of each row for an address there are two.
const MAX_ADDRESSES: usize = 4;
