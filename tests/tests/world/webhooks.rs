//! Webhooks on their way to the origin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use adit_agent::config::webhooks::{Challenges, Duplicates};
use adit_agent::config::{Inbox, Webhooks};
use adit_agent::status::{Event, Outcome, Request};
use adit_shared::webhook::{Message, Mode, Rule, Secret, Seen, provider, sign};
use adit_shared::wire::fields::Fields;
use adit_tests::kept::{Webhook, keep};
use adit_tests::origin::Origin;
use adit_tests::visit::{Answer, parse};
use adit_tests::world::Agent;
use adit_tests::{World, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A request that posts `body` with these fields.
fn request(target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "POST {target} HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

async fn post(world: &World, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
    world.say(&request(target, fields, body)).await
}

/// Posts `body` signed by `name` with the secret of [`rule`].
async fn post_signed(world: &World, name: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
    let fields = Fields::from_pairs(fields.iter().copied()).unwrap();
    let message = Message::new("POST", "", &fields, body);
    let secret = Secret::new("c2VjcmV0").unwrap();
    let now = SystemTime::now();
    let signed = sign(provider(name).unwrap(), &secret, &message, now).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let pairs = signed.fields.iter();
    let pairs: Vec<_> = pairs.map(|(n, v)| (text(n), text(v))).collect();
    let pairs: Vec<_> = pairs.iter().map(|(n, v)| (&**n, &**v)).collect();
    post(world, "/hook", &pairs, body).await
}

fn rule(name: &str, mode: Mode) -> Rule {
    Rule {
        provider: provider(name).unwrap(),
        mode,
        path: "/hook".parse().unwrap(),
        // While one takes the place of the other, both are good.
        secrets: vec![
            Secret::new("bmV3").unwrap(),
            Secret::new("c2VjcmV0").unwrap(),
        ],
        tolerance: None,
    }
}

/// An agent for `app` with these settings.
async fn agent(world: &World, origin: &str, hooks: Webhooks) -> Agent {
    let set = |config: &mut adit_agent::config::Config| config.tunnels[0].webhooks = hooks;
    world.agent_with("app", origin, set).await
}

fn rules(rules: Vec<Rule>) -> Webhooks {
    Webhooks {
        rules,
        ..Webhooks::default()
    }
}

/// The next request that the agent tells of.
async fn told(agent: &mut Agent) -> Request {
    let request = agent.wait("a request", |event| match event {
        Event::Request(request) => Some(request),
        _ => None,
    });
    request.await
}

async fn seen(agent: &mut Agent) -> Option<Seen> {
    told(agent).await.webhook
}

/// An origin that counts its requests, and answers with the number.
async fn counting(status: u16) -> (Origin, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let origin = Origin::serving(move |_| {
        let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            let body = http_body_util::Full::<bytes::Bytes>::from(number.to_string());
            let response = http::Response::builder().header("x-number", number);
            response.status(status).body(body).unwrap()
        }
    })
    .await;
    (origin, count)
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[tokio::test]
async fn a_webhook_is_recognised_without_its_secret() {
    let world = World::start().await;
    let mut agent = agent(&world, "echo", Webhooks::default()).await;
    let fields = [("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "72d3")];
    post(&world, "/hook", &fields, b"{}").await;
    let webhook = seen(&mut agent).await.unwrap();
    assert_eq!(
        (webhook.provider, webhook.event.as_deref()),
        ("github", Some("push"))
    );
    assert_eq!(webhook.id.as_deref(), Some("72d3"));
    assert_eq!((webhook.verified, webhook.attempt), (None, 1));
    let body = br#"{"id":"evt_1","type":"charge.failed"}"#;
    let said = post(&world, "/hook", &[("stripe-signature", "t=1")], body).await;
    assert!(
        said.text()
            .ends_with(r#"{"id":"evt_1","type":"charge.failed"}"#)
    );
    let webhook = seen(&mut agent).await.unwrap();
    assert_eq!(webhook.event.as_deref(), Some("charge.failed"));
    assert_eq!(webhook.id.as_deref(), Some("evt_1"));
    post(&world, "/form", &[], b"{}").await;
    assert_eq!(seen(&mut agent).await, None);
}

#[tokio::test]
async fn an_unsigned_request_never_reaches_an_origin_with_enforced_webhooks() {
    let world = World::start().await;
    let (origin, count) = counting(201).await;
    let hooks = rules(vec![
        rule("github", Mode::Enforce),
        rule("slack", Mode::Enforce),
    ]);
    let mut agent = agent(&world, &url(origin.address), hooks).await;
    let fields = [("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "1")];
    for bad in [
        request("/hook", &fields, b"{}"),
        request("/hook", &[("x-hub-signature-256", "sha256=00")], b"{}"),
        b"GET /hook HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n".to_vec(),
        b"GET /hook?x HTTP/1.1\r\nhost: app.localhost\r\nconnection: close, upgrade\r\n\
          upgrade: websocket\r\n\r\n"
            .to_vec(),
    ] {
        let answer = world.say(&bad).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.error(), Some("webhook-unverified"));
        let outcome = told(&mut agent).await.outcome;
        assert_eq!(outcome, Outcome::Answered("webhook-unverified"));
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
    for name in ["github", "slack"] {
        let answer = post_signed(&world, name, &fields, b"{\"type\":\"a\"}").await;
        assert_eq!(answer.status, 201, "{name}");
        let webhook = seen(&mut agent).await.unwrap();
        assert_eq!((webhook.provider, webhook.verified), (name, Some(true)));
    }
    assert_eq!(world.get("app", "/elsewhere").await.status, 201);
    told(&mut agent).await;
    post(&world, "/hook", &fields, b"{}").await;
    let webhook = seen(&mut agent).await.unwrap();
    assert_eq!(
        (webhook.verified, webhook.why),
        (Some(false), Some("unsigned"))
    );
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn only_the_agent_tells_the_origin_that_a_webhook_is_genuine() {
    let world = World::start().await;
    let hooks = rules(vec![rule("github", Mode::Tag)]);
    let _agent = agent(&world, "echo", hooks).await;
    let forged = [
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", "1"),
        ("Adit-Webhook-Verified", "github"),
        ("adit-webhook-attempt", "9"),
    ];
    for target in ["/hook", "/elsewhere"] {
        let said = post(&world, target, &forged, b"{}").await.text();
        assert!(!said.contains("adit-webhook"), "{target}: {said}");
    }
    let said = post_signed(&world, "github", &forged, b"{}").await.text();
    let told: Vec<_> = said.lines().filter(|l| l.starts_with("adit")).collect();
    let expected = r#"adit-webhook-verified: github; event="push"; id="1""#;
    assert_eq!(told, [expected], "{said}");
    let said = post_signed(&world, "github", &forged, b"{}").await.text();
    assert!(said.contains("\nadit-webhook-attempt: 2\n"), "{said}");
}

/// Without any rule, too: an origin may look for the field whatever the agent was started with.
#[tokio::test]
async fn a_visitor_cannot_say_that_its_webhook_is_genuine() {
    let world = World::start().await;
    let _agent = agent(&world, "echo", Webhooks::default()).await;
    let forged = [
        ("Adit-Webhook-Verified", "github"),
        ("Adit-Webhook-Attempt", "9"),
        ("x-kept", "1"),
    ];
    let said = post(&world, "/a", &forged, b"{}").await.text();
    assert!(
        !said.contains("adit-webhook") && said.contains("x-kept"),
        "{said}"
    );
}

#[tokio::test]
async fn a_body_above_the_limit_is_streamed_untagged_or_refused() {
    let world = World::start().await;
    let mut hooks = rules(vec![rule("github", Mode::Tag)]);
    hooks.limit = 10_000;
    let mut tagging = agent(&world, "echo", hooks).await;
    let body: Vec<u8> = (0..200_000_u32).map(|at| b'a' + (at % 26) as u8).collect();
    let fields = [("x-github-event", "push")];
    let answer = post_signed(&world, "github", &fields, &body).await;
    assert!(answer.body.ends_with(&body), "byte for byte");
    assert!(!answer.text().contains("adit-webhook"));
    let webhook = seen(&mut tagging).await.unwrap();
    assert_eq!(
        (webhook.verified, webhook.why),
        (Some(false), Some("too-large"))
    );
    tagging.stop().await;
    let mut hooks = rules(vec![rule("github", Mode::Enforce)]);
    hooks.limit = 10_000;
    let _agent = agent(&world, "echo", hooks).await;
    let answer = post_signed(&world, "github", &fields, &body).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.error(), Some("webhook-too-large"));
    let body = &body[..10_000];
    let answer = post_signed(&world, "github", &fields, body).await;
    assert!(answer.status == 200 && answer.body.ends_with(body));
}

#[tokio::test]
async fn chunks_trailers_and_a_waiting_visitor_are_no_obstacle() {
    let world = World::start().await;
    let hooks = rules(vec![rule("github", Mode::Enforce)]);
    let _agent = agent(&world, "echo", hooks).await;
    let fields = Fields::from_pairs([("x-github-event", "push")]).unwrap();
    let message = Message::new("POST", "", &fields, b"hello world");
    let secret = Secret::new("c2VjcmV0").unwrap();
    let github = provider("github").unwrap();
    let signed = sign(github, &secret, &message, SystemTime::now()).unwrap();
    let signature = signed.fields.get("x-hub-signature-256").unwrap();
    let signature = String::from_utf8_lossy(signature);
    let head = format!(
        "POST /hook HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\nexpect: 100-continue\r\n\
         x-hub-signature-256: {signature}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let mut stream = world.dial().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    soon("100", stream.read_exact(&mut interim)).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    let body = b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n";
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    soon("an answer", stream.read_to_end(&mut answer))
        .await
        .unwrap();
    let answer = parse(&answer);
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().ends_with("\n\nhello world"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_duplicate_is_dropped_and_gets_the_first_answer_again() {
    let world = World::start().await;
    let (origin, count) = counting(201).await;
    let mut hooks = rules(vec![rule("github", Mode::Tag)]);
    hooks.duplicates = Duplicates::Drop;
    let mut agent = agent(&world, &url(origin.address), hooks).await;
    let fields = [("x-github-event", "push"), ("x-github-delivery", "7")];
    // What anybody can send keeps no genuine event away.
    assert_eq!(post(&world, "/hook", &fields, b"{}").await.text(), "1");
    assert_eq!(seen(&mut agent).await.unwrap().attempt, 1);
    for attempt in 1..=3 {
        let answer = post_signed(&world, "github", &fields, b"{}").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (201, "2"));
        assert_eq!(answer.fields["x-number"], "2");
        assert_eq!(seen(&mut agent).await.unwrap().attempt, attempt);
    }
    let other = [("x-github-event", "push"), ("x-github-delivery", "8")];
    assert_eq!(
        post_signed(&world, "github", &other, b"{}").await.text(),
        "3"
    );
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_duplicate_of_an_event_that_failed_is_tried_again() {
    let world = World::start().await;
    let mut hooks = rules(vec![rule("github", Mode::Tag)]);
    hooks.duplicates = Duplicates::Drop;
    let (origin, count) = counting(500).await;
    let _agent = agent(&world, &url(origin.address), hooks).await;
    let fields = [("x-github-event", "push"), ("x-github-delivery", "7")];
    for attempt in 1..=2 {
        let answer = post_signed(&world, "github", &fields, b"{}").await;
        assert_eq!(answer.status, 500);
        assert_eq!(count.load(Ordering::Relaxed), attempt);
    }
}

#[tokio::test]
async fn what_an_origin_that_is_down_never_saw_is_no_attempt() {
    let world = World::start().await;
    let nobody = Origin::nobody().await;
    let set = |config: &mut adit_agent::config::Config| {
        config.tunnels[0].inbox = Some(Inbox::default());
    };
    let mut agent = world.agent_with("app", &url(nobody), set).await;
    let fields = [("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "72d3")];
    let kept = post(&world, "/hook", &fields, b"{}").await;
    assert_eq!(kept.status, 202);
    // The first time as it came, then as the relay tries it.
    for _ in 0..3 {
        let webhook = seen(&mut agent).await.unwrap();
        assert_eq!((webhook.id.as_deref(), webhook.attempt), (Some("72d3"), 1));
    }
}

#[tokio::test]
async fn challenges_are_answered_while_the_origin_is_down() {
    let world = World::start().await;
    let nobody = url(Origin::nobody().await);
    let hooks = rules(vec![rule("slack", Mode::Tag), rule("x", Mode::Tag)]);
    let down = agent(&world, &nobody, hooks.clone()).await;
    let challenge = br#"{"type":"url_verification","challenge":"3eZ"}"#;
    let answer = post_signed(&world, "slack", &[], challenge).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, "3eZ")
    );
    let answer = post(
        &world,
        "/hook",
        &[("x-slack-signature", "v0=00")],
        challenge,
    )
    .await;
    assert_eq!(answer.status, 502, "not signed");
    let answer = post_signed(&world, "slack", &[], b"{\"type\":\"event\"}").await;
    assert_eq!(answer.status, 502, "no challenge");
    let answer = world.get("app", "/hook?crc_token=abc").await;
    assert!(answer.text().contains("response_token"), "{answer:?}");
    down.stop().await;

    let (origin, count) = counting(201).await;
    let up = agent(&world, &url(origin.address), hooks.clone()).await;
    let answer = post_signed(&world, "slack", &[], challenge).await;
    assert_eq!(answer.text(), "1", "the origin answers for itself");
    up.stop().await;
    let hooks = Webhooks {
        challenges: Challenges::Always,
        ..hooks
    };
    let always = agent(&world, &url(origin.address), hooks).await;
    let answer = post_signed(&world, "slack", &[], challenge).await;
    assert_eq!(answer.text(), "3eZ");
    always.stop().await;

    // What is not signed cannot be let through, and must be answered.
    let hooks = rules(vec![rule("meta", Mode::Enforce)]);
    let _agent = agent(&world, &url(origin.address), hooks).await;
    let target = "/hook?hub.mode=subscribe&hub.challenge=12&hub.verify_token=t";
    assert_eq!(world.get("app", target).await.text(), "12");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_webhook_that_never_comes_whole_is_given_up() {
    let world = World::start().await;
    let (origin, count) = counting(201).await;
    let hooks = rules(vec![rule("github", Mode::Enforce)]);
    let mut agent = agent(&world, &url(origin.address), hooks).await;
    let whole = request("/hook", &[("x-github-event", "push")], b"0123456789");
    let mut stream = world.dial().await;
    stream.write_all(&whole[..whole.len() - 4]).await.unwrap();
    drop(stream);
    let request = soon("the end", told(&mut agent)).await;
    assert_eq!(request.status, None);
    assert!(request.took < Duration::from_secs(10));
    assert_eq!(count.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_origin_over_http2_gets_webhooks_too() {
    let world = World::start().await;
    let (origin, count) = counting(201).await;
    let hooks = rules(vec![rule("github", Mode::Enforce)]);
    let _agent = agent(&world, &format!("h2c://{}", origin.address), hooks).await;
    let fields = [("x-github-event", "push")];
    for body in [&b"{}"[..], b"", &[b'x'; 100_000]] {
        let answer = post_signed(&world, "github", &fields, body).await;
        assert_eq!(answer.status, 201, "{} bytes", body.len());
    }
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_kept_webhook_is_as_old_as_it_was_when_it_came() {
    let world = World::start().await;
    let (origin, count) = counting(201).await;
    let hooks = rules(vec![rule("stripe", Mode::Enforce)]);
    let set = |config: &mut adit_agent::config::Config| {
        config.tunnels[0].webhooks = hooks;
        config.tunnels[0].inbox = Some(Inbox::default());
    };
    let away = world.agent_with("app", &url(origin.address), set).await;
    let again = away.config();
    assert!(away.stop().await);
    let hour = Duration::from_secs(3600);
    let came = SystemTime::now() - hour;
    let fresh = Webhook {
        provider: "stripe",
        secret: "c2VjcmV0",
        signed: came - Duration::from_secs(60),
        came,
        target: "/hook",
        body: r#"{"id":"evt_1"}"#,
    };
    let stale = Webhook {
        signed: came - hour,
        body: r#"{"id":"evt_2"}"#,
        ..fresh
    };
    let state = world.state().join("relay");
    let world = world.restart_relay(keep(&state, &[fresh, stale])).await;
    let mut agent = Agent::start(again);
    agent.online().await;
    for (id, verified, why) in [
        ("evt_1", Some(true), None),
        ("evt_2", Some(false), Some("stale")),
    ] {
        let webhook = seen(&mut agent).await.unwrap();
        assert_eq!(webhook.id.as_deref(), Some(id));
        assert_eq!((webhook.verified, webhook.why), (verified, why), "{id}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    // Only the relay says when something came.
    let fields = Fields::new();
    let message = Message::new("POST", "", &fields, b"{}");
    let secret = Secret::new("c2VjcmV0").unwrap();
    let signed = sign(provider("stripe").unwrap(), &secret, &message, came).unwrap();
    let signature = signed.fields.get("stripe-signature").unwrap();
    let signature = str::from_utf8(signature).unwrap();
    let came = "2020-01-01T00:00:00.000Z";
    for name in ["adit-inbox-received", "Adit_Inbox_Received"] {
        let fields = [("stripe-signature", signature), (name, came)];
        let answer = post(&world, "/hook", &fields, b"{}").await;
        assert_eq!(answer.error(), Some("webhook-unverified"), "{name}");
    }
}
