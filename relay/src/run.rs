//! A running relay: started from a [`Config`], ended by a drain.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::name::Host;
use adit_shared::quic::endpoint::{EndpointError, Listener};
use adit_shared::quic::tls::{self, Pin, TlsError};
use adit_shared::stall::{Stalls, TICK};
use adit_shared::task::Tasks;
use adit_shared::wire;
use adit_shared::wire::code::Close;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{Span, debug, info, warn};

use crate::admin::Admin;
use crate::auth::Auth;
use crate::config::{Config, Mode};
use crate::edge::serve::Service;
use crate::edge::tcp::{self, Role};
use crate::edge::tls::{CertificateError, Certificates};
use crate::forward::{Forward, HeadLimit};
use crate::join::{self, Join, Site};
use crate::metrics::Metrics;
use crate::route::{self, KNOWN, Owner, Routes};
use crate::sessions::Sessions;
use crate::store::{self, Store, StoreError, names};

/// A relay that runs in this process. Dropping it does not end it; see [`Relay::drain`].
#[derive(Debug)]
pub struct Relay {
    ready: Ready,
    grace: Duration,
    quic: Option<Listener>,
    /// Visitors' connections and everything that they started.
    visitors: Tasks,
    /// Agents' sessions.
    agents: Tasks,
    /// What neither belongs to.
    house: Tasks,
}

/// Where a relay that is ready can be reached.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Visitors, without TLS.
    pub http: Option<SocketAddr>,
    /// Visitors, with TLS.
    pub https: Option<SocketAddr>,
    /// Agents.
    pub quic: Option<SocketAddr>,
    /// Operators.
    pub admin: Option<SocketAddr>,
    /// The domain under which names live.
    pub domain: Host,
    /// The pin of the certificate that agents see.
    pub pin: Pin,
    /// The file of the development CA, if that is in use.
    pub ca: Option<PathBuf>,
    /// Whether an agent may not know the certificate otherwise: it is the development CA's, or that
    /// of a relay in local mode.
    pub needs_pin: bool,
    /// Who the relay is for.
    pub mode: Mode,
    /// Whether agents need no token.
    pub open: bool,
}

/// Starts a relay on the current runtime.
///
/// # Errors
///
/// [`StartError`]; then nothing runs.
pub async fn start(config: Config) -> Result<Relay, StartError> {
    let store = Store::open(&config.state_dir)?;
    let auth = if config.open {
        Auth::open()
    } else {
        Auth::load(store.clone()).await?
    };
    let certificates = Arc::new(Certificates::load(&config)?);
    let limits = &config.limits;
    let metrics = Arc::new(Metrics::new(&limits.list()));
    let routes = remember(&config, &store).await?;
    let sessions = Sessions::default();
    let stalls = Stalls::new(limits.stalls());
    let (visitors, agents, house) = (Tasks::default(), Tasks::default(), Tasks::default());

    let http = bind("http", config.http)?;
    let https = bind("https", config.https)?;
    let admin = bind("admin", config.admin)?;
    let quic = config.quic.map(|address| {
        let tls = tls::server(certificates.clone(), &[wire::ALPN])?;
        Ok::<_, StartError>(Listener::bind(address, tls)?.with_window(limits.window))
    });
    let quic = quic.transpose()?;
    let port = |listener: &Option<TcpListener>| Some(listener.as_ref()?.local_addr().ok()?.port());
    let ready = Ready {
        http: http
            .as_ref()
            .and_then(|listener| listener.local_addr().ok()),
        https: https
            .as_ref()
            .and_then(|listener| listener.local_addr().ok()),
        quic: quic.as_ref().and_then(Listener::local),
        admin: admin
            .as_ref()
            .and_then(|listener| listener.local_addr().ok()),
        domain: config.domain.clone(),
        pin: certificates.pin(),
        ca: certificates.ca_path().map(Into::into),
        needs_pin: certificates.ca_path().is_some() || config.mode == Mode::Local,
        mode: config.mode,
        open: config.open,
    };

    let service = Service {
        forward: Forward {
            routes: routes.clone(),
            tasks: visitors.clone(),
            metrics: metrics.clone(),
            trusted_proxies: config.trusted_proxies.into(),
            head: HeadLimit {
                bytes: limits.head_bytes,
                fields: limits.head_fields,
            },
        },
        tasks: visitors.clone(),
        metrics: metrics.clone(),
    };
    let bounds = tcp::Limits {
        connections: Arc::new(Semaphore::new(limits.visitors)),
        head_timeout: limits.head_timeout,
    };
    // A public relay has no use for cleartext visitors, unless it has nothing else for them.
    let plain = match (config.mode, port(&https)) {
        (Mode::Public, Some(https)) => Role::Redirect { https },
        _ => Role::Plain,
    };
    let redirects = matches!(plain, Role::Redirect { .. });
    let site = Site {
        domain: config.domain.clone(),
        http: port(&http).filter(|_| !redirects),
        https: port(&https),
        prefer_http: config.mode == Mode::Local,
    };
    if let Some(listener) = http {
        visitors.spawn(
            Span::none(),
            tcp::listen(listener, plain, service.clone(), bounds.clone()),
        );
    }
    if let Some(listener) = https {
        let role = Role::Tls(Arc::new(tls::server(
            certificates.clone(),
            &[b"h2", b"http/1.1"],
        )?));
        visitors.spawn(Span::none(), tcp::listen(listener, role, service, bounds));
    }
    let join = Join {
        auth,
        routes: routes.clone(),
        sessions: sessions.clone(),
        store: store.clone(),
        certificates: certificates.clone(),
        stalls: stalls.clone(),
        metrics: metrics.clone(),
        site: Arc::new(site),
        limits: join::Limits {
            sessions: limits.agents,
            handshakes: limits.agents_handshaking,
            exchanges: limits.exchanges_per_agent,
            tunnels: limits.tunnels_per_agent,
            hello: limits.hello_timeout,
            drain_grace: config.drain_grace,
        },
        tasks: agents.clone(),
    };
    house.spawn(
        Span::none(),
        watch_stalls(stalls, metrics.clone(), house.clone()),
    );
    if let Some(listener) = &quic {
        house.spawn(Span::none(), join.clone().watch_tokens());
        agents.spawn(Span::none(), join.listen(listener.clone()));
    }
    if let Some(listener) = admin {
        let admin = Admin {
            routes: routes.clone(),
            sessions,
            metrics,
            domain: config.domain,
            serving: visitors.clone(),
            tasks: house.clone(),
        };
        house.spawn(Span::none(), admin.listen(listener));
    }
    house.spawn(
        Span::none(),
        keep_house(routes, store, certificates, house.clone()),
    );
    Ok(Relay {
        ready,
        grace: config.drain_grace,
        quic,
        visitors,
        agents,
        house,
    })
}

/// Hosts that were served before this program started.
async fn remember(config: &Config, store: &Store) -> Result<Routes, StartError> {
    let routes = Routes::new(route::Limits {
        hold: config.hold,
        held_per_host: config.limits.held_per_name,
        held: config.limits.held,
        reserve: config.reserve,
    });
    let now = store::now();
    for name in store.call(|db| names::all(db)).await? {
        let token = name.token.as_deref().and_then(|id| id.parse().ok());
        let owner = Owner {
            identity: name.owner,
            token,
        };
        let ago = u64::try_from(now - name.last_seen).unwrap_or_default();
        routes.remember(name.host, owner, Duration::from_secs(ago));
    }
    Ok(routes)
}

fn bind(
    what: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, StartError> {
    let bound =
        |address| tcp::bind(address).map_err(|error| StartError::Bind(what, address, error));
    address.map(bound).transpose()
}

/// Forgets what nobody uses any more, and renews certificates, until the tasks are stopped.
async fn keep_house(routes: Routes, store: Store, certificates: Arc<Certificates>, tasks: Tasks) {
    let mut ticks = interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            biased;
            () = tasks.stopped() => return,
            _ = ticks.tick() => {}
        }
        for host in routes.sweep() {
            certificates.forget(&host);
        }
        // After a crash, too, a name that was served until then counts as seen a moment ago.
        let served = routes.list().into_iter();
        let served: Vec<_> = served
            .filter_map(|(host, session)| session.map(|_| host))
            .collect();
        let noted = store.call(move |db| names::touch(db, &served, store::now()));
        if let Err(error) = noted.await {
            warn!(%error, "cannot note which names are served");
        }
        let before = store::now() - i64::try_from(KNOWN.as_secs()).unwrap_or(i64::MAX);
        if let Err(error) = store.call(move |db| names::purge(db, before)).await {
            warn!(%error, "cannot forget old names");
        }
        if let Err(error) = certificates.renew() {
            warn!(%error, "cannot renew the development certificates");
        }
        if let Err(error) = certificates.reload() {
            warn!(%error, "cannot read the certificate again; the old one stays");
        }
    }
}

/// Cuts visitors that stopped reading when they hold too much, until the tasks are stopped.
async fn watch_stalls(stalls: Stalls, metrics: Arc<Metrics>, tasks: Tasks) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = tasks.stopped() => return,
            _ = ticks.tick() => {}
        }
        let found = stalls.sweep(std::time::Instant::now());
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        metrics.stalled.set(gauge(found.stalled as u64));
        metrics.stalled_bytes.set(gauge(found.held));
        if found.cut > 0 {
            debug!(
                cut = found.cut,
                held = found.held,
                "stalled exchanges are cut"
            );
        }
    }
}

impl Relay {
    /// Where it can be reached.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Ends the relay: agents are told to go elsewhere, nothing new is taken, what is in flight may
    /// finish within the grace period. True when all of it did.
    pub async fn drain(self) -> bool {
        info!(grace = ?self.grace, "draining");
        // Agents first: they can look for another relay while requests finish.
        self.agents.stop();
        let clean = self.visitors.drain(self.grace).await;
        if let Some(quic) = &self.quic {
            quic.close(Close::Drain, "the relay was stopped");
        }
        self.agents.drain(FAREWELL).await;
        self.house.drain(FAREWELL).await;
        if let Some(quic) = &self.quic {
            // Agents should hear it, but one that is gone must not hold us up.
            drop(timeout(FAREWELL, quic.wait_idle()).await);
        }
        info!(clean, "drained");
        clean
    }
}

/// Why a relay does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error("cannot use the state database")]
    Store(#[from] StoreError),
    /// The certificate cannot be used.
    #[error("cannot use the certificate")]
    Certificate(#[from] CertificateError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// A listener's address cannot be used.
    #[error("cannot listen for {0} on {1}; another program may, or give --{0} another address")]
    Bind(&'static str, SocketAddr, #[source] io::Error),
    /// The address for agents cannot be used.
    #[error("cannot listen for agents; give --quic another address")]
    Quic(#[from] EndpointError),
}

/// How often the house is kept.
const HOUSEKEEPING: Duration = Duration::from_secs(600);
/// How long saying goodbye may take.
const FAREWELL: Duration = Duration::from_secs(1);
