//! Agents that get copies of what another one serves, so that a team sees the same webhooks on several machines.
//!
//! - [`copy`]: a request that is copied while it goes its way;
//! - `courier`: copies on their way to one agent.
//!
//! One invariant: nobody waits for a mirror. A copy for which there is no room is dropped and counted, and what a
//! mirror answers is read and forgotten.

pub mod copy;
mod courier;

use std::sync::Arc;

use adit_shared::name::{Host, SessionId};
use adit_shared::paths::PathPattern;
use adit_shared::task::Tasks;
use adit_shared::wire::head;
use dashmap::DashMap;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::Span;

use self::copy::Copying;
use self::courier::Courier;
use crate::metrics::Metrics;
use crate::queue::letter::Letter;
use crate::route::Route;
use crate::session::Session;

/// All mirrors of a relay. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mirrors(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    hosts: DashMap<Host, Vec<Arc<Mirror>>>,
    /// One permit for each byte of copies.
    room: Arc<Semaphore>,
}

/// One agent's wish for copies.
#[derive(Debug)]
struct Mirror {
    session: Arc<Session>,
    tunnel: u64,
    patterns: Vec<PathPattern>,
    copies: mpsc::Sender<Arc<Copied>>,
}

/// A whole request, with its share of the memory for all.
#[derive(Debug)]
struct Copied {
    letter: Letter,
    _room: OwnedSemaphorePermit,
}

impl Default for Mirrors {
    fn default() -> Self {
        Self(Arc::new(Shared {
            hosts: DashMap::new(),
            room: Arc::new(Semaphore::new(ROOM)),
        }))
    }
}

impl Mirrors {
    /// Lets `session` have copies of requests to `route` whose path fits one of `patterns`, until what it returns
    /// is dropped. They are sent on a task of `tasks`, and counted on `metrics`.
    ///
    /// # Errors
    ///
    /// [`Crowded`].
    pub fn add(
        &self,
        route: Arc<Route>,
        session: &Arc<Session>,
        tunnel: u64,
        patterns: Vec<PathPattern>,
        (metrics, tasks): (&Arc<Metrics>, &Tasks),
    ) -> Result<Mirroring, Crowded> {
        let (copies, todo) = mpsc::channel(WAITING);
        let mirror = Arc::new(Mirror {
            session: session.clone(),
            tunnel,
            patterns,
            copies,
        });
        let mut all = self.0.hosts.entry(route.host.clone()).or_default();
        // An older session of the same process gets nothing more.
        all.retain(|old| old.tunnel != tunnel || !old.session.is_of_same_process(session));
        if all.len() >= MOST {
            return Err(Crowded);
        }
        all.push(mirror);
        route.set_mirrored(true);
        drop(all);
        let courier = Courier {
            session: session.clone(),
            tunnel,
            metrics: metrics.clone(),
            tasks: tasks.clone(),
        };
        tasks.spawn(Span::current(), courier.run(todo));
        Ok(Mirroring {
            mirrors: self.clone(),
            route,
            session: session.id,
            tunnel,
        })
    }

    /// Begins a copy of a request to `route`, if some mirror wants one.
    pub fn copy(
        &self,
        route: &Route,
        head: &head::Request,
        metrics: &Arc<Metrics>,
    ) -> Option<Box<Copying>> {
        if head.protocol.is_some() {
            return None;
        }
        let path = head.target.path();
        let wants = |mirror: &&Arc<Mirror>| {
            let fits = mirror.patterns.iter().any(|pattern| pattern.matches(path));
            // The host may have got another owner.
            fits && route.is_open_to(&mirror.session)
        };
        let all = self.0.hosts.get(&route.host)?;
        let to: Vec<_> = all.iter().filter(wants).cloned().collect();
        drop(all);
        if to.is_empty() {
            return None;
        }
        Copying::begin(to, head, &self.0.room, metrics)
    }
}

/// An agent's right to copies. Ends when dropped.
#[derive(Debug)]
pub struct Mirroring {
    mirrors: Mirrors,
    route: Arc<Route>,
    session: SessionId,
    tunnel: u64,
}

impl Mirroring {
    /// Whose requests are copied.
    pub fn host(&self) -> &Host {
        &self.route.host
    }
}

impl Drop for Mirroring {
    fn drop(&mut self) {
        let is_own =
            |one: &Arc<Mirror>| one.session.id == self.session && one.tunnel == self.tunnel;
        let hosts = &self.mirrors.0.hosts;
        let gone = hosts.remove_if_mut(&self.route.host, |_, all| {
            all.retain(|one| !is_own(one));
            // Under the lock of the entry: nobody adds one in between.
            if all.is_empty() {
                self.route.set_mirrored(false);
            }
            all.is_empty()
        });
        drop(gone);
    }
}

/// The host has as many mirrors as it may have.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the host has as many mirrors as it may have")]
pub struct Crowded;

/// Name, meaning and value of each bound, to be shown beside what it bounds.
pub const LIMITS: [(&str, &str, usize); 2] = [
    ("mirrors_per_host", "Mirrors of one host", MOST),
    ("mirror_bytes", "Bytes of copies for mirrors", ROOM),
];

/// Mirrors of one host.
const MOST: usize = 8;
/// Copies that wait for one mirror.
const WAITING: usize = 64;
/// Bytes of the bodies of all copies.
const ROOM: usize = 32 << 20;
