//! Events as JSON, in the shapes that scripts rely on: keys keep their names, meanings and order,
//! and new ones may only be added.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use adit_shared::webhook::Seen;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::event::{Event, Outcome, Request};

/// An event as one line of JSON, without the line's end. A request carries the time when it began,
/// any other event `now`.
pub fn line(event: &Event, now: SystemTime) -> String {
    let (relay, event) = event.parts();
    let line = Line {
        shape: Shape::from(event),
        relay,
        time: (!matches!(event, Event::Request(_))).then_some(Time(now)),
    };
    // Nothing in a line can fail to be written.
    serde_json::to_string(&line).unwrap_or_default()
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    shape: Shape<'a>,
    /// Only when there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Shape<'a> {
    Online {
        tunnel: &'a str,
        url: &'a str,
        urls: &'a [String],
        session: &'a str,
    },
    Offline {
        reason: &'a str,
        retry_in_ms: Option<u64>,
    },
    Refused {
        tunnel: &'a str,
        reason: &'a str,
        message: &'a str,
    },
    Inbox {
        tunnel: &'a str,
        open: bool,
        waiting: u64,
        dead: u64,
        message: &'a str,
    },
    Migrated {
        from: SocketAddr,
        to: SocketAddr,
        stalled_ms: f64,
        lost: u64,
    },
    Silent,
    Resumed {
        stalled_ms: f64,
        lost: u64,
    },
    Lost {
        exchanges: u64,
    },
    Transport {
        transport: &'a str,
        moved: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        strangled: bool,
    },
    Request(&'a Request),
    Draining,
    RelayDraining,
    OriginDown {
        tunnel: &'a str,
        origin: &'a str,
    },
    OriginUp {
        tunnel: &'a str,
        origin: &'a str,
    },
}

impl<'a> From<&'a Event> for Shape<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::At(_, event) => Self::from(&**event),
            Event::Online {
                tunnel,
                url,
                urls,
                session,
            } => Self::Online {
                tunnel,
                url,
                urls,
                session,
            },
            Event::Offline { reason, retry_in } => Self::Offline {
                reason,
                retry_in_ms: retry_in.map(|delay| delay.as_millis() as u64),
            },
            Event::Refused {
                tunnel,
                reason,
                message,
            } => Self::Refused {
                tunnel,
                reason,
                message,
            },
            Event::Inbox {
                tunnel,
                open,
                waiting,
                dead,
                message,
            } => Self::Inbox {
                tunnel,
                open: *open,
                waiting: *waiting,
                dead: *dead,
                message,
            },
            &Event::Migrated {
                from,
                to,
                stalled,
                lost,
            } => Self::Migrated {
                from,
                to,
                stalled_ms: milliseconds(stalled),
                lost,
            },
            &Event::Lost { exchanges } => Self::Lost { exchanges },
            &Event::Transport {
                transport,
                moved,
                strangled,
            } => Self::Transport {
                transport: transport.word(),
                moved,
                strangled,
            },
            Event::Silent => Self::Silent,
            &Event::Resumed { stalled, lost } => Self::Resumed {
                stalled_ms: milliseconds(stalled),
                lost,
            },
            Event::Request(request) => Self::Request(request),
            Event::Draining => Self::Draining,
            Event::RelayDraining => Self::RelayDraining,
            Event::OriginDown { tunnel, origin } => Self::OriginDown { tunnel, origin },
            Event::OriginUp { tunnel, origin } => Self::OriginUp { tunnel, origin },
        }
    }
}

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: &'a str,
            tunnel: &'a str,
            method: &'a str,
            path: &'a str,
            status: Option<u16>,
            ms: f64,
            received: u64,
            sent: u64,
            outcome: &'a str,
            error: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            webhook: Option<&'a Seen>,
            time: Time,
        }
        let (outcome, error) = match self.outcome {
            Outcome::Done => ("done", None),
            Outcome::Answered(code) => ("done", Some(code)),
            Outcome::VisitorLeft => ("visitor-left", None),
            Outcome::Failed(code) => ("failed", Some(code)),
        };
        Fields {
            id: &self.id,
            tunnel: &self.tunnel,
            method: self.method.as_str(),
            path: &self.path,
            status: self.status,
            ms: milliseconds(self.took),
            received: self.received,
            sent: self.sent,
            outcome,
            error,
            webhook: self.webhook.as_ref(),
            time: Time(self.at),
        }
        .serialize(to)
    }
}

/// A time as RFC 3339 in UTC, to the millisecond.
struct Time(SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        time(&self.0, to)
    }
}

pub(super) fn time<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    let at = Timestamp::try_from(*at).unwrap_or_default();
    to.collect_str(&format_args!("{at:.3}"))
}

/// Milliseconds, to the microsecond.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_shared::quic::Transport;
    use http::Method;

    fn check(event: &Event, expected: &str) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_120);
        let expected = expected.replace("TIME", "2023-11-14T22:13:20.120Z");
        assert_eq!(line(event, now), expected);
    }

    #[test]
    fn life_events_have_the_shapes_that_scripts_rely_on() {
        check(
            &Event::Online {
                tunnel: "echo".into(),
                url: "https://a.test".into(),
                urls: vec!["https://a.test".into(), "http://a.test".into()],
                session: "s1".into(),
            },
            r#"{"event":"online","tunnel":"echo","url":"https://a.test","urls":["https://a.test","http://a.test"],"session":"s1","time":"TIME"}"#,
        );
        check(
            &Event::Offline {
                reason: "nothing \"heard\"".into(),
                retry_in: Some(Duration::from_millis(1500)),
            },
            r#"{"event":"offline","reason":"nothing \"heard\"","retry_in_ms":1500,"time":"TIME"}"#,
        );
        check(
            &Event::Refused {
                tunnel: "echo".into(),
                reason: "taken",
                message: "no\nway".into(),
            },
            r#"{"event":"refused","tunnel":"echo","reason":"taken","message":"no\nway","time":"TIME"}"#,
        );
        check(
            &Event::Inbox {
                tunnel: "web".into(),
                open: true,
                waiting: 3,
                dead: 0,
                message: String::new(),
            },
            r#"{"event":"inbox","tunnel":"web","open":true,"waiting":3,"dead":0,"message":"","time":"TIME"}"#,
        );
        check(
            &Event::Migrated {
                from: "10.0.0.2:4433".parse().unwrap(),
                to: "[::1]:4434".parse().unwrap(),
                stalled: Duration::from_millis(212),
                lost: 0,
            },
            r#"{"event":"migrated","from":"10.0.0.2:4433","to":"[::1]:4434","stalled_ms":212.0,"lost":0,"time":"TIME"}"#,
        );
        check(&Event::Silent, r#"{"event":"silent","time":"TIME"}"#);
        check(
            &Event::Resumed {
                stalled: Duration::from_millis(5120),
                lost: 1,
            },
            r#"{"event":"resumed","stalled_ms":5120.0,"lost":1,"time":"TIME"}"#,
        );
        check(
            &Event::Lost { exchanges: 3 },
            r#"{"event":"lost","exchanges":3,"time":"TIME"}"#,
        );
        let refused = Event::Refused {
            tunnel: "echo".into(),
            reason: "taken",
            message: "no".into(),
        };
        check(
            &Event::At("b.test".into(), Box::new(refused)),
            r#"{"event":"refused","tunnel":"echo","reason":"taken","message":"no","relay":"b.test","time":"TIME"}"#,
        );
        check(
            &Event::Transport {
                transport: Transport::Tcp,
                moved: true,
                strangled: false,
            },
            r#"{"event":"transport","transport":"tcp","moved":true,"time":"TIME"}"#,
        );
        check(
            &Event::Transport {
                transport: Transport::Tcp,
                moved: true,
                strangled: true,
            },
            r#"{"event":"transport","transport":"tcp","moved":true,"strangled":true,"time":"TIME"}"#,
        );
        check(&Event::Draining, r#"{"event":"draining","time":"TIME"}"#);
        check(
            &Event::RelayDraining,
            r#"{"event":"relay-draining","time":"TIME"}"#,
        );
        check(
            &Event::OriginDown {
                tunnel: "web".into(),
                origin: "localhost:3000".into(),
            },
            r#"{"event":"origin-down","tunnel":"web","origin":"localhost:3000","time":"TIME"}"#,
        );
        check(
            &Event::OriginUp {
                tunnel: "web".into(),
                origin: "localhost:3000".into(),
            },
            r#"{"event":"origin-up","tunnel":"web","origin":"localhost:3000","time":"TIME"}"#,
        );
    }

    #[test]
    fn a_request_has_the_shape_that_scripts_rely_on() {
        let mut request = Request {
            id: "r1".into(),
            tunnel: "web".into(),
            at: SystemTime::UNIX_EPOCH,
            method: Method::POST,
            path: "/hook\u{1b}".into(),
            status: Some(200),
            took: Duration::from_micros(1234),
            received: 10,
            sent: 20,
            outcome: Outcome::Done,
            webhook: None,
        };
        check(
            &Event::Request(request.clone()),
            r#"{"event":"request","id":"r1","tunnel":"web","method":"POST","path":"/hook\u001b","status":200,"ms":1.234,"received":10,"sent":20,"outcome":"done","error":null,"time":"1970-01-01T00:00:00.000Z"}"#,
        );
        let github = adit_shared::webhook::provider("github").unwrap();
        request.webhook = Some(Seen {
            event: Some("push".into()),
            id: Some("72d3".into()),
            verified: Some(true),
            ..Seen::new(github)
        });
        check(
            &Event::Request(request.clone()),
            r#"{"event":"request","id":"r1","tunnel":"web","method":"POST","path":"/hook\u001b","status":200,"ms":1.234,"received":10,"sent":20,"outcome":"done","error":null,"webhook":{"provider":"github","event":"push","id":"72d3","verified":true,"why":null,"attempt":1},"time":"1970-01-01T00:00:00.000Z"}"#,
        );
        request.webhook = None;
        request.status = Some(401);
        request.outcome = Outcome::Answered("webhook-unverified");
        check(
            &Event::Request(request.clone()),
            r#"{"event":"request","id":"r1","tunnel":"web","method":"POST","path":"/hook\u001b","status":401,"ms":1.234,"received":10,"sent":20,"outcome":"done","error":"webhook-unverified","time":"1970-01-01T00:00:00.000Z"}"#,
        );
        request.status = None;
        request.outcome = Outcome::Failed("origin-refused");
        check(
            &Event::Request(request),
            r#"{"event":"request","id":"r1","tunnel":"web","method":"POST","path":"/hook\u001b","status":null,"ms":1.234,"received":10,"sent":20,"outcome":"failed","error":"origin-refused","time":"1970-01-01T00:00:00.000Z"}"#,
        );
    }
}
