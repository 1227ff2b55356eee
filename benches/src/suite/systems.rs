//! What is measured: the origin alone, ways to it, and our own way. Each in processes of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use super::program::{Program, Usage};

/// A way to the origin that speaks HTTP in public.
#[derive(Debug)]
pub(crate) struct System {
    /// What it is called in tables.
    pub name: &'static str,
    /// The host that a visitor asks for.
    pub host: String,
    /// Where it listens without TLS.
    pub http: SocketAddr,
    /// Where it listens with TLS.
    pub https: Option<SocketAddr>,
    /// Where HTTP/3 would be served.
    pub quic: Option<SocketAddr>,
    /// Who issued its certificate.
    pub ca: Option<PathBuf>,
    /// What it consists of; the origin is not a part of it, and is empty for the origin itself.
    pub programs: Vec<Program>,
}

impl System {
    /// What its programs have used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::sum(&self.programs)
    }
}

/// Where our programs are, and where the suite keeps what it needs for a while.
#[derive(Debug)]
pub(crate) struct Place {
    /// The directory of this program and the others that were built with it.
    pub programs: PathBuf,
    /// A directory that is removed at the end.
    pub scratch: PathBuf,
}

impl Place {
    /// One of our programs.
    pub(crate) fn ours(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.programs.join(name);
        if !path.exists() {
            bail!("{} is not built; `make bench` builds it", path.display());
        }
        Ok(path)
    }

    /// A fresh directory.
    pub(crate) fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.scratch.join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }
}

/// The origin, which is also a system: what can be reached without anything before it.
pub(crate) async fn origin(place: &Place) -> anyhow::Result<(Program, System)> {
    #[derive(Deserialize)]
    struct Ready {
        address: SocketAddr,
    }
    let mut program = Program::role("origin", &["origin"], &place.scratch)?;
    let Ready { address } = program.json().await?;
    let system = System {
        name: "direct",
        host: "127.0.0.1".into(),
        http: address,
        https: None,
        quic: None,
        ca: None,
        programs: Vec::new(),
    };
    Ok((program, system))
}

/// The proxy of one hop.
pub(crate) async fn hop(place: &Place, origin: SocketAddr) -> anyhow::Result<System> {
    #[derive(Deserialize)]
    struct Ready {
        http: SocketAddr,
        https: SocketAddr,
        ca: PathBuf,
    }
    let state = text(&place.directory("hop")?)?;
    let arguments = ["hop", &origin.to_string(), "--state", &state];
    let mut program = Program::role("hop", &arguments, &place.scratch)?;
    let ready: Ready = program.json().await?;
    Ok(System {
        name: "hop",
        host: "localhost".into(),
        http: ready.http,
        https: Some(ready.https),
        quic: None,
        ca: Some(ready.ca),
        programs: vec![program],
    })
}

/// A relay on free ports of loopback.
#[derive(Debug)]
pub(crate) struct Relay {
    /// The program.
    pub program: Program,
    /// Where it is.
    pub ready: Ready,
    state: PathBuf,
}

/// What the relay says when it is ready.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ready {
    /// Visitors, without TLS.
    pub http: SocketAddr,
    /// Visitors, with TLS.
    pub https: SocketAddr,
    /// Agents.
    pub quic: SocketAddr,
    /// Its CA.
    pub ca: PathBuf,
}

impl Relay {
    /// Starts one whose state is kept under `name`, with further arguments.
    pub(crate) async fn start(place: &Place, name: &str, more: &[&str]) -> anyhow::Result<Self> {
        let state = place.directory(name)?;
        let any = "127.0.0.1:0";
        Self::launch(place, name, state, [any; 3], more).await
    }

    /// The same, with one port for agents over UDP and over TCP.
    pub(crate) async fn start_on_one_port(
        place: &Place,
        name: &str,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let state = place.directory(name)?;
        let port = free_port()?.to_string();
        Self::launch(place, name, state, ["127.0.0.1:0", &port, &port], more).await
    }

    /// Kills it, and starts it again on the same ports and state.
    pub(crate) async fn kill_and_start(
        self,
        place: &Place,
        name: &str,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        self.program.kill().await?;
        Self::again(place, name, self.ready, self.state, more).await
    }

    /// Ends it in the orderly way, and starts it again on the same ports and state.
    pub(crate) async fn restart(
        self,
        place: &Place,
        name: &str,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let Self {
            program,
            ready,
            state,
        } = self;
        program.end().await?;
        Self::again(place, name, ready, state, more).await
    }

    async fn again(
        place: &Place,
        name: &str,
        ready: Ready,
        state: PathBuf,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let ports = [ready.http, ready.https, ready.quic].map(|address| address.to_string());
        Self::launch(
            place,
            name,
            state,
            ports.each_ref().map(|p| p.as_str()),
            more,
        )
        .await
    }

    async fn launch(
        place: &Place,
        name: &str,
        state: PathBuf,
        [http, https, quic]: [&str; 3],
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let directory = text(&state)?;
        let mut arguments = vec!["--json", "--http", http, "--https", https, "--quic", quic];
        arguments.extend(["--admin", "off", "--state-dir", &directory]);
        arguments.extend(more);
        let mut program = Program::start(name, &place.ours("relay")?, &arguments, &place.scratch)?;
        let ready = program.json().await?;
        Ok(Self {
            program,
            ready,
            state,
        })
    }
}

/// An agent that serves `origin` as `name` through the relay at `quic`, and is online; with further arguments.
pub(crate) async fn agent(
    place: &Place,
    name: &str,
    origin: SocketAddr,
    quic: SocketAddr,
    ca: &Path,
    more: &[&str],
) -> anyhow::Result<Program> {
    let state = text(&place.directory(&format!("agent-{name}"))?)?;
    let (port, relay, ca) = (
        origin.port().to_string(),
        format!("localhost:{}", quic.port()),
        text(ca)?,
    );
    let mut arguments = vec![
        "--port",
        &port,
        "--relay",
        &relay,
        "--relay-ca",
        &ca,
        "--subdomain",
        name,
        "--state-dir",
        &state,
    ];
    if !more.contains(&"--inspect") {
        // On, as it is by default, and on a port that is free.
        arguments.extend(["--inspect", "127.0.0.1:0"]);
    }
    arguments.extend(more);
    let program_file = place.ours("agent")?;
    let called = format!("agent-{name}");
    let mut program = Program::start(&called, &program_file, &arguments, &place.scratch)?;
    let url = program.line().await?;
    if !url.starts_with("http") {
        bail!("agent said: {url}");
    }
    Ok(program)
}

/// A relay and one agent, each with further arguments.
pub(crate) async fn adit(
    place: &Place,
    name: &str,
    origin: SocketAddr,
    of_relay: &[&str],
    of_agent: &[&str],
) -> anyhow::Result<System> {
    let relay = Relay::start(place, &format!("relay-{name}"), of_relay).await?;
    let Ready {
        http,
        https,
        quic,
        ca,
    } = relay.ready;
    let agent = agent(place, name, origin, quic, &ca, of_agent).await?;
    Ok(System {
        name: "adit",
        host: format!("{name}.localhost"),
        http,
        https: Some(https),
        quic: Some(quic),
        ca: Some(ca),
        programs: vec![relay.program, agent],
    })
}

/// Both ends of a bare QUIC connection; the first is the one to give orders to.
pub(crate) async fn quic(place: &Place) -> anyhow::Result<[Program; 2]> {
    #[derive(Deserialize)]
    struct Ready {
        quic: SocketAddr,
        ca: PathBuf,
    }
    let state = text(&place.directory("quic")?)?;
    let arguments = ["quic-server", "--state", &state];
    let mut server = Program::role("quic-server", &arguments, &place.scratch)?;
    let ready: Ready = server.json().await?;
    let (address, ca) = (ready.quic.to_string(), text(&ready.ca)?);
    let arguments = ["quic-client", &address, "--ca", &ca];
    let mut client = Program::role("quic-client", &arguments, &place.scratch)?;
    client.json::<()>().await?;
    Ok([server, client])
}

/// rathole, which forwards TCP as it is: no HTTP, no encryption.
pub(crate) async fn rathole(
    place: &Place,
    file: &Path,
    origin: SocketAddr,
) -> anyhow::Result<System> {
    ensure!(file.is_file(), "there is no {}", file.display());
    let (control, public) = (free_port()?, free_port()?);
    let server = format!(
        "[server]\nbind_addr = \"{control}\"\ndefault_token = \"bench\"\n\
         [server.services.web]\nbind_addr = \"{public}\"\n"
    );
    let client = format!(
        "[client]\nremote_addr = \"{control}\"\ndefault_token = \"bench\"\n\
         [client.services.web]\nlocal_addr = \"{origin}\"\n"
    );
    let mut programs = Vec::new();
    for (role, config) in [("server", server), ("client", client)] {
        let path = place.scratch.join(format!("rathole-{role}.toml"));
        std::fs::write(&path, config)?;
        let arguments = [&format!("--{role}"), text(&path)?.as_str()].map(String::from);
        let [flag, path] = &arguments;
        let name = format!("rathole-{role}");
        programs.push(Program::start(&name, file, &[flag, path], &place.scratch)?);
    }
    let system = System {
        name: "rathole",
        host: "127.0.0.1".into(),
        http: public,
        https: None,
        quic: None,
        ca: None,
        programs,
    };
    super::transfer::reachable(&system).await?;
    Ok(system)
}

/// frp over QUIC, which does the same job: names by `Host`, HTTP in public.
pub(crate) async fn frp(
    place: &Place,
    directory: &Path,
    origin: SocketAddr,
) -> anyhow::Result<System> {
    let (control, public, quic) = (free_port()?, free_port()?, free_port()?);
    let server = format!(
        "bindAddr = \"127.0.0.1\"\nproxyBindAddr = \"127.0.0.1\"\nbindPort = {}\n\
         quicBindPort = {}\nvhostHTTPPort = {}\nauth.token = \"bench\"\nlog.level = \"warn\"\n",
        control.port(),
        quic.port(),
        public.port()
    );
    let client = format!(
        "serverAddr = \"127.0.0.1\"\nserverPort = {}\nauth.token = \"bench\"\nlog.level = \"warn\"\n\
         transport.protocol = \"quic\"\n[[proxies]]\nname = \"web\"\ntype = \"http\"\n\
         localIP = \"127.0.0.1\"\nlocalPort = {}\ncustomDomains = [\"bench.localhost\"]\n",
        quic.port(),
        origin.port()
    );
    let mut programs = Vec::new();
    for (name, config) in [("frps", server), ("frpc", client)] {
        let path = place.scratch.join(format!("{name}.toml"));
        std::fs::write(&path, config)?;
        let arguments = ["-c", &text(&path)?].map(String::from);
        let [flag, path] = &arguments;
        let file = directory.join(name);
        ensure!(file.is_file(), "there is no {}", file.display());
        programs.push(Program::start(name, &file, &[flag, path], &place.scratch)?);
        if name == "frps" {
            // Its client gives up when there is no server yet.
            super::transfer::listens(public).await?;
        }
    }
    let system = System {
        name: "frp",
        host: "bench.localhost".into(),
        http: public,
        https: None,
        quic: None,
        ca: None,
        programs,
    };
    super::transfer::reachable(&system).await?;
    Ok(system)
}

/// A port for a program that cannot choose one by itself. Another may take it before that does; then
/// the system does not start, and the suite says so.
fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?)
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().context("a path that is not UTF-8")?;
    Ok(text.to_owned())
}
