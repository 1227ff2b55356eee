//! Pebble, a certificate authority for tests (Debian: `pebble`), with the DNS server that it asks. Both are
//! as unpleasant as they can be: half of all nonces are refused, it looks at challenges after a pause, and it
//! forgets what it has verified.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use adit_shared::quic::tls::read_certificates;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::program::{Program, run};
use crate::world::Scratch;

/// What is asked of an authority that is to be started.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// How long its certificates are valid, in seconds.
    pub life: u32,
    /// Whether it can reach the relay's port for handshakes.
    pub reaches_https: bool,
    /// Whether it can reach the relay's port for requests without TLS.
    pub reaches_http: bool,
    /// Which DNS server it asks; one of its own if there is none.
    pub dns: Option<SocketAddr>,
    /// Whether it only takes accounts that it knows otherwise.
    pub binds: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            life: 3600,
            reaches_https: true,
            reaches_http: true,
            dns: None,
            binds: false,
        }
    }
}

/// A certificate authority that runs, for one relay.
#[derive(Debug)]
pub struct Pebble {
    state: Scratch,
    /// Where its directory is.
    pub directory: String,
    /// Where the relay must listen without TLS.
    pub http: u16,
    /// Where the relay must listen with TLS.
    pub https: u16,
    /// Which DNS server it asks.
    pub resolver: SocketAddr,
    management: u16,
    dns: u16,
    programs: [Program; 2],
}

/// The id and key of an account that is known otherwise.
pub const BOUND: (&str, &str) = (
    "kid-1",
    "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W",
);

impl Pebble {
    /// Starts it.
    pub async fn start(wish: Wish) -> Self {
        let state = Scratch::new();
        let dir = state.path();
        make_certificates(dir);
        let [http, https, wfe, management, dns, dns_management] = free_ports();
        let at = |port: u16| format!("127.0.0.1:{port}");
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, dns));
        let resolver = wish.dns.unwrap_or(own);
        let config = json!({ "pebble": {
            "listenAddress": at(wfe),
            "managementListenAddress": at(management),
            "certificate": dir.join("server.pem"),
            "privateKey": dir.join("server.key"),
            // Nothing listens for such requests and handshakes on the port of its own directory.
            "httpPort": if wish.reaches_http { http } else { wfe },
            "tlsPort": if wish.reaches_https { https } else { wfe },
            "ocspResponderURL": "",
            "externalAccountBindingRequired": wish.binds,
            "externalAccountMACKeys": { (BOUND.0): BOUND.1 },
            "certificateValidityPeriod": wish.life,
        }});
        let path = dir.join("pebble.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let mut command = Command::new("pebble-challtestsrv");
        command
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &at(dns), "-management", &at(dns_management)])
            .args(["-defaultIPv6", "", "-defaultIPv4", "127.0.0.1"]);
        let mut names = Program::start(command);
        names
            .line("ready", |line| {
                line.contains("Starting management").then_some(())
            })
            .await;
        let mut command = Command::new("pebble");
        command
            .arg("-config")
            .arg(&path)
            .args(["-dnsserver", &resolver.to_string()])
            .env("PEBBLE_WFE_NONCEREJECT", "50")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_VA_SLEEPTIME", "2");
        let mut authority = Program::start(command);
        authority
            .line("ready", |line| {
                line.contains("ACME directory available").then_some(())
            })
            .await;
        Self {
            state,
            directory: format!("https://127.0.0.1:{wfe}/dir"),
            http,
            https,
            management,
            resolver,
            dns: dns_management,
            programs: [names, authority],
        }
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.state.path()
    }

    /// The CA of its directory's server.
    pub fn ca(&self) -> PathBuf {
        self.dir().join("ca.pem")
    }

    /// The roots of what it issues.
    pub async fn roots(&self) -> Vec<CertificateDer<'static>> {
        let pem = self.ask("roots/0").await;
        let path = self.dir().join("root.pem");
        std::fs::write(&path, pem).unwrap();
        read_certificates(&path).unwrap()
    }

    /// What it knows about a certificate, by serial number in hex.
    pub async fn status(&self, serial: &str) -> String {
        let text = self.ask(&format!("cert-status-by-serial/{serial}")).await;
        let status: Value = serde_json::from_str(&text).unwrap();
        status["Status"].as_str().unwrap().to_owned()
    }

    /// What its directory says.
    pub async fn listing(&self) -> Value {
        let text = curl(&["--insecure", &self.directory]).await;
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until it begins to ask about a host, which takes it a moment. Each call waits for another time.
    pub async fn asks(&mut self) {
        let is_asking = |line: &str| line.contains("Pulled a task").then_some(());
        self.programs[1].line("a question", is_asking).await;
    }

    /// Has its DNS server lead this host to `address`, and not to 127.0.0.1 as all others.
    pub async fn lead(&self, host: &str, address: &str) {
        let body = json!({ "host": host, "addresses": [address] }).to_string();
        // Those that were added before stay otherwise.
        for what in ["clear-a", "add-a"] {
            let url = format!("http://127.0.0.1:{}/{what}", self.dns);
            curl(&["--data", &body, &url]).await;
        }
    }

    /// A program that sets DNS records, and notes in a file how it was called. To remove some takes it a second,
    /// and then it removes all of that name.
    pub fn hook(&self) -> (PathBuf, PathBuf) {
        use std::os::unix::fs::PermissionsExt as _;
        let (program, calls) = (self.dir().join("hook"), self.dir().join("calls"));
        let script = format!(
            "#!/bin/sh -e\n\
             case $1 in\n\
             present) curl -sS -d '{{\"host\":\"'$2'\",\"value\":\"'$3'\"}}' http://127.0.0.1:{dns}/set-txt;;\n\
             cleanup) sleep 1; curl -sS -d '{{\"host\":\"'$2'\"}}' http://127.0.0.1:{dns}/clear-txt;;\n\
             esac\n\
             echo \"$@\" >> {calls}\n",
            dns = self.dns,
            calls = calls.display(),
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        (program, calls)
    }

    async fn ask(&self, path: &str) -> String {
        let url = format!("https://127.0.0.1:{}/{path}", self.management);
        curl(&["--insecure", &url]).await
    }
}

async fn curl(args: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "20"]);
    command.args(args);
    run(command).await
}

/// A CA, and a certificate of it for servers on loopback.
fn make_certificates(dir: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let params = CertificateParams::new(names).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = params.signed_by(&key, &issuer).unwrap();
    for (file, pem) in [
        ("ca.pem", ca.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(dir.join(file), pem).unwrap();
    }
}

/// Ports that were free a moment ago: pebble must be told the relay's, and cannot say its own.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let bound = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    bound.map(|listener| listener.local_addr().unwrap().port())
}
