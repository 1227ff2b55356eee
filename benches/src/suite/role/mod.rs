//! What the suite's own processes do: `bench role NAME …`, started by the suite and by nobody else.
//!
//! A role says on one line of stdout, as JSON, where it is, once that is ready. Then it answers each
//! line on stdin with one line on stdout, and ends when its stdin is closed: whatever becomes of the
//! suite, none of them stays.

mod agents;
mod exec;
mod flood;
mod hop;
mod origin;
mod path;
mod quic;

use std::future::Future;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub(crate) use self::flood::FloodKind;
pub(crate) use self::path::Way;
pub(crate) use self::quic::{Bulk, Small};

/// What a process of the suite does.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Another program, which ends when the suite does.
    Exec {
        /// The program and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<std::ffi::OsString>,
    },
    /// The server behind everything.
    Origin,
    /// A reverse proxy of one hop, the ceiling of a relay's public part.
    Hop {
        /// Where the origin is.
        origin: SocketAddr,
        /// Where its certificates are kept.
        #[arg(long)]
        state: PathBuf,
    },
    /// The listening end of a bare QUIC connection, the ceiling of a tunnel.
    QuicServer {
        /// Where its certificates are kept.
        #[arg(long)]
        state: PathBuf,
    },
    /// The dialling end.
    QuicClient {
        /// The listening end.
        server: SocketAddr,
        /// Whose certificate it must have.
        #[arg(long)]
        ca: PathBuf,
    },
    /// Many agents in one process.
    Agents {
        /// The relay's address for agents.
        relay: SocketAddr,
        /// Its CA.
        #[arg(long)]
        ca: PathBuf,
        /// How many.
        #[arg(long)]
        count: u64,
    },
    /// Somebody who floods a relay.
    Flood(flood::Target),
    /// A way for datagrams that is as bad as asked.
    Path {
        /// Where it leads.
        to: SocketAddr,
    },
}

/// Does it, on one thread, until stdin is closed.
///
/// # Errors
///
/// Whatever went wrong; the suite shows it with the case that needed the process.
pub(crate) fn run(role: Role) -> anyhow::Result<()> {
    if let Role::Exec { command } = role {
        return exec::run(&command);
    }
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        match role {
            Role::Exec { .. } => Ok(()),
            Role::Origin => origin::run().await,
            Role::Hop { origin, state } => hop::run(origin, &state).await,
            Role::QuicServer { state } => quic::server(&state).await,
            Role::QuicClient { server, ca } => quic::client(server, &ca).await,
            Role::Agents { relay, ca, count } => agents::run(relay, &ca, count).await,
            Role::Flood(target) => flood::run(target).await,
            Role::Path { to } => path::run(to).await,
        }
    });
    runtime.shutdown_background();
    done
}

/// Thousands of connections need more files than the usual soft limit.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, the case that needs it says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// One line for the suite.
fn say(line: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Answers the suite's lines until there are no more.
async fn obey<F, A>(mut answer: F) -> anyhow::Result<()>
where
    F: FnMut(Value) -> A,
    A: Future<Output = anyhow::Result<Value>>,
{
    let mut lines = orders();
    while let Some(line) = lines.recv().await {
        let order = serde_json::from_str(&line).context("an order that is no JSON")?;
        let said = match answer(order).await {
            Ok(said) => said,
            Err(error) => serde_json::json!({ "error": format!("{error:#}") }),
        };
        say(&said)?;
    }
    Ok(())
}

/// Ends when the suite closes our stdin.
async fn until_closed() -> anyhow::Result<()> {
    obey(|_| async { Ok(Value::Null) }).await
}

#[allow(
    clippy::disallowed_methods,
    reason = "a process that ends with its stdin drains nothing"
)]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

/// The lines on stdin. A thread of its own waits for them, so that the end of the suite is noticed also
/// while an order is carried out; then the process ends at once.
fn orders() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if line.is_err() || line.is_ok_and(|line| sender.blocking_send(line).is_err()) {
                break;
            }
        }
        std::process::exit(0);
    });
    receiver
}

/// A listener on a free port of loopback.
fn listener() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let bound = adit_relay::edge::tcp::bind(any).context("cannot listen")?;
    let listener = TcpListener::from_std(bound)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
