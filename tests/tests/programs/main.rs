//! The built programs, driven by programs that none of us wrote. `make test` installs those.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod acme;
mod clients;
mod contract;
mod http3;
mod inbox;
mod inbox_commands;
mod inspector;
mod keys;
mod origins;
mod requests;
mod restarts;
mod transfers;
mod webhooks;

use std::path::PathBuf;

use adit_tests::program::{BuiltRelay, Program, repository};
use tokio::process::Command;

/// A file under `tests/programs`.
fn fixture(path: &str) -> PathBuf {
    repository().join("tests/programs").join(path)
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(installed(fixture(script)));
    command
}

fn python(script: &str) -> Command {
    let mut command = Command::new(installed(fixture(".deps/venv/bin/python")));
    command.arg(fixture(script));
    command
}

fn installed(path: PathBuf) -> PathBuf {
    assert!(
        fixture(".deps/stamp").exists(),
        "run tests/programs/setup, or `make test`"
    );
    path
}

/// Starts an origin of `tests/programs`, and says its port.
async fn origin(mut command: Command) -> (Program, u16) {
    command.env("PORT", "0");
    let mut program = Program::start(command);
    let port = program
        .line("listening", |line| {
            line.strip_prefix("listening ")?.trim().parse().ok()
        })
        .await;
    (program, port)
}

/// A relay, an agent and an origin, all of them programs.
struct Setting {
    relay: BuiltRelay,
    origin: Program,
    _agent: Program,
}

impl Setting {
    /// Serves `origin`, whose URL is `scheme` and its port, as `app`.
    async fn start(scheme: &str, command: Command) -> Self {
        let (origin, port) = origin(command).await;
        Self::before(scheme, origin, port).await
    }

    /// As [`start`](Self::start), for an origin that was told its port.
    async fn start_at(scheme: &str, command: Command, port: u16) -> Self {
        let mut origin = Program::start(command);
        origin
            .line("listening", |line| {
                line.starts_with("listening").then_some(())
            })
            .await;
        Self::before(scheme, origin, port).await
    }

    async fn before(scheme: &str, origin: Program, port: u16) -> Self {
        let relay = BuiltRelay::start(&[]).await;
        let url = format!("{scheme}://127.0.0.1:{port}");
        let agent = relay.agent(&["--subdomain", "app", "--origin", &url]);
        let mut agent = Program::start(agent);
        agent
            .line("its URL", |line| line.starts_with("http").then_some(()))
            .await;
        Self {
            relay,
            origin,
            _agent: agent,
        }
    }

    /// The public URL without TLS.
    fn http(&self) -> String {
        format!("http://app.localhost:{}", self.relay.address("http").port())
    }

    /// The public URL with TLS.
    fn https(&self) -> String {
        format!(
            "https://app.localhost:{}",
            self.relay.address("https").port()
        )
    }

    /// The public URL for visitors that use HTTP/3 without being told.
    fn https_over_quic(&self) -> String {
        let port = self.relay.address("quic").port();
        format!("https://app.localhost:{port}")
    }

    /// The relay's development CA.
    fn ca(&self) -> String {
        self.relay.ca().to_str().unwrap().to_owned()
    }

    fn curl(&self) -> Command {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--cacert",
            &self.ca(),
        ]);
        command
    }
}
