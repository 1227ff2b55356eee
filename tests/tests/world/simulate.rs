//! Failures that the agent simulates.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use adit_agent::config::Config as AgentConfig;
use adit_agent::config::Inbox;
use adit_agent::status::Event;
use adit_tests::origin::Origin;
use adit_tests::{World, eventually};
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};

type Got = Arc<Mutex<Vec<Bytes>>>;

/// An origin that notes the bodies that it gets.
async fn origin() -> (Origin, Got) {
    let got = Got::default();
    let log = got.clone();
    let origin = Origin::serving(move |request| {
        let log = log.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            log.lock().unwrap().push(body);
            Response::new(Full::new(Bytes::from_static(b"seen")))
        }
    })
    .await;
    (origin, got)
}

fn simulates(knobs: &'static str) -> impl FnOnce(&mut AgentConfig) {
    |config| config.simulate = Some(knobs.parse().unwrap())
}

async fn has(got: &Got, count: usize) -> Vec<Bytes> {
    eventually("the origin has them", async || {
        got.lock().unwrap().len() >= count
    })
    .await;
    got.lock().unwrap().clone()
}

#[tokio::test]
async fn a_share_of_the_requests_comes_twice() {
    let world = World::start().await;
    let (origin, got) = origin().await;
    let url = format!("http://{}", origin.address);
    let knobs = simulates("duplicate=30%,seed=7");
    let _agent = world.agent_with("app", &url, knobs).await;
    for number in 0..40 {
        let body = format!("{number} {}", "x".repeat(30_000));
        let answer = world.post("app", "/", body.as_bytes()).await;
        assert_eq!(answer.text(), "seen");
    }
    let twice = |got: &[Bytes]| {
        let count = |body: &Bytes| got.iter().filter(|one| *one == body).count();
        got.iter().filter(|body| count(body) == 2).count() / 2
    };
    // The seed says how many.
    let got = has(&got, 40 + TWICE).await;
    assert_eq!((got.len(), twice(&got)), (40 + TWICE, TWICE));
}

#[tokio::test]
async fn a_request_waits_before_the_origin_has_it() {
    let world = World::start().await;
    let (origin, got) = origin().await;
    let url = format!("http://{}", origin.address);
    let knobs = simulates("delay=300ms,seed=1");
    let _agent = world.agent_with("app", &url, knobs).await;
    let since = Instant::now();
    assert_eq!(world.post("app", "/", b"x").await.text(), "seen");
    assert!(since.elapsed() >= Duration::from_millis(300));
    assert_eq!(got.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn requests_overtake_each_other() {
    let world = World::start().await;
    let (origin, got) = origin().await;
    let url = format!("http://{}", origin.address);
    let knobs = simulates("delay=400ms,reorder,seed=3");
    let _agent = world.agent_with("app", &url, knobs).await;
    let bodies: Vec<_> = (0..8_u8).map(|number| [number]).collect();
    let posts = bodies.iter().map(|body| world.post("app", "/", body));
    futures_util::future::join_all(posts).await;
    let got: Vec<_> = got.lock().unwrap().iter().map(|body| body[0]).collect();
    assert_eq!(got.len(), 8);
    assert!(!got.is_sorted(), "{got:?}");
}

/// The origin has done its work, and nobody hears of it: with an inbox the request comes once more, and says so.
#[tokio::test]
async fn a_lost_response_is_a_failure_to_whoever_waits_for_it() {
    let world = World::start().await;
    let (origin, got) = origin().await;
    let url = format!("http://{}", origin.address);
    let knobs = simulates("drop-response=100%,seed=1");
    let agent = world.agent_with("app", &url, knobs).await;
    let answer = world.post("app", "/", b"one").await;
    assert_eq!(answer.error(), Some("origin-reset"));
    assert_eq!(has(&got, 1).await, ["one"]);
    assert!(agent.stop().await);
    let _agent = world
        .agent_with("app", &url, |config| {
            simulates("drop-response=100%,seed=1")(config);
            config.tunnels[0].inbox = Some(Inbox::default());
        })
        .await;
    assert_eq!(world.post("app", "/", b"two").await.status, 202);
    assert_eq!(has(&got, 3).await[1..3], ["two", "two"]);
}

#[tokio::test]
async fn the_agent_is_away_again_and_again() {
    let world = World::start().await;
    let (origin, _) = origin().await;
    let url = format!("http://{}", origin.address);
    let mut agent = world
        .agent_with("app", &url, simulates("offline=300ms,seed=1"))
        .await;
    for _ in 0..2 {
        let retry = agent.wait("away", |event| match event {
            Event::Offline { reason, retry_in } if reason.contains("simulated") => Some(retry_in),
            _ => None,
        });
        assert_eq!(retry.await, Some(Duration::from_millis(300)));
        let since = Instant::now();
        agent.online().await;
        assert!(since.elapsed() >= Duration::from_millis(250));
    }
}

/// Of forty, with the seed above.
const TWICE: usize = 11;
