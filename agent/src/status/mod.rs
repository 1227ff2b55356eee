//! The one place that knows what the agent is doing. The link and the origins write it; the
//! terminal and the inspector read it, each at its own pace.
//!
//! Nothing here waits for a reader and nothing grows: a reader that is too slow loses the oldest
//! events and is told how many.
//!
//! - [`event`]: what happens;
//! - [`json`]: events as lines of JSON;
//! - `pace`: how many requests are told one by one.

pub mod event;
pub mod json;
mod pace;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tokio::sync::broadcast;

pub use event::{Event, Outcome, Request};
use pace::Pace;

/// What the agent is doing. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Status(Arc<Shared>);

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}

impl Status {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            wanted: AtomicBool::new(false),
            all: AtomicBool::new(false),
            pace: Pace::new(),
            untold: AtomicU64::new(0),
            untold_failed: AtomicU64::new(0),
            events: broadcast::Sender::new(EVENTS),
            state: Mutex::default(),
        }))
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
        let mut state = self.state();
        state.apply(&event);
        // It fails when nobody listens. Sent under the lock, so that all readers see one order.
        drop(self.0.events.send(event));
    }

    /// All events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.wanted.store(true, Ordering::Relaxed);
        self.0.events.subscribe()
    }

    /// The recent requests and all events after them, with none between them or in both.
    pub fn follow(&self) -> (Vec<Request>, broadcast::Receiver<Event>) {
        let state = self.state();
        (state.recent.iter().cloned().collect(), self.subscribe())
    }

    /// Keeps recent requests from now on, even while nobody follows them.
    pub fn keep_requests(&self) {
        self.0.wanted.store(true, Ordering::Relaxed);
    }

    /// Tells every request from now on, however many there are.
    pub fn tell_all_requests(&self) {
        self.0.all.store(true, Ordering::Relaxed);
    }

    /// Whether to tell of the request that begins now. If not, spare the work of making it up, and
    /// [`count`](Self::count) it at its end. A flood is told in part.
    pub fn wants_request(&self) -> bool {
        let shared = &self.0;
        shared.wanted.load(Ordering::Relaxed)
            && (shared.all.load(Ordering::Relaxed) || shared.pace.admit())
    }

    /// Counts an exchange that ended and is not told of.
    pub fn count(&self, failed: bool) {
        self.0.untold.fetch_add(1, Ordering::Relaxed);
        if failed {
            self.0.untold_failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many requests were only counted since this was asked last, because they were too many.
    pub fn take_untold(&self) -> u64 {
        self.0.pace.take_kept_back()
    }

    /// The last requests, the oldest first.
    pub fn recent(&self) -> Vec<Request> {
        self.state().recent.iter().cloned().collect()
    }

    /// Where the relay is, and how far.
    pub fn set_path(&self, remote: SocketAddr, rtt: Duration) {
        let mut state = self.state();
        state.snapshot.relay = Some(remote);
        state.snapshot.rtt = Some(rtt);
    }

    /// How things stand.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.state().snapshot.clone();
        snapshot.counts.requests += self.0.untold.load(Ordering::Relaxed);
        snapshot.counts.failed += self.0.untold_failed.load(Ordering::Relaxed);
        snapshot
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole, so what another thread left behind is good.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    state: Mutex<State>,
}

/// How things stand at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Whether there is a session that serves something.
    pub online: bool,
    /// Whether the agent was asked to stop.
    pub draining: bool,
    /// Since when it is online or offline.
    #[serde(serialize_with = "json::time")]
    pub since: SystemTime,
    /// The relay's name for the last session.
    pub session: Option<String>,
    /// Where the relay is.
    pub relay: Option<SocketAddr>,
    /// The round trip to it, in milliseconds when written as JSON.
    #[serde(rename = "rtt_ms", serialize_with = "optional_milliseconds")]
    pub rtt: Option<Duration>,
    /// The tunnels, whether granted or not.
    pub tunnels: Vec<TunnelStatus>,
    /// How often what happened.
    pub counts: Counts,
}

/// How one tunnel stands.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TunnelStatus {
    /// The label of the tunnel.
    pub tunnel: String,
    /// Where visitors reach it, or did before the session was lost.
    pub urls: Vec<String>,
    /// Why the relay does not serve it.
    pub refused: Option<String>,
    /// The origin, while it cannot be connected to.
    pub waiting_for: Option<String>,
}

/// How often what happened since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Exchanges that ended.
    pub requests: u64,
    /// Those of them that failed on this side.
    pub failed: u64,
    /// Sessions that the relay granted something.
    pub sessions: u64,
    /// Changes of our address that the session survived.
    pub migrations: u64,
}

#[derive(Debug)]
struct State {
    snapshot: Snapshot,
    recent: VecDeque<Request>,
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
            tunnels: Vec::new(),
            counts: Counts::default(),
        };
        Self {
            snapshot,
            recent: VecDeque::with_capacity(RECENT),
        }
    }
}

impl State {
    fn apply(&mut self, event: &Event) {
        let now = &mut self.snapshot;
        match event {
            Event::Online {
                tunnel,
                urls,
                session,
                ..
            } => {
                let tunnel = now.tunnel(tunnel);
                tunnel.urls.clone_from(urls);
                tunnel.refused = None;
                if now.session.as_ref() != Some(session) {
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
            Event::Migrated { .. } => now.counts.migrations += 1,
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
            Event::Draining => now.draining = true,
            Event::RelayDraining => {}
            Event::OriginDown { tunnel, origin } => {
                now.tunnel(tunnel).waiting_for = Some(origin.clone());
            }
            Event::OriginUp { tunnel, .. } => now.tunnel(tunnel).waiting_for = None,
        }
    }
}

impl Snapshot {
    fn turn(&mut self, online: bool) {
        if self.online != online {
            self.online = online;
            self.since = SystemTime::now();
        }
    }

    fn tunnel(&mut self, label: &str) -> &mut TunnelStatus {
        let at = self.tunnels.iter().position(|t| t.tunnel == label);
        let at = at.unwrap_or_else(|| {
            self.tunnels.push(TunnelStatus {
                tunnel: label.to_owned(),
                ..TunnelStatus::default()
            });
            self.tunnels.len() - 1
        });
        &mut self.tunnels[at]
    }
}

fn optional_milliseconds<S: Serializer>(rtt: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    rtt.map(json::milliseconds).serialize(to)
}

/// Events that a reader may be behind.
const EVENTS: usize = 1024;
/// Requests that are kept.
const RECENT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use tokio::sync::broadcast::error::TryRecvError;

    fn request(number: usize) -> Event {
        Event::Request(Request {
            id: number.to_string(),
            tunnel: "echo".into(),
            at: SystemTime::now(),
            method: Method::GET,
            path: "/".into(),
            status: Some(200),
            took: Duration::ZERO,
            received: 0,
            sent: 0,
            outcome: if number.is_multiple_of(2) {
                Outcome::Done
            } else {
                Outcome::Failed("origin-reset")
            },
        })
    }

    fn ids(requests: &[Request]) -> Vec<usize> {
        requests.iter().map(|r| r.id.parse().unwrap()).collect()
    }

    #[test]
    fn the_last_requests_are_kept_in_order_and_no_more() {
        let status = Status::new();
        for number in 0..RECENT + 7 {
            status.emit(request(number));
        }
        assert_eq!(ids(&status.recent()), Vec::from_iter(7..RECENT + 7));
        let counts = status.snapshot().counts;
        assert_eq!((counts.requests, counts.failed), (207, 103));
    }

    #[test]
    fn a_slow_reader_loses_the_oldest_and_is_told_how_many() {
        let status = Status::new();
        let mut events = status.subscribe();
        for number in 0..EVENTS + 3 {
            status.emit(request(number));
        }
        assert!(matches!(events.try_recv(), Err(TryRecvError::Lagged(3))));
        for number in 3..EVENTS + 3 {
            let Ok(Event::Request(request)) = events.try_recv() else {
                panic!("request {number} is there");
            };
            assert_eq!(request.id, number.to_string());
        }
        assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
    }

    #[test]
    fn requests_are_wanted_once_somebody_follows_or_keeps_them() {
        let status = Status::new();
        assert!(!status.wants_request());
        status.keep_requests();
        assert!(status.wants_request());
        status.emit(request(1));
        let (recent, mut events) = status.follow();
        status.emit(request(2));
        assert_eq!(ids(&recent), [1]);
        assert!(matches!(events.try_recv(), Ok(Event::Request(r)) if r.id == "2"));
    }

    #[test]
    fn a_snapshot_follows_the_events() {
        let status = Status::new();
        let online = |session: &str| Event::Online {
            tunnel: "web".into(),
            url: "https://a.test".into(),
            urls: vec!["https://a.test".into()],
            session: session.into(),
        };
        let origin = "localhost:3000".to_owned();
        status.expect(["web"]);
        assert_eq!(status.snapshot().tunnels[0].urls, Vec::<String>::new());
        status.set_path(([127, 0, 0, 1], 443).into(), Duration::from_millis(2));
        status.emit(online("s1"));
        status.emit(Event::OriginDown {
            tunnel: "web".into(),
            origin: origin.clone(),
        });
        status.emit(Event::Refused {
            tunnel: "api".into(),
            reason: "taken",
            message: "it is taken".into(),
        });
        let now = status.snapshot();
        assert!(now.online);
        assert_eq!(now.tunnels[0].waiting_for.as_ref(), Some(&origin));
        assert_eq!(now.tunnels[1].refused.as_deref(), Some("it is taken"));
        status.emit(Event::Offline {
            reason: "lost".into(),
            retry_in: None,
        });
        let offline = status.snapshot();
        assert!(!offline.online && offline.since >= now.since);
        assert_eq!(offline.tunnels[0].urls, ["https://a.test"]);
        status.emit(online("s2"));
        status.emit(online("s2"));
        assert_eq!(status.snapshot().counts.sessions, 2);
    }
}
