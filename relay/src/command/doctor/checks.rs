//! The checks of `relay doctor`, in the order in which they are shown.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, SystemTime};

use adit_shared::certificate;
use adit_shared::checkup::{Row, chain, directory, udp_buffers, udp_offload};
use adit_shared::name::Host;
use adit_shared::quic::tls::read_certificates;
use rusqlite::{Connection, OpenFlags};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

use crate::config::{Acme, Certificate, Config, Mode};
use crate::edge::tls::Certificates;
use crate::store::check::{Health, check};
use crate::store::{self, certificates, orders};

/// Everything that can be looked at from here.
pub(super) fn all(config: &Config) -> Vec<Row> {
    let mut rows = vec![settings(config)];
    rows.extend(config.http.map(|address| tcp("http", address)));
    rows.extend(config.https.map(|address| tcp("https", address)));
    rows.extend(config.quic.map(udp));
    rows.extend(config.admin.map(|address| tcp("admin", address)));
    rows.push(directory::row(&config.state_dir, OWN));
    rows.extend(database(config));
    rows.push(shown(config));
    rows.extend([udp_buffers(), udp_offload()]);
    rows.extend(open_files(config));
    rows
}

fn settings(config: &Config) -> Row {
    let mode = match config.mode {
        Mode::Local => "local mode",
        Mode::Public => "public mode",
    };
    let file = match &config.file {
        Some(file) => file.display().to_string(),
        None => "no file".into(),
    };
    Row::ok(
        "config",
        format!("{mode}, domain {}, {file}", config.domain),
    )
}

fn tcp(check: &'static str, address: SocketAddr) -> Row {
    listening(check, address, "tcp", TcpListener::bind(address).map(drop))
}

fn udp(address: SocketAddr) -> Row {
    listening("quic", address, "udp", UdpSocket::bind(address).map(drop))
}

fn listening(
    check: &'static str,
    address: SocketAddr,
    protocol: &str,
    bound: io::Result<()>,
) -> Row {
    let Err(error) = bound else {
        return Row::ok(check, format!("{protocol} {address} is free"));
    };
    let detail = format!("cannot listen on {protocol} {address}: {error}");
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => Row::warn(
            check,
            detail,
            format!(
                "fine if this relay runs already; else see who has it: ss -lnp 'sport = {port}'"
            ),
        ),
        io::ErrorKind::PermissionDenied => Row::fail(
            check,
            detail,
            format!(
                "allow ports below 1024: `sudo sysctl -w net.ipv4.ip_unprivileged_port_start={port}`, \
                 or AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit"
            ),
        ),
        _ => Row::fail(
            check,
            detail,
            format!("choose another address with --{check}"),
        ),
    }
}

fn database(config: &Config) -> Vec<Row> {
    let health = match check(&config.state_dir) {
        Ok(health) => health,
        Err(error) => {
            let fix = "restore it from a backup, or move it away to begin with none";
            return vec![Row::fail("database", chain(&error), fix)];
        }
    };
    let (row, tokens) = match health {
        Health::Absent => (Row::ok("database", "not there yet; the relay makes it"), 0),
        Health::Sound { tokens } => (Row::ok("database", "consistent"), tokens),
    };
    let tokens = match (tokens, config.open) {
        (_, true) => Row::ok("tokens", "not needed: agents connect without one"),
        (0, false) => Row::warn(
            "tokens",
            "none: no agent can connect",
            "relay token create, with the same --domain, --state-dir or --config",
        ),
        (some, false) => Row::ok("tokens", format!("{some} good")),
    };
    vec![row, tokens]
}

/// The certificate that the relay shows.
fn shown(config: &Config) -> Row {
    const CHECK: &str = "certificate";
    if let Certificate::Acme(acme) = &config.certificate {
        return ordered(config, acme);
    }
    let Certificate::Files { cert, key } = &config.certificate else {
        let detail = "from the relay's own development CA";
        return match config.mode {
            Mode::Local => Row::ok(CHECK, detail),
            Mode::Public => Row::warn(
                CHECK,
                format!("{detail}, which browsers and webhook senders do not trust"),
                format!(
                    "leave out --acme-directory off, or give --cert and --key with a certificate \
                     for {0} and *.{0}",
                    config.domain
                ),
            ),
        };
    };
    if let Err(error) = Certificates::from_files(cert, key) {
        let fix = "give the PEM files of one certificate, readable for the relay's user";
        return Row::fail(CHECK, chain(&error), fix);
    }
    let leaf = match read_certificates(cert) {
        Ok(mut chain) => chain.swap_remove(0),
        Err(error) => return Row::fail(CHECK, chain(&error), "give a PEM file"),
    };
    let missing = uncovered(&leaf, &config.domain);
    if !missing.is_empty() {
        return Row::fail(
            CHECK,
            format!(
                "{} is not valid for {}",
                cert.display(),
                missing.join(" and ")
            ),
            "have one issued for both: a wildcard needs the DNS-01 challenge",
        );
    }
    let Some(until) = certificate::validity(&leaf).map(|range| *range.end()) else {
        return Row::warn(
            CHECK,
            "its dates are not understood",
            "look at it with another program",
        );
    };
    let date = jiff::Timestamp::try_from(until).map_or_else(|_| "?".into(), |t| t.to_string());
    match until.duration_since(SystemTime::now()) {
        Err(_) => Row::fail(CHECK, format!("expired at {date}"), RENEW),
        Ok(left) if left < SOON => Row::warn(CHECK, format!("expires at {date}"), RENEW),
        Ok(_) => Row::ok(CHECK, format!("{}, valid until {date}", cert.display())),
    }
}

/// What an authority issues.
fn ordered(config: &Config, acme: &Acme) -> Row {
    const CHECK: &str = "certificate";
    let server = &acme.directory;
    let path = store::path(&config.state_dir);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let read = || {
        let db = Connection::open_with_flags(path, flags)?;
        Ok::<_, rusqlite::Error>((certificates::all(&db)?, orders::all(&db)?))
    };
    // The row about the database says when it cannot be read.
    let (issued, failed) = read().unwrap_or_default();
    if let Some(order) = failed.iter().find(|order| !order.error.is_empty()) {
        return Row::warn(
            CHECK,
            format!("the last order for {} failed: {}", order.name, order.error),
            "relay certificate list, with the same --domain, --state-dir or --config",
        );
    }
    let good = issued.iter().filter(|one| one.not_after > store::now());
    match good.count() {
        0 => Row::ok(CHECK, format!("will be ordered from {server}")),
        some => Row::ok(CHECK, format!("{some} issued by {server}")),
    }
}

/// Which of the names that visitors use the certificate does not name.
fn uncovered(leaf: &CertificateDer<'_>, domain: &Host) -> Vec<String> {
    let covers = |name: &str| {
        let name = ServerName::try_from(name);
        let leaf = ParsedCertificate::try_from(leaf);
        matches!((leaf, name), (Ok(leaf), Ok(name)) if verify_server_name(&leaf, &name).is_ok())
    };
    let below = format!("*.{domain}");
    let names = [
        (domain.to_string(), domain.to_string()),
        (format!("any-name.{domain}"), below),
    ];
    let missing = names.into_iter().filter(|(example, _)| !covers(example));
    missing.map(|(_, name)| name).collect()
}

/// Every visitor costs a file descriptor. Only Linux says the limit without unsafe code.
fn open_files(config: &Config) -> Option<Row> {
    const CHECK: &str = "open files";
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    let soft = line.split_whitespace().nth(3)?;
    let wanted = config.limits.visitors + SPARE_FILES;
    let enough = soft == "unlimited" || soft.parse::<usize>().is_ok_and(|soft| soft >= wanted);
    Some(if enough || config.mode == Mode::Local {
        Row::ok(CHECK, format!("{soft} may be open"))
    } else {
        Row::warn(
            CHECK,
            format!("{soft} may be open, and limits.visitors asks for {wanted}"),
            format!("LimitNOFILE={wanted} in a systemd unit, or ulimit -n {wanted}"),
        )
    })
}

const OWN: &str = "give it to the user that runs the relay, or choose another with --state-dir";
const RENEW: &str = "renew it; a running relay reads its files again within ten minutes";

/// Enough time to find out why a renewal does not happen by itself.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Listeners, database, log and the like.
const SPARE_FILES: usize = 64;
