//! Certificates that the relay orders by itself, from an authority that none of us wrote.

mod crash;
mod life;
mod renewal;
mod suggestion;
mod update;
mod ways;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_shared::certificate;
use adit_shared::quic::tls::{self, Trust};
use adit_tests::pebble::{Pebble, Wish};
use adit_tests::program::{Program, ours, run};
use adit_tests::visit::{Answer, parse};
use adit_tests::world::Scratch;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const DOMAIN: &str = "relay.test";

/// A relay in public mode that orders from pebble.
struct Public {
    program: Program,
    state: Arc<Scratch>,
    quic: u16,
    admin: SocketAddr,
    https: u16,
    trust: Trust,
}

impl Public {
    async fn start(pebble: &Pebble, more: &[&str]) -> Self {
        Self::start_in(Arc::new(Scratch::new()), pebble, more).await
    }

    async fn start_in(state: Arc<Scratch>, pebble: &Pebble, more: &[&str]) -> Self {
        let mut command = ours("relay");
        command.args(["--json", "--domain", DOMAIN]);
        command.args(settings(pebble)).args(["--state-dir"]);
        command.arg(state.path()).args(more);
        if !more.contains(&"--acme-directory") {
            command.args(["--acme-directory", &pebble.directory]);
        }
        if !more.contains(&"--acme-resolver") {
            command.args(["--acme-resolver", &pebble.resolver.to_string()]);
        }
        let mut program = Program::start(command);
        let ready: serde_json::Value = program
            .line("ready", |line| serde_json::from_str(line).ok())
            .await;
        let address = |name: &str| ready[name].as_str().unwrap().parse::<SocketAddr>().unwrap();
        Self {
            quic: address("quic").port(),
            admin: address("admin"),
            https: pebble.https,
            trust: Trust::Roots(pebble.roots().await),
            program,
            state,
        }
    }

    /// An agent that asks for `host`, and is online.
    async fn agent(&self, args: &[&str]) -> Program {
        let state = self.state.path();
        let token = state.join("token");
        if !token.exists() {
            let mut create = ours("relay");
            create.args(["token", "create", "--name", "**", "--state-dir"]);
            create.arg(state);
            std::fs::write(&token, run(create).await).unwrap();
        }
        let mut command = ours("agent");
        command
            .args(["--relay", &format!("localhost:{}", self.quic)])
            .arg("--relay-ca")
            .arg(state.join("ca.pem"))
            .arg("--token-file")
            .arg(token)
            .arg("--state-dir")
            .arg(state.join("agent"))
            .args(["--echo", "--inspect", "off"])
            .args(args);
        let mut agent = Program::start(command);
        agent
            .line("its URL", |line| line.starts_with("http").then_some(()))
            .await;
        agent
    }

    /// A handshake for `host`, if what the relay shows is trusted.
    async fn handshake(&self, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let config = tls::client(&self.trust, &[b"http/1.1"]).unwrap();
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.https)).await?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    /// What is shown for `host`, once it is trusted.
    async fn trusted(&self, host: &str) -> CertificateDer<'static> {
        let mut found = None;
        wait(&format!("a certificate for {host}"), async || {
            found = self.handshake(host).await.ok().map(|s| leaf(&s));
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// A handshake for `host` that was just claimed. It waits for the certificate; only on a busy machine that
    /// comes later than handshakes wait.
    async fn first(&self, host: &str) -> TlsStream<TcpStream> {
        let start = Instant::now();
        if let Err(error) = self.handshake(host).await {
            assert!(start.elapsed() >= HANDSHAKE, "{host}: {error}, at once");
            self.trusted(host).await;
        }
        self.handshake(host).await.unwrap()
    }

    /// Waits until something else is shown for `host`.
    async fn replaced(&self, host: &str, old: &CertificateDer<'_>) -> CertificateDer<'static> {
        let mut new = old.clone().into_owned();
        wait(&format!("another certificate for {host}"), async || {
            new = self.trusted(host).await;
            new != *old
        })
        .await;
        new
    }

    /// What its operators see at this path.
    async fn look(&self, path: &str) -> Answer {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        parse(&bytes)
    }

    /// A metric.
    async fn metric(&self, name: &str) -> f64 {
        let text = self.look("/metrics").await.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} in {text}"))
            .trim()
            .parse()
            .unwrap()
    }

    /// Has the certificate of this name revoked.
    async fn revoke(&self, name: &str, pebble: &Pebble) {
        let mut revoke = ours("relay");
        revoke
            .args(["certificate", "revoke", name, "--domain", DOMAIN])
            .args(settings(pebble))
            .args(["--acme-directory", &pebble.directory, "--state-dir"])
            .arg(self.state.path());
        run(revoke).await;
    }

    async fn command(&self, words: &[&str]) -> String {
        let mut command = ours("relay");
        command
            .args(words)
            .arg("--state-dir")
            .arg(self.state.path());
        run(command).await
    }
}

/// How long a handshake waits for a first certificate.
const HANDSHAKE: Duration = Duration::from_secs(8);

/// How the authority asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Handshake,
    Request,
    Dns,
}

impl Way {
    /// An authority that can ask in no other way about single hosts.
    async fn pebble(self) -> Pebble {
        Pebble::start(Wish {
            reaches_https: self == Self::Handshake,
            reaches_http: self == Self::Request,
            ..Wish::default()
        })
        .await
    }

    /// What the certificate for the domain is called.
    fn own(self) -> String {
        match self {
            Self::Handshake | Self::Request => DOMAIN.to_owned(),
            Self::Dns => format!("*.{DOMAIN}"),
        }
    }
}

/// How an authority calls a certificate that is asked about.
fn serial(leaf: &CertificateDer<'_>) -> String {
    let (_, serial) = certificate::identifier(leaf).unwrap();
    let serial: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
    serial.trim_start_matches('0').to_owned()
}

/// Where the relay listens, and how it believes pebble.
fn settings(pebble: &Pebble) -> Vec<String> {
    let at = |port: u16| format!("127.0.0.1:{port}");
    let ca = pebble.ca().to_str().unwrap().to_owned();
    let pairs = [
        ("--http", at(pebble.http)),
        ("--https", at(pebble.https)),
        ("--quic", at(0)),
        ("--admin", at(0)),
        ("--acme-ca", ca),
        ("--log-format", "text".into()),
    ];
    pairs
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
}

fn leaf(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].clone().into_owned()
}

/// The status of a request for `host` on this connection.
async fn ask(stream: &mut TlsStream<TcpStream>, host: &str) -> String {
    let request = format!("HEAD / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head[..12].to_vec()).unwrap()
}

/// Ends when `condition` holds. An order with refused nonces and pauses takes some seconds.
async fn wait(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let work = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while !condition().await {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// A path as a flag has it.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What a hook was called with.
fn calls(file: &PathBuf) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Ends a program as a power cut would.
async fn kill(mut program: Program) {
    program.signal("KILL").await;
    program.ended().await;
}
