//! Agents that go away and come back, over ways that are cut, lossy and moved.

use std::time::{Duration, Instant};

use adit_agent::config::RelayAddress;
use adit_agent::status::Event;
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::path::Faults;
use adit_tests::world::Agent;
use adit_tests::{Path, World, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// An agent that reaches the relay over `path`.
async fn agent_over(world: &World, path: &Path, name: &str, origin: &str) -> Agent {
    let port = path.address.port();
    world
        .agent_with(name, origin, |config| {
            config.relay = RelayAddress::Remote {
                host: "127.0.0.1".into(),
                port,
            };
        })
        .await
}

/// Waits until the relay has seen that no agent is left.
async fn alone(world: &World) {
    adit_tests::eventually("the relay sees that its agent is gone", || async {
        world
            .admin_text("/api/v1/status")
            .await
            .contains("\"sessions\":0")
    })
    .await;
}

#[tokio::test]
async fn a_request_is_held_until_its_agent_is_back() {
    let world = World::start().await;
    let agent = world.agent_with("app", "echo", |_| {}).await;
    let config = agent.config();
    agent.kill();
    alone(&world).await;
    let waiting = world.get("app", "/held");
    let back = async {
        adit_tests::eventually("the request is held", || async {
            world
                .admin_text("/metrics")
                .await
                .contains("adit_relay_held 1")
        })
        .await;
        Agent::start(config)
    };
    let (answer, _agent) = tokio::join!(waiting, back);
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("GET /held\n"));
}

#[tokio::test]
async fn a_request_whose_agent_stays_away_is_answered_503() {
    let world = World::with(|config| config.hold = Duration::from_millis(100)).await;
    let agent = world.agent_with("app", "echo", |_| {}).await;
    agent.kill();
    alone(&world).await;
    let answer = world.get("app", "/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (503, Some("agent-away"))
    );
    assert!(answer.fields.contains_key("retry-after"));
}

#[tokio::test]
async fn an_agent_finds_its_relay_again_after_a_restart() {
    let world = World::start().await;
    let mut agent = world.agent_with("app", "echo", |_| {}).await;
    let first = agent.url.clone();
    let world = world.restart_relay(async {}).await;
    agent
        .wait("offline or draining", |event| match event {
            Event::Offline { .. } | Event::RelayDraining => Some(()),
            _ => None,
        })
        .await;
    agent.online().await;
    assert_eq!(agent.url, first);
    assert_eq!(world.get("app", "/").await.status, 200);
}

#[tokio::test]
async fn an_agent_waits_for_a_relay_that_is_not_there_yet() {
    let world = World::start().await;
    let path = Path::to(world.quic, 1).await;
    path.set(Faults {
        cut: true,
        ..Faults::default()
    });
    let port = path.address.port();
    let mut agent = world.start_agent("app", "echo", |config| {
        config.relay = RelayAddress::Remote {
            host: "127.0.0.1".into(),
            port,
        };
    });
    let reason = agent.wait("offline", |event| match event {
        Event::Offline { reason, .. } => Some(reason),
        _ => None,
    });
    assert!(reason.await.contains("no answer"), "the reason helps");
    path.set(Faults::default());
    agent.online().await;
    assert_eq!(world.get("app", "/").await.status, 200);
}

const TOTAL: usize = 8 << 20;

async fn big() -> Origin {
    Origin::scripted(|mut stream| async move {
        if read_head(&mut stream).await.is_empty() {
            return;
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {TOTAL}\r\n\r\n");
        drop(stream.write_all(head.as_bytes()).await);
        drop(stream.write_all(&body()).await);
    })
    .await
}

fn body() -> Vec<u8> {
    (0..TOTAL).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn a_download_survives_loss_and_reordering() {
    let world = World::start().await;
    let path = Path::to(world.quic, 2).await;
    let origin = big().await;
    let _agent = agent_over(&world, &path, "app", &format!("http://{}", origin.address)).await;
    let delay = Duration::from_millis(1);
    path.set(Faults {
        delay,
        loss: 0.01,
        reorder: 0.02,
        cut: false,
        ..Faults::default()
    });
    let answer = world.get("app", "/").await;
    assert!(
        answer.body == body(),
        "{} bytes of {TOTAL}",
        answer.body.len()
    );
}

/// Invariant 5: a change of the agent's address loses no exchange.
#[tokio::test]
async fn a_download_and_an_upload_survive_changes_of_address() {
    let world = World::start().await;
    let path = Path::to(world.quic, 3).await;
    let origin = big().await;
    let _agent = agent_over(&world, &path, "app", &format!("http://{}", origin.address)).await;
    let mut visitor = world.dial().await;
    visitor
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    let head = soon("a head", read_until(&mut visitor, b"\r\n\r\n")).await;
    let early = head.len() - head.find("\r\n\r\n").unwrap() - 4;
    let mut left = TOTAL - early;
    let mut piece = vec![0; TOTAL / 8];
    while left > 0 {
        path.rebind();
        let take = piece.len().min(left);
        soon(
            "more after a change",
            visitor.read_exact(&mut piece[..take]),
        )
        .await
        .unwrap();
        left -= take;
    }
}

#[tokio::test]
async fn a_short_cut_loses_nothing() {
    let world = World::start().await;
    let path = Path::to(world.quic, 4).await;
    let _agent = agent_over(&world, &path, "app", "echo").await;
    path.set(Faults {
        cut: true,
        ..Faults::default()
    });
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(world.get("app", "/"), async {
        // Long enough for several probes to be lost.
        tokio::time::sleep(Duration::from_millis(700)).await;
        path.set(Faults::default());
    });
    assert_eq!(answer.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(700));
}

/// To an agent, a relay that was killed is one that falls silent and comes back without memory.
#[tokio::test]
async fn a_relay_that_was_killed_tells_its_agents_so_when_it_is_back() {
    let world = World::with(|config| config.drain_grace = Duration::ZERO).await;
    let path = Path::to(world.quic, 5).await;
    let origin = Origin::scripted(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut agent = agent_over(&world, &path, "app", &format!("http://{}", origin.address)).await;
    let mut visitor = world.dial().await;
    visitor
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    adit_tests::eventually("the request is in flight", || async {
        world
            .admin_text("/metrics")
            .await
            .contains("adit_relay_exchanges 1")
    })
    .await;
    path.set(Faults {
        cut: true,
        ..Faults::default()
    });
    let world = world.restart_relay(async {}).await;
    path.set(Faults::default());
    let back = Instant::now();
    let lost = agent.wait("what was in flight", |event| match event {
        Event::Lost { exchanges } => Some(exchanges),
        _ => None,
    });
    assert_eq!(lost.await, 1);
    let reason = agent.wait("offline", |event| match event {
        Event::Offline { reason, .. } => Some(reason),
        _ => None,
    });
    assert!(reason.await.contains("does not know the connection"));
    agent.online().await;
    // It is heard a second after the last ping at the latest; what went before waited for longer.
    assert!(
        back.elapsed() < Duration::from_secs(5),
        "{:?}",
        back.elapsed()
    );
    drop(world);
}
