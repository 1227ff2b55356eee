//! Requests that are kept for agents that are away, and delivered when they are back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adit_agent::config::{Config as AgentConfig, Inbox};
use adit_agent::status::Event;
use adit_relay::queue::database;
use adit_shared::wire::inbox::Causes;
use adit_tests::origin::Origin;
use adit_tests::visit::Answer;
use adit_tests::world::Agent;
use adit_tests::{World, eventually, soon};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};

/// What an origin got.
#[derive(Clone, Debug)]
struct Got {
    target: String,
    fields: HeaderMap,
    body: Bytes,
}

impl Got {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.to_str().ok()
    }
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<Got>>>);

impl Log {
    /// An origin that notes what it gets, and answers with what `status` says.
    async fn origin(
        &self,
        status: impl Fn(&Got) -> StatusCode + Clone + Send + Sync + 'static,
    ) -> Origin {
        let log = self.clone();
        Origin::serving(move |request| {
            let (log, status) = (log.clone(), status.clone());
            async move {
                let target = request.uri().to_string();
                let fields = request.headers().clone();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let got = Got {
                    target,
                    fields,
                    body,
                };
                let status = status(&got);
                log.0.lock().unwrap().push(got);
                let mut response = Response::new(Full::new(Bytes::from_static(b"seen")));
                *response.status_mut() = status;
                response
            }
        })
        .await
    }

    fn all(&self) -> Vec<Got> {
        self.0.lock().unwrap().clone()
    }

    async fn has(&self, count: usize) -> Vec<Got> {
        eventually("the origin has them", async || self.all().len() >= count).await;
        self.all()
    }
}

fn keeps(config: &mut AgentConfig) {
    config.tunnels[0].inbox = Some(Inbox::default());
}

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.error(), None);
    answer.fields["adit-inbox"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_comes_while_the_agent_is_away_is_delivered_in_order_and_byte_for_byte() {
    let world = World::start().await;
    let log = Log::default();
    let origin = log.origin(|_| StatusCode::OK).await;
    let url = format!("http://{}", origin.address);
    let agent = world.agent_with("app", &url, keeps).await;
    let again = agent.config();
    assert_eq!(world.post("app", "/live", b"0").await.text(), "seen");
    assert!(agent.stop().await);

    let mut ids = Vec::new();
    for at in 0..5 {
        let target = format!("/a//b/../%2F%2f?x=%zz&&={at}");
        let body: Vec<u8> = (0..=255).cycle().skip(at).take(3000).collect();
        ids.push(id(&world.post("app", &target, &body).await));
    }
    // The relay knows after a restart whose inbox is whose, before the agent is there.
    let world = world.restart_relay(async {}).await;
    ids.push(id(&world.post("app", "/after", b"last").await));
    let mut agent = Agent::start(again);
    agent.online().await;
    let got = log.has(7).await;
    for (at, got) in got[1..6].iter().enumerate() {
        assert_eq!(got.target, format!("/a//b/../%2F%2f?x=%zz&&={at}"));
        let body: Vec<u8> = (0..=255).cycle().skip(at).take(3000).collect();
        assert_eq!(got.body, body);
        assert_eq!(got.field("adit-inbox"), Some(&*ids[at]));
        assert_eq!(got.field("adit-webhook-attempt"), Some("1"));
        assert_eq!(got.field("host"), Some("app.localhost"));
        assert!(got.field("adit-inbox-received").is_some());
    }
    assert_eq!(
        (&*got[6].target, &got[6].body[..]),
        ("/after", &b"last"[..])
    );
    assert!(got[0].field("adit-webhook-attempt").is_none());
    // Then it is as before.
    soon("what comes is served at once", async {
        while world.post("app", "/live", b"1").await.text() != "seen" {}
    })
    .await;
}

/// Answers with `status` until `calls` requests have come, and with 200 from then on.
fn failing(
    status: u16,
    calls: usize,
) -> impl Fn(&Got) -> StatusCode + Clone + Send + Sync + 'static {
    let count = Arc::new(AtomicUsize::new(0));
    move |_| {
        if count.fetch_add(1, Ordering::SeqCst) < calls {
            StatusCode::from_u16(status).unwrap()
        } else {
            StatusCode::OK
        }
    }
}

#[tokio::test]
async fn what_the_origin_refuses_is_kept_and_no_more_than_may_be() {
    let world = World::with(|config| {
        let limits = config.inbox.as_mut().unwrap();
        limits.requests_per_tunnel = 3;
        limits.body = 1000;
    })
    .await;
    let nobody = Origin::nobody().await;
    let url = format!("http://{nobody}");
    let agent = world.agent_with("app", &url, |config| {
        config.tunnels[0].inbox = Some(Inbox {
            patterns: vec!["/hooks/*".parse().unwrap()],
            status: 200,
            ..Inbox::default()
        });
    });
    let _agent = agent.await;
    for _ in 0..3 {
        let answer = world.post("app", "/hooks/a", b"x").await;
        assert_eq!(answer.status, 200);
        assert!(answer.fields.contains_key("adit-inbox"));
    }
    let full = world.post("app", "/hooks/a", b"x").await;
    assert_eq!(
        (full.status.as_u16(), full.error()),
        (507, Some("inbox-full"))
    );
    // What is not meant fails as ever, and what is too large as the origin does.
    for (target, body) in [("/other", &b"x"[..]), ("/hooks/a", &[0; 1001])] {
        let answer = world.post("app", target, body).await;
        assert_eq!(answer.error(), Some("origin-refused"), "{target}");
    }
    let metrics = world.admin_text("/metrics").await;
    for line in [
        "inbox_waiting 3",
        "inbox_kept_total 3",
        "inbox_refused_total 1",
    ] {
        assert!(
            metrics.contains(&format!("\nadit_relay_{line}\n")),
            "{line}"
        );
    }
    assert!(
        world
            .admin_text("/api/v1/inboxes")
            .await
            .contains("\"waiting\":3")
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_while_the_agent_is_away() {
    let world = World::with(|config| config.inbox.as_mut().unwrap().body = 1000).await;
    let agent = world.agent_with("app", "echo", keeps).await;
    assert!(agent.stop().await);
    let answer = world.post("app", "/", &[0; 1001]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (413, Some("inbox-too-large"))
    );
    id(&world.post("app", "/", &[0; 1000]).await);
}

#[tokio::test]
async fn a_full_inbox_is_said_before_anything_is_accepted() {
    let world = World::with(|config| {
        let limits = config.inbox.as_mut().unwrap();
        limits.bytes = 64 << 10;
    })
    .await;
    let agent = world.agent_with("app", "echo", keeps).await;
    let again = agent.config();
    assert!(agent.stop().await);
    let mut kept = 0;
    let full = loop {
        let answer = world.post("app", "/", &[7; 8000]).await;
        if answer.status != 202 {
            break answer;
        }
        kept += 1;
    };
    assert_eq!(
        (full.status.as_u16(), full.error()),
        (507, Some("inbox-full"))
    );
    assert!((4..=8).contains(&kept), "{kept}");
    // There is room again once they are delivered.
    let mut agent = Agent::start(again);
    agent.online().await;
    eventually("all are delivered", async || {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains(&format!("inbox_delivered_total {kept}\n"))
    })
    .await;
    assert!(agent.stop().await);
    id(&world.post("app", "/", &[7; 8000]).await);
}

/// SQLite is not given another page, as when a disk is full; what makes room must still get through.
#[tokio::test]
async fn a_full_disk_is_said_before_anything_is_accepted() {
    let world = World::with(|config| config.inbox.as_mut().unwrap().bytes = 1 << 20).await;
    let agent = world.agent_with("app", "echo", keeps).await;
    let again = agent.config();
    assert!(agent.stop().await);
    for _ in 0..3 {
        id(&world.post("app", "/", &[7; 8000]).await);
    }
    // The file is held to less than this, whatever the requests in it were counted as.
    let db = database::connect(&world.state().join("relay")).unwrap();
    let ballast = "CREATE TABLE ballast (b BLOB); INSERT INTO ballast VALUES (zeroblob(8000000))";
    db.execute_batch(ballast).unwrap();
    for _ in 0..3 {
        let full = world.post("app", "/", &[7; 80_000]).await;
        assert_eq!(
            (full.status.as_u16(), full.error()),
            (507, Some("inbox-full"))
        );
    }
    let metrics = world.admin_text("/metrics").await;
    for line in ["inbox_waiting 3", "inbox_refused_total 3"] {
        assert!(
            metrics.contains(&format!("\nadit_relay_{line}\n")),
            "{line}"
        );
    }
    let mut agent = Agent::start(again);
    agent.online().await;
    eventually("all are delivered", async || {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains("inbox_delivered_total 3\n")
    })
    .await;
    assert!(agent.stop().await);
    eventually("there is room again", async || {
        world.post("app", "/", &[7; 8000]).await.status == 202
    })
    .await;
}

#[tokio::test]
async fn one_visitor_leaves_room_for_others_in_an_inbox() {
    let world = World::with(|config| {
        let limits = config.inbox.as_mut().unwrap();
        limits.requests_per_address = 2;
    })
    .await;
    let agent = world.agent_with("app", "echo", keeps).await;
    assert!(agent.stop().await);
    for _ in 0..2 {
        id(&world.post("app", "/", b"x").await);
    }
    let full = world.post("app", "/", b"x").await;
    assert_eq!(
        (full.status.as_u16(), full.error()),
        (507, Some("inbox-full"))
    );
    let agent = world.agent_with("other", "echo", keeps).await;
    assert!(agent.stop().await);
    id(&world.post("other", "/", b"x").await);
}

#[tokio::test]
async fn a_delivery_that_fails_is_marked_when_it_is_tried_again_and_lets_others_pass() {
    let world = World::start().await;
    let log = Log::default();
    let origin = log.origin(failing(503, 1)).await;
    let url = format!("http://{}", origin.address);
    let agent = world.agent_with("app", &url, keeps).await;
    let again = agent.config();
    assert!(agent.stop().await);
    let first = id(&world.post("app", "/first", b"1").await);
    id(&world.post("app", "/second", b"2").await);
    let mut agent = Agent::start(again);
    agent.online().await;
    let got = log.has(3).await;
    let seen: Vec<_> = got
        .iter()
        .map(|got| (&*got.target, got.field("adit-webhook-attempt").unwrap()))
        .collect();
    assert_eq!(seen, [("/first", "1"), ("/second", "1"), ("/first", "2")]);
    assert_eq!(got[2].field("adit-inbox"), Some(&*first));
}

#[tokio::test]
async fn with_5xx_a_failed_request_is_kept_as_tried() {
    let world = World::start().await;
    let log = Log::default();
    let origin = log.origin(failing(500, 1)).await;
    let url = format!("http://{}", origin.address);
    let agent = world.agent_with("app", &url, |config| {
        config.tunnels[0].inbox = Some(Inbox {
            causes: Causes::SERVER_ERROR,
            ..Inbox::default()
        });
    });
    let _agent = agent.await;
    id(&world.post("app", "/", b"1").await);
    let got = log.has(2).await;
    assert_eq!(got[1].field("adit-webhook-attempt"), Some("2"));
}

#[tokio::test]
async fn a_sender_is_answered_in_time_while_the_origin_stands_at_a_breakpoint() {
    let world = World::start().await;
    let log = Log::default();
    let (go, gone) = tokio::sync::watch::channel(false);
    let origin = {
        let log = log.clone();
        Origin::serving(move |request| {
            let (log, mut gone) = (log.clone(), gone.clone());
            async move {
                let fields = request.headers().clone();
                let target = request.uri().to_string();
                let body = Bytes::new();
                log.0.lock().unwrap().push(Got {
                    target,
                    fields,
                    body,
                });
                drop(gone.wait_for(|go| *go).await);
                Response::new(Full::new(Bytes::new()))
            }
        })
        .await
    };
    let url = format!("http://{}", origin.address);
    let _agent = world
        .agent_with("app", &url, |config| {
            config.tunnels[0].inbox = Some(Inbox {
                ack_within: Some(Duration::from_millis(100)),
                ..Inbox::default()
            });
        })
        .await;
    id(&world.post("app", "/", b"1").await);
    let inboxes = world.admin_text("/api/v1/inboxes").await;
    assert!(inboxes.contains("\"at-origin\":1"), "{inboxes}");
    go.send(true).unwrap();
    eventually("the late answer settles it", async || {
        let inboxes = world.admin_text("/api/v1/inboxes").await;
        inboxes.contains("\"at-origin\":0") && inboxes.contains("\"waiting\":0")
    })
    .await;
    assert_eq!(log.all().len(), 1);
}

#[tokio::test]
async fn a_relay_that_keeps_nothing_says_so() {
    let world = World::with(|config| config.inbox = None).await;
    let mut agent = world.start_agent("app", "echo", keeps);
    let message = agent
        .wait("word about the inbox", |event| match event {
            Event::Inbox {
                open: false,
                message,
                ..
            } => Some(message),
            _ => None,
        })
        .await;
    assert!(message.contains("--inbox=false"), "{message}");
}

#[tokio::test]
async fn nobody_else_gets_a_name_that_has_an_inbox_nor_what_is_in_it() {
    let world = World::start().await;
    let agent = world.agent_with("app", "echo", keeps).await;
    assert!(agent.stop().await);
    id(&world.post("app", "/", b"1").await);
    let mut other = world.start_agent("app", "echo", |_| {});
    other
        .wait("refused", |event| {
            matches!(event, Event::Refused { .. }).then_some(())
        })
        .await;
}
