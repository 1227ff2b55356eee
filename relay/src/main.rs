//! The `relay` program: read what was typed, start, say so, wait for a signal, drain.

use std::io::{self, Write as _};
use std::process::ExitCode;

use adit_relay::args::Args;
use adit_relay::command;
use adit_relay::config::{Config, Mode, local_state_dir};
use adit_relay::{Ready, Relay};
use adit_shared::{files, telemetry};
use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The system's allocator gives memory back between two large reads, and takes it again for the next:
/// with this one bulk costs a third less.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = Args::read();
    let result = match args.command {
        Some(command) => command::run(command),
        None => Config::load(&args.serve)
            .map_err(Into::into)
            .and_then(serve),
    };
    result.unwrap_or_else(|error| {
        // Without a place to print to, the code has to do.
        let _ = writeln!(io::stderr(), "relay: {error:#}");
        command::exit_code(&error)
    })
}

/// What is logged unless somebody says otherwise. The libraries warn of whatever a stranger sends them, as
/// often as it is sent.
const LOG: &str = "info,h2=error,quinn_proto=error";

fn serve(config: Config) -> anyhow::Result<ExitCode> {
    telemetry::init(config.log_format, LOG);
    check_files(config.limits.visitors);
    if let Some(file) = &config.file {
        let _ = writeln!(
            io::stderr(),
            "using the configuration file {}",
            file.display()
        );
    }
    // One thread: QUIC costs a third of the CPU that it costs where threads steal work.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(async {
        let json = config.json;
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let relay = adit_relay::start(config).await?;
        announce(relay.ready(), json)?;
        signals.first_then_drain(relay).await
    });
    // What is left, if anything, was given up.
    runtime.shutdown_background();
    code
}

/// Says when there may be more visitors than files.
fn check_files(visitors: usize) {
    let allowed = files::raise_limit();
    if allowed < visitors as u64 + SPARE_FILES {
        tracing::warn!(
            allowed,
            visitors,
            "the system allows fewer files than visitors; see ulimit -n"
        );
    }
}

/// Descriptors for everything that is no visitor.
const SPARE_FILES: u64 = 64;

/// Says on stdout that the relay is ready, in one line for programs or a few for people.
fn announce(ready: &Ready, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        let text = |address: Option<std::net::SocketAddr>| address.map(|a| a.to_string());
        let line = serde_json::json!({
            "event": "ready",
            "http": text(ready.http),
            "https": text(ready.https),
            "quic": text(ready.quic),
            "admin": text(ready.admin),
            "domain": ready.domain.as_str(),
            "pin": ready.pin.map(|pin| pin.to_string()),
            "ca": ready.ca,
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(out, "{}", ready_line(ready))?;
    }
    out.flush()
}

/// The command to start an agent with, and where everything is.
fn ready_line(ready: &Ready) -> String {
    let mut line = match ready.quic {
        Some(quic) => {
            let ip = quic.ip();
            let host = match ready.mode {
                Mode::Public => ready.domain.to_string(),
                Mode::Local if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
                Mode::Local if ip.is_ipv6() => format!("[{ip}]"),
                Mode::Local => ip.to_string(),
            };
            let port = match quic.port() {
                443 => String::new(),
                port => format!(":{port}"),
            };
            format!("ready: agent --port 3000 --relay {host}{port}")
        }
        None => "ready, but not for agents (--quic off)".to_owned(),
    };
    // On this machine the agent finds a CA by itself, where it usually is.
    let usual = local_state_dir().map(|dir| dir.join("ca.pem")).ok();
    let is_found = ready.mode == Mode::Local && ready.ca == usual;
    if let Some(pin) = ready.pin.filter(|_| ready.needs_pin && !is_found) {
        line.push_str(&format!(" --pin {pin}"));
    }
    if !ready.open {
        line.push_str(" --token-file FILE");
    }
    let listeners = [
        ("http", ready.http),
        ("https", ready.https),
        ("quic", ready.quic),
        ("admin", ready.admin),
    ];
    let listed: Vec<_> = listeners
        .iter()
        .filter_map(|(name, address)| Some(format!("{name} {}", (*address)?)))
        .collect();
    format!("{line}   ({})", listed.join(", "))
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The number of the next signal that asks the program to end.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
        }
    }

    /// The first signal drains, the second ends at once.
    async fn first_then_drain(&mut self, mut relay: Relay) -> anyhow::Result<ExitCode> {
        tokio::select! {
            _ = self.next() => {}
            lost = relay.failed() => return Err(lost.into()),
        }
        let _ = writeln!(io::stderr(), "draining; once more to stop at once");
        Ok(tokio::select! {
            _ = relay.drain() => ExitCode::SUCCESS,
            number = self.next() => ExitCode::from(128 + number),
        })
    }
}
