//! The one place that knows what the agent is doing. The link and the origins write it; the
//! terminal and the inspector read it, each at its own pace.
//!
//! Nothing here waits for a reader and nothing grows: a reader that is too slow loses the oldest
//! events and is told how many.
//!
//! - [`event`]: what happens;
//! - [`json`]: events as lines of JSON;
//! - `pace`: how many requests are told one by one;
//! - [`snapshot`]: how things stand;
//! - `state`: what events change.

pub mod event;
pub mod json;
mod pace;
pub mod snapshot;
mod state;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use adit_shared::quic::Transport;
use tokio::sync::broadcast;

use crate::capture::Capture;

pub use event::{Event, Outcome, Request};
use pace::Pace;
pub use snapshot::{Counts, RelayStatus, Snapshot, TunnelStatus};
use state::State;

/// What the agent is doing. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Status {
    shared: Arc<Shared>,
    /// The relay that is spoken of, when there are several.
    relay: Option<Arc<str>>,
}

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}

impl Status {
    /// Nothing yet.
    pub fn new() -> Self {
        let shared = Shared {
            wanted: AtomicBool::new(false),
            all: AtomicBool::new(false),
            pace: Pace::new(),
            untold: AtomicU64::new(0),
            untold_failed: AtomicU64::new(0),
            events: broadcast::Sender::new(EVENTS),
            capture: OnceLock::new(),
            state: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            relay: None,
        }
    }

    /// The same, for what happens with one of several relays.
    #[must_use]
    pub fn of(&self, relay: &str) -> Self {
        self.state().snapshot.at(relay);
        Self {
            shared: self.shared.clone(),
            relay: Some(relay.into()),
        }
    }

    /// Names the tunnels that there will be, in the order in which they are shown.
    pub fn expect<'a>(&self, tunnels: impl IntoIterator<Item = &'a str>) {
        let mut state = self.state();
        for tunnel in tunnels {
            state.snapshot.tunnel(tunnel);
        }
    }

    /// Tells everybody. Never waits.
    pub fn emit(&self, mut event: Event) {
        if let Event::Request(request) = &mut event {
            request.shorten();
        }
        if let Some(relay) = &self.relay
            && event.is_of_a_relay()
        {
            event = Event::At(relay.clone(), Box::new(event));
        }
        let mut state = self.state();
        state.apply(&event);
        // It fails when nobody listens. Sent under the lock, so that all readers see one order.
        drop(self.shared.events.send(event));
    }

    /// All events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.shared.wanted.store(true, Ordering::Relaxed);
        self.shared.events.subscribe()
    }

    /// The recent requests and all events after them, with none between them or in both.
    pub fn follow(&self) -> (Vec<Request>, broadcast::Receiver<Event>) {
        let state = self.state();
        (state.recent.iter().cloned().collect(), self.subscribe())
    }

    /// Keeps recent requests from now on, even while nobody follows them.
    pub fn keep_requests(&self) {
        self.shared.wanted.store(true, Ordering::Relaxed);
    }

    /// Keeps whole exchanges in `capture` from now on. Only the first call has an effect.
    pub fn keep_exchanges(&self, capture: Capture) {
        drop(self.shared.capture.set(capture));
    }

    /// Where whole exchanges are kept, if they are.
    pub fn capture(&self) -> Option<&Capture> {
        self.shared.capture.get()
    }

    /// The round trip to the relay.
    pub fn rtt(&self) -> Option<Duration> {
        self.state().snapshot.rtt
    }

    /// Tells every request from now on, however many there are.
    pub fn tell_all_requests(&self) {
        self.shared.all.store(true, Ordering::Relaxed);
    }

    /// Whether to tell of the request that begins `now`. If not, spare the work of making it up, and
    /// [`count`](Self::count) it at its end. A flood is told in part.
    pub fn wants_request(&self, now: Instant) -> bool {
        let shared = &self.shared;
        shared.wanted.load(Ordering::Relaxed)
            && (shared.all.load(Ordering::Relaxed) || shared.pace.admit(now))
    }

    /// Counts an exchange that ended and is not told of.
    pub fn count(&self, failed: bool) {
        self.shared.untold.fetch_add(1, Ordering::Relaxed);
        if failed {
            self.shared.untold_failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many requests were only counted since this was asked last, because they were too many.
    pub fn take_untold(&self) -> u64 {
        self.shared.pace.take_kept_back()
    }

    /// The last requests, the oldest first.
    pub fn recent(&self) -> Vec<Request> {
        self.state().recent.iter().cloned().collect()
    }

    /// Where the relay is, and how far.
    pub fn set_path(&self, remote: SocketAddr, rtt: Duration) {
        let mut state = self.state();
        let now = &mut state.snapshot;
        if let Some(relay) = &self.relay {
            let at = now.at(relay);
            (at.address, at.rtt) = (Some(remote), Some(rtt));
            now.settle();
        } else {
            (now.relay, now.rtt) = (Some(remote), Some(rtt));
        }
    }

    /// What the session travels in.
    pub fn set_transport(&self, transport: Transport) {
        let mut state = self.state();
        let now = &mut state.snapshot;
        if let Some(relay) = &self.relay {
            now.at(relay).transport = Some(transport);
            now.settle();
        } else {
            now.transport = Some(transport);
        }
    }

    /// How things stand.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.state().snapshot.clone();
        snapshot.counts.requests += self.shared.untold.load(Ordering::Relaxed);
        snapshot.counts.failed += self.shared.untold_failed.load(Ordering::Relaxed);
        snapshot
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole, so what another thread left behind is good.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Shared {
    wanted: AtomicBool,
    all: AtomicBool,
    pace: Pace,
    untold: AtomicU64,
    untold_failed: AtomicU64,
    events: broadcast::Sender<Event>,
    capture: OnceLock<Capture>,
    state: Mutex<State>,
}

/// Events that a reader may be behind.
const EVENTS: usize = 1024;

#[cfg(test)]
mod tests;
