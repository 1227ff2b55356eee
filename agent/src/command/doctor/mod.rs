//! `agent doctor`: whether a tunnel with the same options would work, and what to mend if not.
//!
//! Every part is checked, even after one has failed. Nothing is shown that is secret, and nothing
//! is left behind except the state directory.

mod relay;
mod rows;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use adit_shared::identity::Identity;
use adit_shared::quic::{endpoint, tuning};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::{BadConfig, Given, Origin, Tunnel};
pub use rows::{Row, Verdict};

/// Checks everything that `given` asks for. Safe to drop.
pub async fn doctor(given: &Given) -> Vec<Row> {
    let mut rows = options(given);
    rows.extend([state_dir(given), identity(given), token(given)]);
    rows.extend(tunnels(given).await);
    rows.push(receive_buffer());
    rows.push(proxies(|name| env::var_os(name).is_some()));
    rows.extend(relay::relay(given).await);
    rows
}

/// Writes `rows` to stdout, as a table or as JSON lines. True when nothing failed.
///
/// # Errors
///
/// When stdout is closed.
pub fn show(rows: &[Row], json: bool) -> std::io::Result<bool> {
    rows::show(rows, json)?;
    Ok(rows.iter().all(|row| row.verdict != Verdict::Fail))
}

/// Those that no other check is about.
fn options(given: &Given) -> Vec<Row> {
    let errors = [given.inspect().err(), given.drain_grace().err()];
    let rows = errors.iter().flatten();
    rows.map(|error| bad_config("options", error)).collect()
}

fn state_dir(given: &Given) -> Row {
    let check = "state directory";
    let path = match given.state_dir() {
        Ok(path) => path,
        Err(error) => return bad_config(check, &error),
    };
    let probe = path.join(format!(".doctor-{}", std::process::id()));
    let tried = fs::create_dir_all(&path)
        .and_then(|()| fs::write(&probe, b""))
        .and_then(|()| fs::remove_file(&probe));
    match tried {
        Ok(()) => Row::pass(check, path.display()),
        Err(error) => Row::fail(
            check,
            format!("cannot write to {}: {error}", path.display()),
            "give a directory of your own with --state-dir DIR",
        ),
    }
}

fn identity(given: &Given) -> Row {
    let check = "identity";
    let Ok(state_dir) = given.state_dir() else {
        return Row::skip(check, "there is no state directory");
    };
    let path = crate::config::identity_in(&state_dir);
    if !path.exists() {
        return Row::pass(check, "is made on the first run");
    }
    match Identity::load_or_create(&path) {
        Ok(_) if is_exposed(&path) => Row::warn(
            check,
            format!("others can read {}", path.display()),
            format!("chmod 600 {}", path.display()),
        ),
        Ok(identity) => Row::pass(check, identity.fingerprint()),
        Err(error) => Row::fail(check, chain(&error), "move the file away or mend its mode"),
    }
}

fn token(given: &Given) -> Row {
    match given.token() {
        Ok(Some(_)) => Row::pass("token", "is there; the relay decides whether it is good"),
        Ok(None) => Row::skip("token", "none is given"),
        Err(error) => bad_config("token", &error),
    }
}

async fn tunnels(given: &Given) -> Vec<Row> {
    match given.tunnels() {
        Ok(tunnels) if tunnels.is_empty() => vec![Row::skip("origin", "none is given")],
        Ok(tunnels) => {
            let mut rows = Vec::new();
            for tunnel in &tunnels {
                rows.push(origin(tunnel).await);
            }
            rows
        }
        Err(error) => vec![bad_config("origin", &error)],
    }
}

async fn origin(tunnel: &Tunnel) -> Row {
    let check = "origin";
    let origin = &tunnel.origin;
    let tried = async {
        match origin {
            Origin::Echo => Ok(()),
            Origin::Tcp { host, port, .. } => {
                TcpStream::connect((host.as_str(), *port)).await.map(drop)
            }
            Origin::Unix { path } => connect_unix(path).await,
        }
    };
    let why = match timeout(PATIENCE, tried).await {
        Ok(Ok(())) if *origin == Origin::Echo => return Row::pass(check, "the built-in one"),
        Ok(Ok(())) => return Row::pass(check, format!("{origin} accepts connections")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    Row::warn(
        check,
        format!("{origin} accepts no connection: {why}"),
        "start it; the agent waits for it, and visitors get 502 meanwhile",
    )
}

#[cfg(unix)]
async fn connect_unix(path: &Path) -> std::io::Result<()> {
    tokio::net::UnixStream::connect(path).await.map(drop)
}

#[cfg(not(unix))]
async fn connect_unix(_path: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn receive_buffer() -> Row {
    let check = "udp receive buffer";
    let wanted = tuning::SOCKET_BUFFER;
    match endpoint::granted_receive_buffer() {
        Ok(granted) if granted >= wanted => Row::pass(check, kib(granted)),
        Ok(granted) => Row::warn(
            check,
            format!("the system grants {} of {}", kib(granted), kib(wanted)),
            if cfg!(target_os = "linux") {
                format!("sudo sysctl -w net.core.rmem_max={wanted} net.core.wmem_max={wanted}")
            } else {
                "raise the limit for faster downloads; everything works without".to_owned()
            },
        ),
        Err(error) => Row::fail(check, error, "allow this program to open udp sockets"),
    }
}

/// Their values may hold passwords, so only names are shown.
fn proxies(is_set: impl Fn(&OsStr) -> bool) -> Row {
    let set: Vec<_> = PROXIES
        .into_iter()
        .filter(|name| is_set(OsStr::new(name)))
        .collect();
    if set.is_empty() {
        return Row::pass("proxy", "no variable for one is set");
    }
    Row::warn(
        "proxy",
        format!("{} set, and not used: QUIC goes direct", set.join(", ")),
        "if the handshake fails, ask for udp to the relay's port to be let out",
    )
}

fn bad_config(check: &'static str, error: &BadConfig) -> Row {
    Row::fail(check, chain(error), "see agent --help")
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes >> 10)
}

#[cfg(unix)]
fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_path: &Path) -> bool {
    false
}

/// How long anything may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];
