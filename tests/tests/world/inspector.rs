//! What the agent's inspector keeps of exchanges that went through a tunnel.

use std::sync::Arc;

use adit_agent::capture::exchange::State;
use adit_agent::capture::messages::Kind;
use adit_agent::capture::summary::Summary;
use adit_agent::capture::{Capture, Exchange, Limits, Side};
use adit_tests::origin::Origin;
use adit_tests::world::Agent;
use adit_tests::{World, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn inspected(agent: &Agent, limits: Limits) -> Capture {
    let capture = Capture::new(limits, None);
    agent.status.keep_exchanges(capture.clone());
    capture
}

async fn ended(capture: &Capture, count: usize) -> Vec<Arc<Exchange>> {
    let mut changes = capture.changes();
    soon("exchanges end", async {
        loop {
            let all = capture.all();
            if all.len() == count && all.iter().all(|one| one.is_ended()) {
                return all;
            }
            changes.changed().await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn an_exchange_is_kept_as_it_passed() {
    let world = World::start().await;
    let agent = world.agent_with("app", "echo", |_| {}).await;
    let capture = inspected(&agent, Limits::default());
    let body = vec![b'x'; 100_000];
    let answer = world.post("app", "/a%2Fb//c?d=%20e", &body).await;
    let all = ended(&capture, 1).await;
    let one = &all[0];
    let (sent, received) = one.bodies();
    assert_eq!(sent, body);
    assert_eq!(received, answer.body);
    let summary = Summary::of(one);
    assert_eq!(summary.target, "/a%2Fb//c?d=%20e");
    assert_eq!(summary.status, Some(200));
    assert_eq!(summary.outcome.as_deref(), Some("done"));
    assert_eq!(summary.received, 100_000);
    assert_eq!(summary.visitor.as_deref(), Some("127.0.0.1"));
    assert!(summary.phases.first_byte.unwrap() <= summary.took);
    assert!(summary.phases.request.unwrap() <= summary.took);
    assert!(capture.memory() >= 200_000);
    drop((all, sent, received));
    capture.clear();
    assert_eq!(capture.memory(), 0, "all that was held was given back");
}

#[tokio::test]
async fn what_is_kept_is_bounded() {
    let world = World::start().await;
    let agent = world.agent_with("app", "echo", |_| {}).await;
    let limits = Limits {
        requests: 4,
        memory: 120_000,
        body: 40_000,
        rate: 1,
    };
    let capture = inspected(&agent, limits);
    for _ in 0..4 {
        world.post("app", "/", &vec![b'x'; 100_000]).await;
    }
    assert!(capture.memory() <= limits.memory, "{}", capture.memory());
    let all = capture.all();
    assert!(all.len() < 4, "the oldest made room");
    let last = all.last().unwrap().clone();
    assert!(last.bodies().0.len() <= limits.body);
    let told = |state: &State| (state.sent.is_cut(), state.sent.size());
    assert_eq!(told(&last.state()), (true, 100_000));
    // Of a flood the rest is only counted.
    let before = capture.left_out();
    for _ in 0..20 {
        assert_eq!(world.get("app", "/").await.status, 200);
    }
    assert!(capture.left_out() >= before + 15, "{}", capture.left_out());
}

#[tokio::test]
async fn a_visitor_that_leaves_and_an_origin_that_refuses_are_told_apart() {
    let world = World::start().await;
    let nothing = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = nothing.local_addr().unwrap();
    drop(nothing);
    let agent = world.agent("app", address).await;
    let capture = inspected(&agent, Limits::default());
    assert_eq!(world.get("app", "/").await.status, 502);
    let all = ended(&capture, 1).await;
    let summary = Summary::of(&all[0]);
    assert_eq!(summary.outcome.as_deref(), Some("origin-refused"));
    assert!(summary.is_failed() && summary.status.is_none());

    let origin = Origin::scripted(async |_stream| std::future::pending().await).await;
    let agent = world.agent("slow", origin.address).await;
    let capture = inspected(&agent, Limits::default());
    let mut visitor = world.dial().await;
    let request = "GET / HTTP/1.1\r\nhost: slow.localhost\r\n\r\n";
    visitor.write_all(request.as_bytes()).await.unwrap();
    let mut changes = capture.changes();
    soon("it begins", async {
        while capture.all().is_empty() {
            changes.changed().await.unwrap();
        }
    })
    .await;
    assert!(Summary::of(&capture.all()[0]).pending);
    drop(visitor);
    let all = ended(&capture, 1).await;
    let summary = Summary::of(&all[0]);
    assert_eq!(summary.outcome.as_deref(), Some("visitor-left"));
}

#[tokio::test]
async fn messages_of_a_websocket_are_kept() {
    let origin = Origin::scripted(async |mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                      sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut frame = [0; 11];
        stream.read_exact(&mut frame).await.unwrap();
        stream.write_all(b"\x81\x02ok\x88\x02\x03\xe8").await.unwrap();
    })
    .await;
    let world = World::start().await;
    let agent = world.agent("app", origin.address).await;
    let capture = inspected(&agent, Limits::default());
    let mut visitor = world.dial().await;
    let request = "GET /ws HTTP/1.1\r\nhost: app.localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    visitor.write_all(request.as_bytes()).await.unwrap();
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    visitor.write_all(&masked).await.unwrap();
    let mut rest = Vec::new();
    let closed = visitor.read_to_end(&mut rest);
    drop(soon("the switch ends", closed).await);
    drop(visitor);
    let all = ended(&capture, 1).await;
    let summary = Summary::of(&all[0]);
    assert_eq!((summary.kind, summary.status), ("websocket", Some(101)));
    let state = all[0].state();
    let messages = &state.messages.as_ref().unwrap().last;
    let told: Vec<_> = messages
        .iter()
        .map(|(_, one)| (one.side, one.kind, one.start.as_slice()))
        .collect();
    assert_eq!(
        told,
        [
            (Side::Visitor, Kind::Text, &b"Hello"[..]),
            (Side::Origin, Kind::Text, b"ok"),
            (Side::Origin, Kind::Close, b"\x03\xe8"),
        ]
    );
}

#[tokio::test]
async fn an_inspector_knows_how_a_request_came_to_the_relay() {
    let world = World::start().await;
    let any = Some(([127, 0, 0, 1], 0).into());
    let set = |config: &mut adit_agent::config::Config| config.inspect = any;
    let agent = world.agent_with("app", "echo", set).await;
    let capture = inspected(&agent, Limits::default());
    let first = world.get("app", "/").await;
    let (second, _) = world
        .h2("app.localhost")
        .await
        .get("https://app.localhost/")
        .await
        .unwrap();
    let (third, _) = world
        .h3("app.localhost")
        .await
        .get("https://app.localhost/")
        .await
        .unwrap();
    let all = ended(&capture, 3).await;
    for (one, version) in all.iter().zip(["HTTP/1.1", "HTTP/2", "HTTP/3"]) {
        let summary = Summary::of(one);
        assert_eq!(summary.version, Some(version));
        assert!(summary.phases.relay.unwrap() < 10_000.0);
    }
    for answer in [first, second, third] {
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn an_agent_that_does_not_ask_is_not_told_how_a_request_came() {
    let world = World::start().await;
    let agent = world.agent_with("app", "echo", |_| {}).await;
    let capture = inspected(&agent, Limits::default());
    assert_eq!(world.get("app", "/").await.status, 200);
    let all = ended(&capture, 1).await;
    let summary = Summary::of(&all[0]);
    assert_eq!((summary.version, summary.phases.relay), (None, None));
}
