//! From a public host to the session that serves it.
//!
//! A host belongs to one identity at a time. Nobody else can take it while it is served, nor for a
//! while after; its owner takes it back at once, whatever is left of an older session. A [`Claim`]
//! frees its host when it is dropped.

pub mod derive;
pub mod reserved;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adit_shared::identity::Fingerprint;
use adit_shared::name::{Host, SessionId};
use adit_shared::wire::code::Close;
use dashmap::DashMap;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::auth::TokenId;
use crate::metrics::Holds;
use crate::session::Session;

/// All hosts that this relay serves or remembers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Routes {
    hosts: Arc<DashMap<Host, Arc<Route>>>,
    limits: Limits,
    held: Arc<AtomicUsize>,
    held_bytes: Arc<AtomicUsize>,
    holds: Arc<Holds>,
}

/// How requests wait for an agent that is away, and how long a host stays its owner's.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a request waits at most.
    pub hold: Duration,
    /// How many requests of one host wait at most.
    pub held_per_host: usize,
    /// How many requests wait at most in all.
    pub held: usize,
    /// How many bytes of heads and bodies they may hold meanwhile, in all.
    pub held_bytes: usize,
    /// How long a host that is not served stays its owner's.
    pub reserve: Duration,
}

impl Routes {
    /// No hosts yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            hosts: Arc::default(),
            limits,
            held: Arc::default(),
            held_bytes: Arc::default(),
            holds: Arc::default(),
        }
    }

    /// Remembers a host from before this program started, last served `ago`.
    pub fn remember(&self, host: Host, owner: Owner, ago: Duration) {
        let route = Route::new(host.clone(), owner);
        let now = Instant::now();
        route.state().away_since = now.checked_sub(ago).unwrap_or(now);
        // An agent that was there comes back within moments of the relay's own restart.
        route.state().expected_until = (ago < RECENT).then_some(now + EXPECTED);
        self.hosts.insert(host, Arc::new(route));
    }

    /// Notes that `host` has an inbox, which belongs to this owner, or that it has none any more. As long as
    /// it has one it stays known, and its owner's.
    pub fn set_inbox(&self, host: &Host, owner: Option<Owner>) {
        match owner {
            Some(owner) => {
                let slot = self
                    .hosts
                    .entry(host.clone())
                    .or_insert_with(|| Arc::new(Route::new(host.clone(), owner)));
                slot.has_inbox.store(true, Ordering::Relaxed);
            }
            None => {
                if let Some(route) = self.find(host) {
                    route.has_inbox.store(false, Ordering::Relaxed);
                }
            }
        }
    }

    /// The route of a host that is served or known.
    pub fn find(&self, host: &Host) -> Option<Arc<Route>> {
        self.hosts.get(host).map(|route| route.clone())
    }

    /// Gives `host` to `session`, whose older claims to it end.
    ///
    /// # Errors
    ///
    /// [`Taken`] when it belongs to another identity.
    pub fn claim(
        &self,
        host: &Host,
        session: &Arc<Session>,
        tunnel: u64,
        who: Who,
    ) -> Result<Claim, Taken> {
        let owner = Owner {
            identity: session.owner,
            token: session.token,
        };
        // Held until the host is served: it must not be forgotten in between.
        let mut is_new = false;
        let slot = self.hosts.entry(host.clone()).or_insert_with(|| {
            is_new = true;
            Arc::new(Route::new(host.clone(), owner.clone()))
        });
        let route = slot.clone();
        let mut state = route.state();
        let served = state.served_by.is_some();
        let is_kept = route.has_inbox() || route.has_mirrors();
        let reserved = served || is_kept || state.is_reserved(self.limits.reserve);
        if reserved && !state.owner.allows(&owner, who) {
            return Err(Taken);
        }
        let returned = !is_new && !state.given_back && state.owner.identity == owner.identity;
        if let Some(old) = state.served_by.replace(session.id) {
            tracing::info!(%host, %old, new = %session.id, "claim taken over by the same owner");
        }
        state.owner = owner;
        let serving = Serving {
            session: session.clone(),
            tunnel,
        };
        let old = route.serving.send_replace(Some(serving));
        drop(state);
        drop(slot);
        if let Some(Serving { session: old, .. }) = old.filter(|old| old.session.id != session.id) {
            // To the same process its lost connection is of no interest; another one wants to know.
            let who = if old.is_of_same_process(session) {
                "the same agent came back"
            } else {
                "another agent of the same owner took it over"
            };
            if session.keeps(&old) {
                old.supersede();
            } else {
                old.close(Close::Replaced, &format!("{host}: {who}"));
            }
        }
        Ok(Claim {
            route,
            session: session.id,
            returned,
        })
    }

    /// The route of a host of which `session` may have copies: it is of the host's owner, or has the same token.
    /// A host that nobody has is the session's own from then on, as if it had claimed it and gone.
    ///
    /// # Errors
    ///
    /// [`Taken`] when it belongs to another identity.
    pub fn mirror(&self, host: &Host, session: &Session) -> Result<Arc<Route>, Taken> {
        let owner = Owner {
            identity: session.owner,
            token: session.token,
        };
        let slot = self
            .hosts
            .entry(host.clone())
            .or_insert_with(|| Arc::new(Route::new(host.clone(), owner)));
        let route = slot.clone();
        drop(slot);
        if route.is_open_to(session) {
            Ok(route)
        } else {
            Err(Taken)
        }
    }

    /// Who serves `route`. Waits for somebody, within bounds, when the agent was there a
    /// moment ago. `weight` is asked then how many bytes the request holds. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Away`].
    pub async fn serving(
        &self,
        route: &Route,
        weight: impl FnOnce() -> usize,
    ) -> Result<Serving, Away> {
        if let Some(serving) = route.serving.borrow().clone() {
            return Ok(serving);
        }
        if !route.is_expected() {
            return Err(Away::Absent);
        }
        // Rare: not a part of the future of every request.
        Box::pin(self.hold(route, None, weight(), Instant::now())).await
    }

    /// Who serves `route` after `gone`, whose connection was lost, for a request that waits `since` then and
    /// holds `weight` bytes. Waits as [`serving`](Self::serving) does. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Away`].
    pub async fn next(
        &self,
        route: &Route,
        gone: SessionId,
        weight: usize,
        since: Instant,
    ) -> Result<Serving, Away> {
        Box::pin(self.hold(route, Some(gone), weight, since)).await
    }

    async fn hold(
        &self,
        route: &Route,
        gone: Option<SessionId>,
        weight: usize,
        since: Instant,
    ) -> Result<Serving, Away> {
        let total = Held::take(&self.held, 1, self.limits.held);
        let here = Held::take(&route.held, 1, self.limits.held_per_host);
        let (Some(_total), Some(_here)) = (&total, &here) else {
            self.holds.refused.inc();
            return Err(if here.is_none() {
                Away::CrowdedHere
            } else {
                Away::Crowded
            });
        };
        let Some(_bytes) = Held::take(&self.held_bytes, weight, self.limits.held_bytes) else {
            self.holds.refused.inc();
            return Err(Away::Heavy);
        };
        let left = self.limits.hold.saturating_sub(since.elapsed());
        let begun = Instant::now();
        let is_back = |serving: Option<&Serving>| {
            serving.is_some_and(|serving| Some(serving.session.id) != gone)
        };
        let mut serving = route.serving.subscribe();
        let back = timeout(left, serving.wait_for(|serving| is_back(serving.as_ref())));
        let found = match back.await {
            Ok(Ok(serving)) => serving.clone().ok_or(Away::Absent),
            Ok(Err(_)) | Err(_) => Err(Away::Absent),
        };
        self.holds.times.add(begun.elapsed());
        if found.is_err() {
            self.holds.expired.inc();
        }
        found
    }

    /// What became of requests that waited for an agent.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// How many requests wait for an agent now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How many bytes they hold.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Every host with the session that serves it, in order.
    pub fn list(&self) -> Vec<(Host, Option<Arc<Session>>)> {
        let session = |serving: &Serving| serving.session.clone();
        let one = |route: &Arc<Route>| {
            (
                route.host.clone(),
                route.serving.borrow().as_ref().map(session),
            )
        };
        let mut list: Vec<_> = self.hosts.iter().map(|entry| one(entry.value())).collect();
        list.sort_by(|(one, _), (other, _)| one.cmp(other));
        list
    }

    /// How many hosts each session serves.
    pub fn count(&self, session: SessionId) -> usize {
        self.hosts
            .iter()
            .filter(|entry| entry.state().served_by == Some(session))
            .count()
    }

    /// Forgets the hosts of the owner of `session` that were away longest, above what one owner may
    /// have remembered. Says which.
    pub fn trim(&self, session: &Session) -> Vec<Host> {
        let owner = Owner {
            identity: session.owner,
            token: session.token,
        };
        let away = |route: &Arc<Route>| {
            let state = route.state();
            let is_away = state.served_by.is_none() && state.owner.allows(&owner, Who::Group);
            let is_kept = route.has_inbox() || route.has_mirrors();
            (is_away && !is_kept).then(|| (state.away_since, route.host.clone()))
        };
        let mut away: Vec<_> = self
            .hosts
            .iter()
            .filter_map(|entry| away(entry.value()))
            .collect();
        away.sort();
        let above = away.len().saturating_sub(REMEMBERED);
        let forgotten = away.into_iter().take(above).map(|(_, host)| host);
        // One that is served again since then stays.
        let is_away = |_: &Host, route: &Arc<Route>| {
            let is_away = route.state().served_by.is_none();
            if is_away {
                route.forget();
            }
            is_away
        };
        forgotten
            .filter(|host| self.hosts.remove_if(host, is_away).is_some())
            .collect()
    }

    /// Forgets hosts that were not served for longer than they are kept. Says which.
    pub fn sweep(&self) -> Vec<Host> {
        let keep = self.limits.reserve.max(KNOWN);
        let mut forgotten = Vec::new();
        self.hosts.retain(|host, route| {
            let state = route.state();
            let is_kept = route.has_inbox() || route.has_mirrors();
            let stays = state.served_by.is_some() || is_kept || state.away_since.elapsed() < keep;
            if !stays {
                route.forget();
                forgotten.push(host.clone());
            }
            stays
        });
        forgotten
    }
}

/// Who a host belongs to: an identity, or everybody with the same token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// The identity that claimed it last.
    pub identity: Fingerprint,
    /// The token with which it did.
    pub token: Option<TokenId>,
}

impl Owner {
    fn allows(&self, other: &Self, who: Who) -> bool {
        let by_token = self.token.is_some() && self.token == other.token;
        self.identity == other.identity || (who == Who::Group && by_token)
    }
}

/// Who may take a host over from its owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Who {
    /// The same identity alone: for a host that nobody asked for by name.
    Identity,
    /// Everybody with the same token.
    Group,
}

/// Who serves a host.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The session.
    pub session: Arc<Session>,
    /// The agent's number of the tunnel.
    pub tunnel: u64,
}

/// One host.
// Aligned so that hosts which different shards serve share no cache line: processors fetch lines in
// pairs of 64 bytes.
#[derive(Debug)]
#[repr(align(128))]
pub struct Route {
    /// The host.
    pub host: Host,
    state: Mutex<State>,
    /// Changed only under the lock of `state`, with `served_by`: otherwise another shard's claim could come
    /// in between, and be overwritten.
    serving: watch::Sender<Option<Serving>>,
    held: Arc<AtomicUsize>,
    /// Requests in flight.
    exchanges: AtomicUsize,
    forgotten: AtomicBool,
    has_inbox: AtomicBool,
    has_mirrors: AtomicBool,
}

#[derive(Debug)]
struct State {
    owner: Owner,
    served_by: Option<SessionId>,
    away_since: Instant,
    /// Until when requests wait for the agent to come back.
    expected_until: Option<Instant>,
    /// The agent said goodbye: it gave the host back.
    given_back: bool,
}

impl State {
    fn is_reserved(&self, reserve: Duration) -> bool {
        // An agent whose connection was lost is given time to come back even where nothing is
        // reserved.
        let least = if self.given_back {
            Duration::ZERO
        } else {
            EXPECTED
        };
        self.away_since.elapsed() < reserve.max(least)
    }
}

impl Route {
    fn new(host: Host, owner: Owner) -> Self {
        let state = State {
            owner,
            served_by: None,
            away_since: Instant::now(),
            expected_until: None,
            given_back: false,
        };
        Self {
            host,
            state: Mutex::new(state),
            serving: watch::Sender::new(None),
            held: Arc::default(),
            exchanges: AtomicUsize::new(0),
            forgotten: AtomicBool::new(false),
            has_inbox: AtomicBool::new(false),
            has_mirrors: AtomicBool::new(false),
        }
    }

    /// The shard of the session that serves it, if one does.
    pub fn shard(&self) -> Option<u16> {
        let serving = self.serving.borrow();
        serving.as_ref().map(|serving| serving.session.shard)
    }

    /// Whether this session serves it.
    pub fn is_served_by(&self, session: SessionId) -> bool {
        let serving = self.serving.borrow();
        serving
            .as_ref()
            .is_some_and(|serving| serving.session.id == session)
    }

    /// Who serves it now.
    pub fn now(&self) -> Option<Serving> {
        self.serving.borrow().clone()
    }

    /// Whether requests for it are kept when they cannot be served.
    pub fn has_inbox(&self) -> bool {
        self.has_inbox.load(Ordering::Relaxed)
    }

    /// Whether others than who serves it get copies of its requests.
    pub fn has_mirrors(&self) -> bool {
        self.has_mirrors.load(Ordering::Relaxed)
    }

    /// Notes that it has mirrors, or has none any more.
    pub fn set_mirrored(&self, is_mirrored: bool) {
        self.has_mirrors.store(is_mirrored, Ordering::Relaxed);
    }

    /// Whether `session` is of its owner, or has the same token.
    pub fn is_open_to(&self, session: &Session) -> bool {
        let other = Owner {
            identity: session.owner,
            token: session.token,
        };
        self.state().owner.allows(&other, Who::Group)
    }

    /// Whether it is in the table no more: then a newer one may be.
    pub fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// One more request in flight, to be [ended](Self::end), unless there are `most`.
    pub fn begin(&self, most: usize) -> bool {
        let fits = self.exchanges.fetch_add(1, Ordering::Relaxed) < most;
        if !fits {
            self.end();
        }
        fits
    }

    /// One request in flight less.
    pub fn end(&self) {
        self.exchanges.fetch_sub(1, Ordering::Relaxed);
    }

    fn forget(&self) {
        self.forgotten.store(true, Ordering::Relaxed);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_expected(&self) -> bool {
        self.state()
            .expected_until
            .is_some_and(|until| Instant::now() < until)
    }
}

/// A session's right to serve a host. Frees the host when dropped, unless a newer session has
/// taken it over.
#[derive(Debug)]
pub struct Claim {
    route: Arc<Route>,
    session: SessionId,
    /// The same identity served the host before, and had not given it back.
    pub returned: bool,
}

impl Claim {
    /// What is served.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The host that is served.
    pub fn host(&self) -> &Host {
        &self.route.host
    }

    /// The agent goes of its own will: nobody else has to wait for the host.
    pub fn give_back(&self) {
        self.free(true);
    }

    fn free(&self, given_back: bool) {
        let mut state = self.route.state();
        if state.served_by != Some(self.session) {
            return;
        }
        let now = Instant::now();
        state.served_by = None;
        state.away_since = now;
        state.given_back = given_back;
        // One that was stopped may be about to be started anew.
        let expected = if given_back { RESTART } else { EXPECTED };
        state.expected_until = Some(now + expected);
        let old = self.route.serving.send_replace(None);
        drop(state);
        drop(old);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.free(false);
    }
}

/// The host belongs to another identity.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the host belongs to another agent")]
pub struct Taken;

/// Why no session serves a known host.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Away {
    /// Its agent did not come back in time.
    #[error("the agent is away")]
    Absent,
    /// Too many requests wait for agents already.
    #[error("the agent is away, and too many requests wait for agents")]
    Crowded,
    /// Too many requests wait for it already.
    #[error("the agent is away, and too many requests wait for it")]
    CrowdedHere,
    /// What requests that wait hold is as much as it may be.
    #[error("the agent is away, and requests that wait hold too many bytes")]
    Heavy,
}

/// Some of a bounded number.
struct Held {
    of: Arc<AtomicUsize>,
    count: usize,
}

impl Held {
    fn take(of: &Arc<AtomicUsize>, count: usize, limit: usize) -> Option<Self> {
        let add = |held: usize| held.checked_add(count).filter(|held| *held <= limit);
        of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .ok()?;
        Some(Self {
            of: of.clone(),
            count,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// How long requests wait for an agent at most after it was lost, and how long a lost agent's host
/// is kept for it: longer than a change of network or a restart takes.
const EXPECTED: Duration = Duration::from_secs(60);
/// As above, after the agent has said goodbye: as long as a new version takes to start.
const RESTART: Duration = Duration::from_secs(10);
/// Hosts of one owner that are remembered while nobody serves them: enough for every branch of a
/// project, too few to fill the relay.
pub const REMEMBERED: usize = 64;
/// An agent that was seen this recently was connected when the relay stopped: what is noted of those
/// that are is up to ten minutes old.
const RECENT: Duration = Duration::from_secs(15 * 60);
/// How long a host stays known, so that visitors hear "away" instead of "unknown".
pub const KNOWN: Duration = Duration::from_secs(30 * 24 * 3600);
