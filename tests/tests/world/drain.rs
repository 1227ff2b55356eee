//! Stopping on purpose: what is in flight finishes, nothing new is taken, and no task is left.

use std::sync::Arc;
use std::time::Duration;

use adit_agent::status::Event;
use adit_tests::mix::Mix;
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::{Path, World, eventually, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Answers when it may.
async fn slow() -> (Origin, Arc<Notify>, Arc<Notify>) {
    let (came, may) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (came.clone(), may.clone());
    let origin = Origin::scripted(move |mut stream| {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            tell.notify_one();
            wait.notified().await;
            drop(
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
                    .await,
            );
        }
    })
    .await;
    (origin, came, may)
}

async fn ask(world: &World) -> TcpStream {
    let mut visitor = world.dial().await;
    visitor
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    visitor
}

#[tokio::test]
async fn a_relay_that_drains_finishes_what_is_in_flight() {
    let mut world = World::start().await;
    let (origin, came, may) = slow().await;
    let mut agent = world.agent("app", origin.address).await;
    let mut visitor = ask(&world).await;
    soon("the request comes", came.notified()).await;
    let mut idle = world.dial().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n")
        .await
        .unwrap();
    soon("an answer", read_until(&mut idle, b"request id")).await;

    let drained = world.begin_drain();
    // The agent is told, nothing new is taken, idle connections end.
    agent
        .wait("the relay drains", |event| {
            matches!(event, Event::RelayDraining).then_some(())
        })
        .await;
    eventually("new visitors are refused", || async {
        TcpStream::connect(world.http).await.is_err()
    })
    .await;
    drop(
        soon(
            "the idle connection ends",
            idle.read_to_end(&mut Vec::new()),
        )
        .await,
    );
    assert!(world.admin_text("/readyz").await.contains("draining"));
    assert!(world.admin_text("/healthz").await.contains("ok"));

    may.notify_one();
    let answer = soon("the response", read_until(&mut visitor, b"done")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        soon("the end", drained).await.unwrap(),
        "every task ended by itself"
    );
}

#[tokio::test]
async fn whoever_was_let_in_just_before_a_drain_may_ask_once() {
    let mut world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let mut visitor = world.dial_tls("app.localhost").await;
    let mut silent = world.dial_tls("app.localhost").await;
    let drained = world.begin_drain();
    eventually("new visitors are refused", || async {
        TcpStream::connect(world.https).await.is_err()
    })
    .await;
    let request = b"GET /late HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    visitor.write_all(request).await.unwrap();
    let mut answer = String::new();
    drop(soon("an answer", visitor.read_to_string(&mut answer)).await);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    let mut nothing = Vec::new();
    drop(soon("the silent one is left", silent.read_to_end(&mut nothing)).await);
    assert!(nothing.is_empty());
    assert!(soon("the end", drained).await.unwrap(), "nothing was cut");
}

/// Invariant 7: no task outlives the drain.
#[tokio::test]
async fn a_drain_ends_within_its_grace_whatever_is_in_flight() {
    let mut world = World::with(|config| config.drain_grace = Duration::from_millis(200)).await;
    let (origin, came, _may) = slow().await;
    let _agent = world.agent("app", origin.address).await;
    let mut visitor = ask(&world).await;
    soon("the request comes", came.notified()).await;
    assert!(!world.drain().await, "it gave something up");
    let mut rest = Vec::new();
    drop(soon("the visitor is told", visitor.read_to_end(&mut rest)).await);
    assert!(
        rest.is_empty(),
        "no half answer: {}",
        String::from_utf8_lossy(&rest)
    );
}

#[tokio::test]
async fn an_agent_that_is_stopped_finishes_what_is_in_flight_and_frees_its_name_at_once() {
    let world = World::start().await;
    let (origin, came, may) = slow().await;
    let agent = world.agent("app", origin.address).await;
    let mut visitor = ask(&world).await;
    soon("the request comes", came.notified()).await;
    agent.begin_stop();
    // The name is free while the old exchange still goes on.
    let stranger = async {
        eventually("another identity gets the name", || async {
            let mut other = world.start_agent("app", "echo", |_| {});
            other
                .wait("granted or refused", |event| match event {
                    Event::Online { .. } => Some(true),
                    Event::Refused { .. } => Some(false),
                    _ => None,
                })
                .await
        })
        .await;
    };
    stranger.await;
    may.notify_one();
    let answer = soon("the response", read_until(&mut visitor, b"done")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(agent.stop().await, "no task is left");
}

#[tokio::test]
async fn an_agent_that_is_stopped_says_goodbye_even_when_its_relay_is_gone() {
    let mut world = World::start().await;
    let agent = world.agent_with("app", "echo", |_| {}).await;
    world.drain().await;
    assert!(agent.stop().await);
}

/// The connection that HTTP/2 requests share is nobody's work: it must not hold up the end.
#[tokio::test]
async fn an_agent_that_has_spoken_http2_to_its_origin_stops_at_once() {
    let world = World::start().await;
    let origin = Origin::serving(|_| async {
        http::Response::new(http_body_util::Full::new(bytes::Bytes::from("hi")))
    })
    .await;
    let url = format!("h2c://{}", origin.address);
    let agent = world.agent_with("app", &url, |_| {}).await;
    assert_eq!(world.get("app", "/").await.text(), "hi");
    assert!(agent.stop().await, "a task was left");
}

#[tokio::test]
async fn nothing_is_left_of_what_was_dropped() {
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = alive();
    let world = World::start().await;
    let path = Path::to(world.quic, 7).await;
    let mix = Mix::start(Duration::from_millis(10)).await;
    let agent = mix.agent(&world, &path).await;
    let load = mix.load(world.http).await;
    assert!(alive() > before);
    drop((load, agent, mix, path, world));
    let none = || async { alive() == before };
    eventually("no task is left", none).await;
}
