//! Sessions whose way is gone for good: another connection is dialled beside the old one.

use std::time::{Duration, Instant};

use adit_agent::status::Event;
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::{eventually, soon};
use tokio::io::AsyncWriteExt as _;

use super::outage::{ask, over_path, telling};

/// How many events of this kind came so far.
fn count(seen: &[Event], kind: fn(&Event) -> bool) -> usize {
    seen.iter().filter(|event| kind(event)).count()
}

/// The relay answers again as soon as it is called from another port: the session itself moves there.
#[tokio::test]
async fn a_session_whose_port_is_dead_moves_to_another_and_loses_nothing() {
    let (origin, say) = telling().await;
    let (world, mut agent, path) = over_path(&origin).await;
    let mut visitor = ask(&world).await;
    soon("the head", read_head(&mut visitor)).await;
    path.forget(false);
    let begun = Instant::now();
    say.send("data: one\n\n").await.unwrap();
    soon("one", read_until(&mut visitor, b"one\n\n")).await;
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    let mut seen = Vec::new();
    let resumed = |event: Event| matches!(event, Event::Resumed { .. }).then_some(());
    agent.wait("its end", resumed).await;
    while let Some(event) = agent.next_now() {
        seen.push(event);
    }
    assert_eq!(
        count(&seen, |event| matches!(event, Event::Online { .. })),
        0,
        "{seen:?}"
    );
    assert_eq!(
        count(&seen, |event| matches!(event, Event::Offline { .. })),
        0,
        "{seen:?}"
    );
}

/// The relay does not hear the session from anywhere, but lets a new one in.
#[tokio::test]
async fn a_session_that_is_dead_is_succeeded_by_a_new_one() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let (world, mut agent, path) = over_path(&origin).await;
    assert_eq!(world.get("app", "/").await.status, 200);
    path.forget(true);
    let begun = Instant::now();
    agent.online().await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_eq!(world.get("app", "/").await.status, 200);
    // The relay lets the old one go by itself: its agent cannot say so.
    eventually("one session is left", || async {
        let status = world.admin_text("/api/v1/status").await;
        status.contains("\"sessions\":1")
    })
    .await;
    assert!(agent.stop().await);
}

/// While the old one is only slow to come back, what is in flight on it ends well.
#[tokio::test]
async fn what_is_in_flight_on_a_session_that_was_succeeded_ends_well() {
    let (origin, say) = telling().await;
    let (world, mut agent, path) = over_path(&origin).await;
    let mut visitor = ask(&world).await;
    soon("the head", read_head(&mut visitor)).await;
    path.forget(true);
    agent.online().await;
    path.remember();
    say.send("data: one\n\n").await.unwrap();
    soon("one", read_until(&mut visitor, b"one\n\n")).await;
    drop(say);
    eventually("one session is left", || async {
        let status = world.admin_text("/api/v1/status").await;
        status.contains("\"sessions\":1")
    })
    .await;
    visitor.shutdown().await.unwrap();
}
