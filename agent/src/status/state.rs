//! What events change: how things stand, and the last requests.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use super::event::{Event, Outcome, Request};
use super::snapshot::{Counts, Snapshot};

/// What is known under the lock of a [`Status`](super::Status).
#[derive(Debug)]
pub(super) struct State {
    pub(super) snapshot: Snapshot,
    /// The last requests, the oldest first.
    pub(super) recent: VecDeque<Request>,
    /// Relays whose next session is new even if it is called as the last one was.
    ended: HashSet<Option<Arc<str>>>,
}

impl Default for State {
    fn default() -> Self {
        let snapshot = Snapshot {
            online: false,
            draining: false,
            since: SystemTime::now(),
            session: None,
            relay: None,
            rtt: None,
            transport: None,
            relays: Vec::new(),
            tunnels: Vec::new(),
            counts: Counts::default(),
        };
        Self {
            snapshot,
            recent: VecDeque::with_capacity(RECENT),
            ended: HashSet::new(),
        }
    }
}

impl State {
    /// Takes what happens into account.
    pub(super) fn apply(&mut self, event: &Event) {
        if event.may_end_session() {
            self.ended.insert(None);
        }
        let now = &mut self.snapshot;
        match event {
            Event::At(relay, event) => {
                self.apply_at(relay, event);
            }
            Event::Online {
                tunnel,
                urls,
                session,
                ..
            } => {
                let tunnel = now.tunnel(tunnel);
                tunnel.urls.clone_from(urls);
                tunnel.refused = None;
                if self.ended.remove(&None) || now.session.as_ref() != Some(session) {
                    now.session = Some(session.clone());
                    now.counts.sessions += 1;
                }
                now.turn(true);
            }
            Event::Offline { .. } => now.turn(false),
            Event::Refused {
                tunnel, message, ..
            } => {
                if !tunnel.is_empty() {
                    now.tunnel(tunnel).refused = Some(message.clone());
                }
            }
            Event::Inbox { .. } => {}
            Event::Migrated { lost, .. } => {
                now.counts.migrations += 1;
                now.counts.lost += lost;
            }
            Event::Resumed { lost, .. } => {
                now.counts.resumed += 1;
                now.counts.lost += lost;
            }
            Event::Lost { exchanges } => now.counts.lost += exchanges,
            Event::Request(request) => {
                now.counts.requests += 1;
                if matches!(request.outcome, Outcome::Failed(_)) {
                    now.counts.failed += 1;
                }
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(request.clone());
            }
            Event::Transport { transport, .. } => now.transport = Some(*transport),
            Event::Draining => now.draining = true,
            Event::RelayDraining | Event::Silent => {}
            Event::OriginDown { tunnel, origin } => {
                now.tunnel(tunnel).waiting_for = Some(origin.clone());
            }
            Event::OriginUp { tunnel, .. } => now.tunnel(tunnel).waiting_for = None,
        }
    }

    /// What happened with one of several relays.
    fn apply_at(&mut self, relay: &Arc<str>, event: &Event) {
        if event.may_end_session() {
            self.ended.insert(Some(relay.clone()));
        }
        let is_new =
            matches!(event, Event::Online { .. }) && self.ended.remove(&Some(relay.clone()));
        let now = &mut self.snapshot;
        match event {
            Event::Online {
                tunnel,
                urls,
                session,
                ..
            } => {
                let tunnel = now.tunnel(tunnel);
                tunnel.refused = None;
                let new = urls.iter().filter(|url| !tunnel.urls.contains(url));
                let new: Vec<_> = new.cloned().collect();
                tunnel.urls.extend(new);
                let at = now.at(relay);
                at.online = true;
                if is_new || at.session.as_ref() != Some(session) {
                    at.session = Some(session.clone());
                    now.counts.sessions += 1;
                }
            }
            Event::Offline { .. } => now.at(relay).online = false,
            Event::Transport { transport, .. } => now.at(relay).transport = Some(*transport),
            other => self.apply(other),
        }
        self.snapshot.settle();
    }
}

/// Requests that are kept.
pub(super) const RECENT: usize = 200;
