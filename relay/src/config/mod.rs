//! What a relay is told, complete and valid.
//!
//! Here, and only here, flags, environment, file and defaults become a [`Config`]. Whoever has one
//! need not check it again.

mod acme;
mod error;
mod file;
mod inbox;
mod limits;
mod memory;
mod webhooks;

use std::io::{self, IsTerminal as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use adit_shared::name::Host;
use adit_shared::quantity::Span;
use adit_shared::quic::{Congestion, MAX_SHARDS};
use adit_shared::telemetry::LogFormat;
use adit_shared::webhook::fetch::Way;
use etcetera::BaseStrategy as _;
use ipnet::IpNet;

pub use self::acme::{Acme, Binding, Dns};
pub use self::error::{BAD_CONFIG, ConfigError};
use self::file::{File, Open};
pub use self::limits::Limits;
pub use self::webhooks::Webhooks;
use crate::args::{Listen, Network, Place, Serve};
use crate::queue;

/// Who a relay is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Programs on this machine.
    Local,
    /// The internet.
    Public,
}

/// Where the relay's certificate comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Certificate {
    /// These PEM files.
    Files {
        /// The certificate with its chain.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// An authority that issues them by ACME.
    Acme(Acme),
    /// The relay's own development CA, in the state directory.
    Development,
}

/// Everything that a relay must know to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Who it is for.
    pub mode: Mode,
    /// Names are labels in front of it.
    pub domain: Host,
    /// Where visitors come without TLS.
    pub http: Option<SocketAddr>,
    /// Where visitors come with TLS.
    pub https: Option<SocketAddr>,
    /// Where agents come, over UDP.
    pub quic: Option<SocketAddr>,
    /// Where the operator looks.
    pub admin: Option<SocketAddr>,
    /// Where everything is that must survive.
    pub state_dir: PathBuf,
    /// What the relay shows.
    pub certificate: Certificate,
    /// Whether agents need no token.
    pub open: bool,
    /// How long a request waits for an agent that is away.
    pub hold: Duration,
    /// How long exchanges may take to finish when the relay stops.
    pub drain_grace: Duration,
    /// How what is sent to agents finds its rate.
    pub congestion: Congestion,
    /// Visitors whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Load balancers whose connections begin with a header of the PROXY protocol.
    pub proxy_protocol: Vec<IpNet>,
    /// Whether browsers see a notice before the first page of a tunnel.
    pub notice: bool,
    /// How long a name stays its owner's after the owner left, so that nobody who watches for it
    /// can answer in its place.
    pub reserve: Duration,
    /// On how many threads the relay runs, each with sockets of its own.
    pub shards: u16,
    /// What one party may take at most.
    pub limits: Limits,
    /// What may be kept for agents that are away; none when nothing is.
    pub inbox: Option<queue::Limits>,
    /// Which webhooks must be genuine before an agent or an inbox gets them.
    pub webhooks: Vec<Webhooks>,
    /// How what webhooks name is fetched: as this machine does.
    pub fetch: Way,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Whether stdout is for scripts.
    pub json: bool,
    /// The file that was read, if one was named.
    pub file: Option<PathBuf>,
}

impl Config {
    /// Merges what was typed with the file that it names, if any.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the key and the file.
    pub fn load(typed: &Serve) -> Result<Self, ConfigError> {
        Self::merge(typed, read_file(&typed.place)?)
    }

    /// A relay inside an agent's process: on loopback, for that agent's user alone.
    pub fn local_for_agent(state_dir: PathBuf, http: SocketAddr, https: SocketAddr) -> Self {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        Self {
            mode: Mode::Local,
            domain: localhost(),
            http: Some(http),
            https: Some(https),
            quic: Some(any),
            admin: None,
            state_dir,
            certificate: Certificate::Development,
            open: true,
            hold: HOLD,
            drain_grace: DRAIN_GRACE,
            congestion: Congestion::default(),
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            notice: false,
            reserve: Duration::ZERO,
            shards: 1,
            limits: Limits::default(),
            inbox: Some(queue::Limits::default()),
            webhooks: Vec::new(),
            fetch: Way::default(),
            log_format: LogFormat::Text,
            json: false,
            file: None,
        }
    }

    fn merge(typed: &Serve, file: File) -> Result<Self, ConfigError> {
        let path = typed.place.config.clone();
        let mode = mode(&typed.place, &file);
        let listen = |typed: Option<Listen>, file: Option<Listen>, local, public| {
            let given = typed.or(file);
            given.map_or_else(
                || Some(default_address(mode, local, public)),
                Listen::address,
            )
        };
        let config = Self {
            mode,
            domain: domain(&typed.place, &file).unwrap_or_else(localhost),
            http: listen(typed.http, file.http, 8080, 80),
            https: listen(typed.https, file.https, 8443, 443),
            quic: listen(typed.quic, file.quic, 8443, 443),
            admin: match typed.admin.or(file.admin) {
                Some(listen) => listen.address(),
                None => Some(ADMIN),
            },
            state_dir: state_dir(&typed.place, &file)?,
            certificate: certificate(typed, &file, mode)?,
            open: typed.open.unwrap_or(match file.open {
                Some(Open::Said(open)) => open,
                Some(Open::Understood) => true,
                None => mode == Mode::Local,
            }),
            hold: span(typed.hold, file.hold).unwrap_or(HOLD),
            drain_grace: span(typed.drain_grace, file.drain_grace).unwrap_or(DRAIN_GRACE),
            congestion: typed.congestion.or(file.congestion).unwrap_or_default(),
            trusted_proxies: networks(&typed.trusted_proxy, &file.trusted_proxy),
            proxy_protocol: networks(&typed.proxy_protocol, &file.proxy_protocol),
            notice: typed.notice.or(file.notice).unwrap_or(false),
            reserve: span(None, file.reserve).unwrap_or(match mode {
                Mode::Local => Duration::ZERO,
                Mode::Public => RESERVE,
            }),
            shards: shards(typed, &file, mode)?,
            limits: limits(typed, file.limits, mode)?,
            inbox: inbox::limits(typed.inbox, &file.inbox, path.as_deref())?,
            webhooks: webhooks::webhooks(file.webhook, path.as_deref())?,
            fetch: Way::default(),
            log_format: match typed.log_format.or(file.log_format) {
                Some(format) => format.into(),
                None if mode == Mode::Public && !io::stderr().is_terminal() => LogFormat::Json,
                None => LogFormat::Text,
            },
            json: typed.json || file.json.unwrap_or(false),
            file: path,
        };
        config.check_open(file.open == Some(Open::Understood))?;
        config.check_addresses()?;
        Ok(config)
    }

    /// Whoever reaches an open relay may publish through it, so strangers must not reach one.
    fn check_open(&self, understood: bool) -> Result<(), ConfigError> {
        if !self.open || understood {
            return Ok(());
        }
        if self.mode == Mode::Public {
            return Err(ConfigError::OpenToAll(self.domain.clone()));
        }
        for (key, address) in [("https", self.https), ("quic", self.quic)] {
            if let Some(address) = address.filter(|a| !a.ip().to_canonical().is_loopback()) {
                return Err(ConfigError::OpenToNetwork { key, address });
            }
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), ConfigError> {
        let tcp = [
            ("http", self.http),
            ("https", self.https),
            ("admin", self.admin),
        ];
        for (at, (one, address)) in tcp.iter().enumerate() {
            for (other, same) in &tcp[at + 1..] {
                if let Some(address) = address.filter(|a| Some(*a) == *same && a.port() != 0) {
                    return Err(ConfigError::SameAddress {
                        one,
                        other,
                        address,
                    });
                }
            }
        }
        Ok(())
    }
}

impl Place {
    /// The state directory of a relay that is started with these flags.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn find_state_dir(&self) -> Result<PathBuf, ConfigError> {
        state_dir(self, &read_file(self)?)
    }
}

/// Where a relay in local mode keeps its state when nobody says otherwise.
///
/// # Errors
///
/// [`ConfigError::NoHome`].
pub fn local_state_dir() -> Result<PathBuf, ConfigError> {
    let base = etcetera::choose_base_strategy().map_err(|_| ConfigError::NoHome)?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Ok(state.join("adit").join("relay"))
}

fn read_file(place: &Place) -> Result<File, ConfigError> {
    place
        .config
        .as_deref()
        .map_or_else(|| Ok(File::default()), File::read)
}

fn domain(typed: &Place, file: &File) -> Option<Host> {
    let domain = typed.domain.as_ref();
    domain.or(file.domain.as_ref()).cloned()
}

fn mode(typed: &Place, file: &File) -> Mode {
    match domain(typed, file) {
        Some(domain) if domain != localhost() => Mode::Public,
        _ => Mode::Local,
    }
}

fn state_dir(typed: &Place, file: &File) -> Result<PathBuf, ConfigError> {
    match typed.state_dir.as_ref().or(file.state_dir.as_ref()) {
        Some(dir) => Ok(dir.clone()),
        None if mode(typed, file) == Mode::Public => Ok(PathBuf::from(PUBLIC_STATE_DIR)),
        None => local_state_dir(),
    }
}

/// A certificate and its key come from the same place: one of each would not fit together.
fn certificate(typed: &Serve, file: &File, mode: Mode) -> Result<Certificate, ConfigError> {
    let (cert, key, from) = if typed.cert.is_some() || typed.key.is_some() {
        (&typed.cert, &typed.key, None)
    } else {
        (&file.cert, &file.key, typed.place.config.as_deref())
    };
    let half = |given, missing| ConfigError::HalfCertificate {
        given,
        missing,
        file: from.map(Path::to_owned),
    };
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Certificate::Files {
            cert: cert.clone(),
            key: key.clone(),
        }),
        (None, None) => acme::certificate(typed, file, mode),
        (Some(_), None) => Err(half("cert", "key")),
        (None, Some(_)) => Err(half("key", "cert")),
    }
}

fn shards(typed: &Serve, file: &File, mode: Mode) -> Result<u16, ConfigError> {
    let given = typed.shards.or(file.shards);
    let shards = match (given, mode) {
        (Some(shards), _) => shards,
        // Elsewhere the system cannot lead an agent that moves back to its shard.
        (None, Mode::Public) if cfg!(target_os = "linux") => {
            let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
            u16::try_from(processors).map_or(MAX_SHARDS, |processors| processors.min(MAX_SHARDS))
        }
        (None, _) => 1,
    };
    if !(1..=MAX_SHARDS).contains(&shards) {
        return Err(ConfigError::OutOfRange {
            key: "shards",
            file: typed.place.config.clone(),
            least: 1,
            most: usize::from(MAX_SHARDS),
        });
    }
    if shards > 1 && !cfg!(target_os = "linux") {
        return Err(ConfigError::NoShards);
    }
    Ok(shards)
}

/// The limits of the file, and over them those of the flags.
fn limits(typed: &Serve, file: limits::File, mode: Mode) -> Result<Limits, ConfigError> {
    let usual = Limits::usual(mode);
    let first = file.resolve(typed.place.config.as_deref(), &usual)?;
    typed.limit.iter().try_fold(first, |limits, flag| {
        limits::File::of(flag)?.resolve(None, &limits)
    })
}

fn default_address(mode: Mode, local: u16, public: u16) -> SocketAddr {
    match mode {
        Mode::Local => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), local),
        Mode::Public => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), public),
    }
}

fn span(typed: Option<Span>, file: Option<Span>) -> Option<Duration> {
    typed.or(file).map(|span| span.0)
}

/// Those that were typed, or else those of the file.
fn networks(typed: &[Network], file: &[Network]) -> Vec<IpNet> {
    let given = if typed.is_empty() { file } else { typed };
    given.iter().map(|network| network.0).collect()
}

fn localhost() -> Host {
    "localhost".parse().expect("localhost is a host")
}

/// Metrics and API are for the operator, wherever the relay runs.
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// An agent notices a lost connection and comes back within seconds; webhook senders wait 10 s or
/// longer for an answer, browsers longer than that.
const HOLD: Duration = Duration::from_secs(10);

/// Systemd and Kubernetes wait this long, or longer, before they kill.
const DRAIN_GRACE: Duration = Duration::from_secs(30);

/// A night and the morning after: a laptop that was closed finds its name again.
const RESERVE: Duration = Duration::from_secs(24 * 60 * 60);

/// Where packages and units expect the state of a service (FHS 3.0 section 5.8).
const PUBLIC_STATE_DIR: &str = "/var/lib/adit";

#[cfg(test)]
mod tests;
