//! Agents that get copies of what another one serves.

use std::sync::{Arc, Mutex};

use adit_agent::config::Config as AgentConfig;
use adit_agent::status::Event;
use adit_tests::origin::Origin;
use adit_tests::world::Agent;
use adit_tests::{World, eventually, soon};
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use tokio::io::AsyncWriteExt as _;

type Got = Arc<Mutex<Vec<(String, Bytes)>>>;

/// An origin that notes what it gets, and answers with `word`.
async fn origin(word: &'static str) -> (Origin, Got) {
    let got = Got::default();
    let log = got.clone();
    let origin = Origin::serving(move |request| {
        let log = log.clone();
        async move {
            let target = request.uri().to_string();
            // One that breaks off is none.
            if let Ok(body) = request.into_body().collect().await {
                log.lock().unwrap().push((target, body.to_bytes()));
            }
            Response::new(Full::new(Bytes::from_static(word.as_bytes())))
        }
    })
    .await;
    (origin, got)
}

fn mirrors(patterns: &str) -> impl FnOnce(&mut AgentConfig) {
    let patterns = patterns.split(',').map(|text| text.parse().unwrap());
    let patterns = patterns.collect();
    |config| config.tunnels[0].mirror = Some(patterns)
}

/// An agent of the same owner as `primary` that mirrors what it serves.
async fn mirror(primary: &AgentConfig, origin: &Origin, patterns: &str) -> Agent {
    let mut config = primary.clone();
    config.tunnels[0].origin = format!("http://{}", origin.address).parse().unwrap();
    mirrors(patterns)(&mut config);
    let mut agent = Agent::start(config);
    agent.online().await;
    agent
}

async fn has(got: &Got, count: usize) -> Vec<(String, Bytes)> {
    eventually("the copies are there", async || {
        got.lock().unwrap().len() >= count
    })
    .await;
    got.lock().unwrap().clone()
}

#[tokio::test]
async fn the_primary_answers_and_a_mirror_gets_the_same_bytes() {
    let world = World::start().await;
    let ((first, own), (second, copies)) = (origin("primary").await, origin("mirror").await);
    let primary = world.agent("app", first.address).await;
    let mirror = mirror(&primary.config(), &second, "/hooks/*,/get").await;
    let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let target = "/hooks/a%2F//b?c=%zz";
    let answer = world.post("app", target, &body).await;
    assert_eq!(answer.text(), "primary");
    assert_eq!(world.get("app", "/get").await.text(), "primary");
    let chunked = b"POST /hooks/c HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(world.say(chunked).await.text(), "primary");
    assert_eq!(world.post("app", "/other", b"x").await.text(), "primary");
    let mut copies = has(&copies, 3).await;
    let mut own = own.lock().unwrap().clone();
    own.retain(|(target, _)| target != "/other");
    // Copies are under way beside each other.
    copies.sort();
    own.sort();
    assert_eq!(copies, own, "no more than what fits the patterns");
    eventually("they are counted", async || {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains("adit_relay_mirrored_total 3\n")
            && metrics.contains("adit_relay_mirror_dropped_total 0\n")
    })
    .await;
    // It leaves, and comes and goes, and nobody notices.
    assert!(mirror.stop().await);
    assert_eq!(world.post("app", "/hooks/d", b"x").await.text(), "primary");
    assert!(primary.stop().await);
}

#[tokio::test]
async fn a_mirror_that_stands_still_holds_nobody_up() {
    let world = World::start().await;
    let (first, own) = origin("primary").await;
    let stuck = Origin::scripted(async |_stream| std::future::pending().await).await;
    let primary = world.agent("app", first.address).await;
    let _mirror = mirror(&primary.config(), &stuck, "*").await;
    // More than are under way and may wait.
    for _ in 0..120 {
        let answer = soon("an answer", world.post("app", "/", &[7; 5000])).await;
        assert_eq!(answer.text(), "primary");
    }
    assert_eq!(own.lock().unwrap().len(), 120);
    let metrics = world.admin_text("/metrics").await;
    let dropped = metrics
        .lines()
        .find_map(|line| line.strip_prefix("adit_relay_mirror_dropped_total "));
    let dropped: u32 = dropped.unwrap().parse().unwrap();
    assert!((30..=104).contains(&dropped), "{dropped}");
}

#[tokio::test]
async fn what_is_too_large_or_does_not_come_whole_is_copied_to_nobody() {
    let world = World::start().await;
    let ((first, _), (second, copies)) = (origin("primary").await, origin("mirror").await);
    let primary = world.agent("app", first.address).await;
    let _mirror = mirror(&primary.config(), &second, "*").await;
    let answer = world.post("app", "/large", &[7; (1 << 20) + 1]).await;
    assert_eq!(answer.text(), "primary");
    let mut cut = world.dial().await;
    let part = b"POST /cut HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 9\r\n\r\n1234";
    cut.write_all(part).await.unwrap();
    drop(cut);
    eventually("both are counted", async || {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains("adit_relay_mirror_dropped_total 2\n")
    })
    .await;
    world.post("app", "/small", b"x").await;
    let copies = has(&copies, 1).await;
    assert_eq!(copies, [("/small".to_owned(), Bytes::from_static(b"x"))]);
}

#[tokio::test]
async fn a_stranger_cannot_mirror_and_a_mirror_takes_nothing_over() {
    let world = World::start().await;
    let ((first, _), (second, copies)) = (origin("primary").await, origin("mirror").await);
    let _primary = world.agent("app", first.address).await;
    let url = format!("http://{}", second.address);
    let mut stranger = world.start_agent("app", &url, mirrors("*"));
    let reason = stranger.wait("refused", |event| match event {
        Event::Refused { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason.await, "taken");
    assert_eq!(world.post("app", "/", b"x").await.text(), "primary");
    // One that nobody serves is mirrored, not served.
    let alone = world.agent_with("free", &url, mirrors("*")).await;
    let answer = world.post("free", "/", b"x").await;
    assert_eq!(answer.error(), Some("agent-away"));
    assert_eq!(copies.lock().unwrap().len(), 0);
    assert!(alone.stop().await);
}
