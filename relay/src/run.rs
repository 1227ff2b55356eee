//! A running relay: started from a [`Config`], ended by a drain.

use std::future::pending;
use std::io;
use std::iter::once;
use std::net::{self, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::name::Host;
use adit_shared::quic::HTTP3;
use adit_shared::quic::carrier::Carriers;
use adit_shared::quic::endpoint::{Bound, EndpointError, Listener};
use adit_shared::quic::keys::{Keys, SECRET};
use adit_shared::quic::tls::{self, Pin, TlsError};
use adit_shared::stall::{Stalls, TICK};
use adit_shared::task::Tasks;
use adit_shared::wire;
use adit_shared::wire::code::Close;
use futures_util::future::{join_all, select_all};
use http::HeaderValue;
use ipnet::IpNet;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{Span, debug, info, info_span, warn};

use crate::acme::{AcmeError, Keeper};
use crate::addresses::Addresses;
use crate::admin::Admin;
use crate::auth::Auth;
use crate::config::{Certificate, Config, Mode};
use crate::edge::neighbours::Neighbours;
use crate::edge::proxied::Proxies;
use crate::edge::tcp::{self, Role};
use crate::edge::tls::{CertificateError, Certificates, challenge};
use crate::forward::allowance::Allowance;
use crate::forward::notice::Notice;
use crate::forward::webhook::Webhooks;
use crate::join::{self, Site};
use crate::metrics::Report;
use crate::mirror::{self, Mirrors};
use crate::queue::{self, InboxError, Inboxes};
use crate::route::{self, KNOWN, Owner, Routes};
use crate::sessions::Sessions;
use crate::shard::{Common, Doors, Shard, ShardError, Thread};
use crate::store::{self, Store, StoreError, names, secrets};

/// A relay that runs in this process. To end it, see [`Relay::drain`]. Dropped, it is gone at once:
/// what is in flight is cut, and nobody is told.
#[derive(Debug)]
pub struct Relay {
    ready: Ready,
    grace: Duration,
    shards: Vec<Shard>,
    /// Visitors' connections of all shards.
    visitors: Tasks,
    /// Agents' sessions of all shards.
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
    /// The pin of the certificate that agents see; none when an authority issues it, since its key changes.
    pub pin: Option<Pin>,
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

/// Starts a relay on the current runtime; its shards but the first get threads of their own. Not safe to drop:
/// what has begun by then is not taken back.
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
    let routes = remember(&config, &store).await?;
    let inboxes = match &config.inbox {
        Some(limits) => Inboxes::open(&config.state_dir, limits.clone(), routes.clone())?,
        None => Inboxes::off(),
    };
    let admin = config.admin.map(|address| {
        let bound = tcp::bind(address).and_then(TcpListener::from_std);
        bound.map_err(|error| StartError::Bind("admin", address, error))
    });
    let admin = admin.transpose()?;
    let keys = keys(&store).await?;
    let notice = notice(&config, &store).await?;
    let doors = doors(&config, &certificates, &keys)?;
    let ready = ready(&config, &doors[0], admin.as_ref(), &certificates);
    let house = Tasks::default();
    let (keeper, acme) = match (&config.certificate, certificates.issued()) {
        (Certificate::Acme(how), Some(issued)) => {
            let started = Keeper::start(&config, how, &store, issued, &routes, &house);
            let (keeper, acme) = started.await?;
            (Some(keeper), Some(acme))
        }
        _ => (None, None),
    };
    let common = Common {
        auth,
        routes,
        sessions: Sessions::default(),
        store,
        inboxes,
        mirrors: Mirrors::default(),
        webhooks: Webhooks::new(config.webhooks.clone(), config.fetch.clone()),
        tls: Arc::new(tls::server(
            certificates.clone(),
            &protocols(&config, acme.is_some()),
        )?),
        certificates,
        acme,
        stalls: Stalls::new(config.limits.stalls()),
        site: Arc::new(site(&ready)),
        plain: plain(&ready),
        notice,
        alternative: ready.quic.and_then(http3_at),
        trusted_proxies: config.trusted_proxies.clone(),
        proxies: Proxies::new(config.proxy_protocol.clone()),
        limits: config.limits.clone(),
        drain_grace: config.drain_grace,
        congestion: config.congestion,
        addresses: Addresses::new(config.limits.per_address(), speaking_for_many(&config)),
        allowance: Arc::new(Allowance::new(config.limits.exchanges)),
        connections: Arc::new(Semaphore::new(config.limits.visitors)),
        handshakes: Arc::new(Semaphore::new(config.limits.agents_handshaking)),
        carriers: Arc::new(Semaphore::new(config.limits.carriers)),
        visitors: Tasks::default(),
        agents: Tasks::default(),
    };
    let shards = start_shards(&common, doors).await?;
    if let Some(keeper) = keeper {
        house.spawn(info_span!("acme"), keeper.run());
    }
    house.spawn(Span::none(), common.inboxes.clone().watch(house.clone()));
    let work = watch_stalls(common.stalls.clone(), house.clone());
    house.spawn(Span::none(), work);
    if config.quic.is_some() {
        let (auth, sessions) = (common.auth.clone(), common.sessions.clone());
        let work = join::watch_tokens(auth, sessions, common.agents.clone());
        house.spawn(Span::none(), work);
        let listeners = shards.iter().filter_map(|shard| shard.quic.as_ref());
        let carriers = listeners.map(|quic| quic.carriers().clone()).collect();
        let patience = config.limits.hello_timeout + CARRIER_CHECK;
        let work = watch_carriers(carriers, common.sessions.clone(), patience, house.clone());
        house.spawn(Span::none(), work);
    }
    if let Some(listener) = admin {
        let metrics: Vec<_> = shards.iter().map(|shard| shard.metrics.clone()).collect();
        let mut limits = config.limits.list().to_vec();
        limits.extend(config.inbox.iter().flat_map(queue::Limits::list));
        limits.extend(mirror::LIMITS);
        let admin = Admin {
            routes: common.routes.clone(),
            sessions: common.sessions,
            stalls: common.stalls,
            issued: common.certificates.issued().cloned(),
            metrics: Report::new(&metrics, &limits),
            inboxes: common.inboxes.clone(),
            domain: config.domain,
            serving: common.visitors.clone(),
            tasks: house.clone(),
        };
        house.spawn(Span::none(), admin.listen(listener));
    }
    house.spawn(
        Span::none(),
        keep_house(
            common.routes,
            common.store,
            common.certificates,
            common.addresses,
            house.clone(),
        ),
    );
    Ok(Relay {
        ready,
        grace: config.drain_grace,
        shards,
        visitors: common.visitors,
        agents: common.agents,
        house,
    })
}

/// Starts all shards, the first one here.
async fn start_shards(common: &Common, mut doors: Vec<Doors>) -> Result<Vec<Shard>, StartError> {
    let own = doors.remove(0);
    let mut apart = Vec::new();
    for doors in doors {
        match Shard::start_apart(common.clone(), doors).await {
            Ok(shard) => apart.push(shard),
            Err(error) => return Err(undo(common, apart, error).await),
        }
    }
    match Shard::start(common.clone(), own) {
        Ok(own) => Ok(once(own).chain(apart).collect()),
        Err(error) => Err(undo(common, apart, error).await),
    }
}

/// Ends what runs of a relay that does not start.
async fn undo(common: &Common, shards: Vec<Shard>, error: ShardError) -> StartError {
    common.visitors.abort();
    common.agents.abort();
    join_all(shards.into_iter().filter_map(|s| s.thread).map(Thread::end)).await;
    error.into()
}

/// The keys that agents of before this start know.
async fn keys(store: &Store) -> Result<Keys, StartError> {
    Ok(Keys::of(&secret(store, "quic").await?))
}

/// What visitors of before this start have seen counts after it too.
async fn notice(config: &Config, store: &Store) -> Result<Option<Arc<Notice>>, StartError> {
    if !config.notice {
        return Ok(None);
    }
    let secret = secret(store, "notice").await?;
    Ok(Some(Arc::new(Notice::new(&secret, config.domain.clone()))))
}

async fn secret(store: &Store, name: &'static str) -> Result<[u8; SECRET], StartError> {
    let mut fresh = [0; SECRET];
    aws_lc_rs::rand::fill(&mut fresh).map_err(|_| StartError::Random)?;
    Ok(store
        .call(move |db| secrets::get_or_put(db, name, &fresh))
        .await?)
}

/// Binds the sockets of all shards.
fn doors(
    config: &Config,
    certificates: &Arc<Certificates>,
    keys: &Keys,
) -> Result<Vec<Doors>, StartError> {
    let shards = config.shards;
    let bind = |what, address: Option<SocketAddr>| match address {
        Some(address) => tcp::bind_group(address, shards)
            .map(|bound| bound.into_iter().map(Some).collect())
            .map_err(|error| StartError::Bind(what, address, error)),
        None => Ok(none(shards)),
    };
    let http: Vec<_> = bind("http", config.http)?;
    let https: Vec<_> = bind("https", config.https)?;
    let quic: Vec<_> = match config.quic {
        Some(address) => {
            let tls = tls::server(certificates.clone(), &[wire::ALPN, HTTP3])?;
            let bound = Bound::group(address, shards, tls)?;
            let bound = bound.into_iter().map(|bound| bound.with_keys(keys));
            bound.map(Some).collect()
        }
        None => none(shards),
    };
    let sockets = http.into_iter().zip(https).zip(quic);
    let doors = sockets.zip(Neighbours::all(shards));
    let doors = doors.map(|(((http, https), quic), (neighbours, inbox))| Doors {
        http,
        https,
        quic,
        neighbours,
        inbox,
    });
    Ok(doors.collect())
}

/// What may be spoken at the port for visitors. Agents come there where UDP is blocked, and an authority
/// that looks who has the name.
fn protocols(config: &Config, is_asked: bool) -> Vec<&'static [u8]> {
    let mut protocols: Vec<&[u8]> = vec![b"h2", b"http/1.1"];
    if config.quic.is_some() {
        protocols.push(wire::CARRIER_ALPN);
    }
    if is_asked {
        protocols.push(challenge::PROTOCOL);
    }
    protocols
}

fn none<T>(shards: u16) -> Vec<Option<T>> {
    (0..shards).map(|_| None).collect()
}

fn ready(
    config: &Config,
    doors: &Doors,
    admin: Option<&TcpListener>,
    certificates: &Certificates,
) -> Ready {
    let local = |bound: &Option<net::TcpListener>| bound.as_ref()?.local_addr().ok();
    Ready {
        http: local(&doors.http),
        https: local(&doors.https),
        quic: doors.quic.as_ref().and_then(Bound::local),
        admin: admin.and_then(|listener| listener.local_addr().ok()),
        domain: config.domain.clone(),
        pin: certificates.pin(),
        ca: certificates.ca_path().map(Into::into),
        needs_pin: certificates.ca_path().is_some() || config.mode == Mode::Local,
        mode: config.mode,
        open: config.open,
    }
}

/// Networks whose connections are not one visitor's each.
fn speaking_for_many(config: &Config) -> Vec<IpNet> {
    let (proxies, balancers) = (&config.trusted_proxies, &config.proxy_protocol);
    proxies.iter().chain(balancers).copied().collect()
}

/// What visitors over TLS are told of HTTP/3 (RFC 9114 section 3.1.1).
fn http3_at(quic: SocketAddr) -> Option<HeaderValue> {
    let port = quic.port();
    HeaderValue::try_from(format!("h3=\":{port}\"; ma=86400")).ok()
}

/// A public relay has no use for cleartext visitors, unless it has nothing else for them.
fn plain(ready: &Ready) -> Role {
    match (ready.mode, ready.https) {
        (Mode::Public, Some(https)) => Role::Redirect {
            https: https.port(),
        },
        _ => Role::Plain,
    }
}

fn site(ready: &Ready) -> Site {
    let redirects = matches!(plain(ready), Role::Redirect { .. });
    let port = |address: Option<SocketAddr>| address.map(|address| address.port());
    Site {
        domain: ready.domain.clone(),
        http: port(ready.http).filter(|_| !redirects),
        https: port(ready.https),
        prefer_http: ready.mode == Mode::Local,
    }
}

/// Hosts that were served before this program started.
async fn remember(config: &Config, store: &Store) -> Result<Routes, StartError> {
    let routes = Routes::new(route::Limits {
        hold: config.hold,
        held_per_host: config.limits.held_per_name,
        held: config.limits.held,
        held_bytes: config.limits.held_bytes,
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

/// Forgets what nobody uses any more, and renews certificates, until the tasks are stopped.
async fn keep_house(
    routes: Routes,
    store: Store,
    certificates: Arc<Certificates>,
    addresses: Addresses,
    tasks: Tasks,
) {
    let mut ticks = interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            biased;
            () = tasks.stopped() => return,
            _ = ticks.tick() => {}
        }
        addresses.sweep();
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
async fn watch_stalls(stalls: Stalls, tasks: Tasks) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = tasks.stopped() => return,
            _ = ticks.tick() => {}
        }
        let found = stalls.sweep(std::time::Instant::now());
        if found.cut > 0 {
            debug!(
                cut = found.cut,
                held = found.held,
                "stalled exchanges are cut"
            );
        }
    }
}

/// Closes connections of agents that no session has used for `patience`, until the tasks are stopped.
async fn watch_carriers(
    carriers: Vec<Carriers>,
    sessions: Sessions,
    patience: Duration,
    tasks: Tasks,
) {
    let mut ticks = interval(CARRIER_CHECK);
    loop {
        tokio::select! {
            biased;
            () = tasks.stopped() => return,
            _ = ticks.tick() => {}
        }
        if carriers.iter().all(|carriers| carriers.count() == 0) {
            continue;
        }
        for session in sessions.list() {
            session.connection().keep_carrier();
        }
        for carriers in &carriers {
            carriers.sweep(patience);
        }
    }
}

impl Relay {
    /// Where it can be reached.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Ends when a shard has ended that nobody told to: then the relay serves no more as it should.
    /// Safe to drop.
    pub async fn failed(&mut self) -> ShardError {
        let threads = self.shards.iter_mut().filter_map(|s| s.thread.as_mut());
        let lost: Vec<_> = threads.map(|thread| Box::pin(thread.lost())).collect();
        if lost.is_empty() {
            pending::<()>().await;
        }
        select_all(lost).await.0
    }

    /// Ends the relay: agents are told to go elsewhere, nothing new is taken, what is in flight may
    /// finish within the grace period. True when all of it did. Dropping it aborts what is left, as dropping
    /// the relay does.
    pub async fn drain(mut self) -> bool {
        info!(grace = ?self.grace, "draining");
        // Agents first: they can look for another relay while requests finish.
        self.agents.stop();
        self.visitors.stop();
        let visitors = self.shards.iter().map(|s| s.visitors.drain(self.grace));
        let clean = join_all(visitors).await.into_iter().all(|clean| clean);
        for quic in self.quic() {
            quic.close(Close::Drain, "the relay was stopped");
        }
        join_all(self.shards.iter().map(|s| s.agents.drain(FAREWELL))).await;
        self.house.drain(FAREWELL).await;
        // Agents should hear it, but one that is gone must not hold us up. No socket of the group may
        // be closed before all have said so.
        drop(timeout(FAREWELL, join_all(self.quic().map(Listener::wait_idle))).await);
        join_all(self.quic().map(|quic| quic.carriers().end(FAREWELL))).await;
        let shards = std::mem::take(&mut self.shards).into_iter();
        let threads = shards.filter_map(|shard| shard.thread);
        drop(timeout(FAREWELL, join_all(threads.map(Thread::end))).await);
        info!(clean, "drained");
        clean
    }

    fn quic(&self) -> impl Iterator<Item = &Listener> {
        self.shards.iter().filter_map(|shard| shard.quic.as_ref())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.visitors.abort();
        self.agents.abort();
        self.house.abort();
    }
}

/// Why a relay does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error("cannot use the state database")]
    Store(#[from] StoreError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a key")]
    Random,
    /// What is kept for agents cannot be used.
    #[error("cannot use the database of kept requests")]
    Inbox(#[from] InboxError),
    /// The certificate cannot be used.
    #[error("cannot use the certificate")]
    Certificate(#[from] CertificateError),
    /// Certificates cannot be ordered.
    #[error("cannot order certificates")]
    Acme(#[from] AcmeError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// A listener's address cannot be used.
    #[error("cannot listen for {0} on {1}; another program may, or give --{0} another address")]
    Bind(&'static str, SocketAddr, #[source] io::Error),
    /// The address for agents cannot be used.
    #[error("cannot listen for agents; give --quic another address")]
    Quic(#[from] EndpointError),
    /// A shard does not run.
    #[error(transparent)]
    Shard(#[from] ShardError),
}

/// How often the house is kept.
const HOUSEKEEPING: Duration = Duration::from_secs(600);
/// How often the connections of agents that carry QUIC are looked through.
const CARRIER_CHECK: Duration = Duration::from_secs(2);
/// How long saying goodbye may take.
const FAREWELL: Duration = Duration::from_secs(1);
