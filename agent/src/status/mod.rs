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

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use adit_shared::quic::Transport;
use serde::{Serialize, Serializer};
use tokio::sync::broadcast;

use crate::capture::Capture;

pub use event::{Event, Outcome, Request};
use pace::Pace;

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

/// How things stand at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Whether there is a session that serves something. Of several relays, this and what follows
    /// speaks of the first that is online.
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
    /// What the session travels in, `udp` or `tcp` when written as JSON.
    #[serde(serialize_with = "word")]
    pub transport: Option<Transport>,
    /// How things stand with each relay, when there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<RelayStatus>,
    /// The tunnels, whether granted or not.
    pub tunnels: Vec<TunnelStatus>,
    /// How often what happened.
    pub counts: Counts,
}

/// How things stand with one of several relays; the parts mean what they mean in [`Snapshot`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct RelayStatus {
    /// The relay, as it was given.
    pub name: String,
    /// Whether there is a session with it that serves something.
    pub online: bool,
    /// Its name for the last session.
    pub session: Option<String>,
    /// Where it is.
    pub address: Option<SocketAddr>,
    /// The round trip to it.
    #[serde(rename = "rtt_ms", serialize_with = "optional_milliseconds")]
    pub rtt: Option<Duration>,
    /// What the session with it travels in.
    #[serde(serialize_with = "word")]
    pub transport: Option<Transport>,
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
    /// Silences of a relay that the session outlived, whatever it did for that.
    pub resumed: u64,
    /// Exchanges that were cut because the way to the relay was lost. The relay may have sent some of
    /// them again.
    pub lost: u64,
}

#[derive(Debug)]
struct State {
    snapshot: Snapshot,
    recent: VecDeque<Request>,
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
    fn apply(&mut self, event: &Event) {
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

impl Snapshot {
    fn turn(&mut self, online: bool) {
        if self.online != online {
            self.online = online;
            self.since = SystemTime::now();
        }
    }

    fn at(&mut self, name: &str) -> &mut RelayStatus {
        let at = self.relays.iter().position(|relay| relay.name == name);
        let at = at.unwrap_or_else(|| {
            self.relays.push(RelayStatus {
                name: name.to_owned(),
                ..RelayStatus::default()
            });
            self.relays.len() - 1
        });
        &mut self.relays[at]
    }

    /// Of several relays, the first that is online speaks for all.
    fn settle(&mut self) {
        let online = self.relays.iter().find(|relay| relay.online);
        let Some(first) = online.or_else(|| self.relays.first()).cloned() else {
            return;
        };
        (self.relay, self.rtt) = (first.address, first.rtt);
        self.transport = first.transport;
        self.session = first.session;
        self.turn(first.online);
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

fn word<S: Serializer>(transport: &Option<Transport>, to: S) -> Result<S::Ok, S::Error> {
    transport.map(Transport::word).serialize(to)
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
            webhook: None,
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
        assert!(!status.wants_request(Instant::now()));
        status.keep_requests();
        assert!(status.wants_request(Instant::now()));
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
        status.emit(Event::Resumed {
            stalled: Duration::from_secs(5),
            lost: 1,
        });
        status.emit(Event::Lost { exchanges: 2 });
        let counts = status.snapshot().counts;
        assert_eq!((counts.sessions, counts.resumed, counts.lost), (2, 1, 3));
        status.emit(Event::RelayDraining);
        status.emit(online("s2"));
        status.emit(online("s2"));
        assert_eq!(
            status.snapshot().counts.sessions,
            3,
            "a relay that was restarted"
        );
    }

    #[test]
    fn of_several_relays_the_first_that_is_online_speaks_for_all() {
        let status = Status::new();
        let (one, other) = (status.of("a.test"), status.of("b.test"));
        let online = |url: &str| Event::Online {
            tunnel: "web".into(),
            url: url.into(),
            urls: vec![url.into()],
            session: "s1".into(),
        };
        let mut events = status.subscribe();
        let address = ([127, 0, 0, 2], 443).into();
        other.set_path(address, Duration::from_millis(2));
        other.emit(online("https://web.b.test"));
        assert!(matches!(events.try_recv(), Ok(Event::At(relay, _)) if &*relay == "b.test"));
        let now = status.snapshot();
        assert!(now.online && now.relay == Some(address));
        assert!(!now.relays[0].online && now.relays[1].online);
        other.set_transport(Transport::Udp);
        one.emit(Event::Transport {
            transport: Transport::Tcp,
            moved: false,
            strangled: false,
        });
        let now = status.snapshot();
        let each = now.relays.iter().map(|relay| relay.transport);
        let each: Vec<_> = each.collect();
        assert_eq!(each, [Some(Transport::Tcp), Some(Transport::Udp)]);
        assert_eq!(
            now.transport,
            Some(Transport::Udp),
            "that of the first that is online"
        );
        one.emit(online("https://web.a.test"));
        let urls = ["https://web.b.test", "https://web.a.test"];
        assert_eq!(status.snapshot().tunnels[0].urls, urls);
        assert_eq!(status.snapshot().counts.sessions, 2);
        let lost = Event::Offline {
            reason: "lost".into(),
            retry_in: None,
        };
        one.emit(lost.clone());
        assert!(status.snapshot().online, "the other is left");
        other.emit(lost);
        assert!(!status.snapshot().online);
    }
}
