use std::time::SystemTime;

use http::Method;
use tokio::sync::broadcast::error::TryRecvError;

use super::state::RECENT;
use super::*;

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
