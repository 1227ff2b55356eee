//! What nobody may have more of: requests, connections, bytes and time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::world::Agent;
use adit_tests::{World, eventually, soon};
use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::addresses::limited;
use super::{assert_well, recorded};
use crate::names::sessions;

#[tokio::test]
async fn requests_above_the_agents_limit_are_refused_at_once() {
    let world = World::with(|config| config.limits.exchanges_per_agent = 2).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (tell, wait) = (came.clone(), go.clone());
    let origin = Origin::scripted(move |mut stream| {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            tell.add_permits(1);
            wait.acquire().await.unwrap().forget();
            drop(
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await,
            );
        }
    })
    .await;
    let _slow = world.agent("slow", origin.address).await;
    let third = async {
        came.acquire_many(2).await.unwrap().forget();
        let answer = world.get("slow", "/").await;
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (503, Some("too-many-requests-in-flight")));
        assert_eq!(answer.fields["retry-after"], "1");
        assert_well(&world).await;
        go.add_permits(3);
    };
    let (one, two, ()) = tokio::join!(world.get("slow", "/"), world.get("slow", "/"), third);
    assert_eq!((one.text(), two.text()), ("ok".into(), "ok".into()));
    assert_eq!(world.get("slow", "/").await.text(), "ok");
}

#[tokio::test]
async fn requests_above_what_may_wait_are_refused_at_once() {
    let world = World::with(|config| config.limits.held_per_name = 1).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let agent = world.agent_with("shop", "echo", |_| {}).await;
    let config = agent.config();
    agent.kill();
    eventually("the loss is noticed", || async {
        sessions(&world).await == 1
    })
    .await;

    // One of them waits, and whichever came second does not.
    let (mut one, mut two) = (
        Box::pin(world.get("shop", "/")),
        Box::pin(world.get("shop", "/")),
    );
    let (refused, waiting) = tokio::select! {
        answer = &mut one => (answer, two),
        answer = &mut two => (answer, one),
    };
    let shown = (refused.status.as_u16(), refused.error());
    assert_eq!(shown, (503, Some("agent-away")));
    assert!(refused.fields.contains_key("retry-after"));
    assert_eq!(limited(&world, "held-per-name").await, 1);
    assert_well(&world).await;
    let mut back = Agent::start(config);
    back.online().await;
    assert_eq!(waiting.await.status, 200);
}

#[tokio::test]
async fn bodies_of_requests_that_wait_are_bounded() {
    let world = World::with(|config| config.limits.held_bytes = 600 << 10).await;
    let agent = world.agent_with("shop", "echo", |_| {}).await;
    let config = agent.config();
    agent.kill();
    eventually("the loss is noticed", || async {
        sessions(&world).await == 0
    })
    .await;

    // Of each, half a MiB may come before anybody wants it.
    let visitor = world.h2c().await;
    let upload = || {
        let request = Request::post("http://shop.localhost/").body(()).unwrap();
        visitor.send(request, Bytes::from_static(&[b'x'; 1 << 10]))
    };
    let (mut one, mut two) = (Box::pin(upload()), Box::pin(upload()));
    let (refused, waiting) = tokio::select! {
        answer = &mut one => (answer, two),
        answer = &mut two => (answer, one),
    };
    let (refused, _) = refused.unwrap();
    let shown = (refused.status.as_u16(), refused.error());
    assert_eq!(shown, (503, Some("agent-away")));
    let metrics = world.admin_text("/metrics").await;
    for line in [
        "adit_relay_held 1\n",
        "adit_relay_limited_total{limit=\"held-bytes\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let held = metrics
        .lines()
        .find_map(|line| line.strip_prefix("adit_relay_held_bytes "))
        .unwrap();
    assert!((512 << 10..600 << 10).contains(&held.parse::<usize>().unwrap()));
    // One that says how little it is waits beside it.
    let small = world.post("shop", "/", b"little");
    let back = async {
        eventually("both wait", || async {
            let metrics = world.admin_text("/metrics").await;
            metrics.contains("adit_relay_held 2\n")
        })
        .await;
        let mut back = Agent::start(config);
        back.online().await;
        back
    };
    let (waited, small, _back) = tokio::join!(waiting, small, back);
    assert_eq!(waited.unwrap().0.status, 200);
    assert_eq!(small.status, 200);
}

#[tokio::test]
async fn a_head_above_the_limits_is_refused() {
    let (world, _agents, _origin, heard) = recorded().await;
    let long = "x".repeat(40_000);
    let some =
        |count: usize| (0..count).fold(String::new(), |text, n| format!("{text}x-{n}: 1\r\n"));
    let head = |target: &str, fields: &str| {
        format!(
            "GET /{target} HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n{fields}\r\n"
        )
    };
    for (what, head) in [
        ("a long target", head(&long, "")),
        ("a long value", head("", &format!("x: {long}\r\n"))),
        ("a long name", head("", &format!("{long}: x\r\n"))),
        (
            "many long values",
            head("", &format!("x: {}\r\n", &long[..10_000]).repeat(4)),
        ),
        ("many fields", head("", &some(130))),
    ] {
        let answer = world.say(head.as_bytes()).await;
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (431, Some("head-too-large")), "{what}");
    }
    // Here the parser itself gives up.
    assert_eq!(world.say(head("", &some(300)).as_bytes()).await.status, 431);
    let seen = world
        .raw(head("", &format!("x: {}\r\n", "x".repeat(1 << 20))).as_bytes())
        .await;
    assert!(seen.is_empty() || seen.starts_with(b"HTTP/1.1 431 "));

    let h2 = world.h2c().await;
    let request = Request::get("http://shop.localhost/")
        .header("x", &long)
        .body(())
        .unwrap();
    let (answer, _) = h2.send(request, Bytes::new()).await.unwrap();
    let shown = (answer.status.as_u16(), answer.error());
    assert_eq!(shown, (431, Some("head-too-large")), "over HTTP/2");

    // By bytes: four heads, one that was never whole, and one over HTTP/2. By fields: what the parser takes, and
    // what it does not.
    assert_eq!(limited(&world, "head-bytes").await, 6);
    assert_eq!(limited(&world, "head-fields").await, 2);
    assert_eq!(*heard.lock().await, "");
    assert_eq!(world.say(head("", &some(100)).as_bytes()).await.status, 200);
    assert_well(&world).await;
}

#[tokio::test]
async fn slow_heads_and_handshakes_are_closed() {
    let world = World::with(|config| {
        config.limits.head_timeout = Duration::from_millis(200);
        config.limits.handshake_timeout = config.limits.head_timeout;
    })
    .await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let begun = Instant::now();
    for (address, start) in [
        (world.http, ""),
        (world.http, "P"),
        (world.http, "PRI * HTTP/2.0\r\n"),
        (world.http, "GET / HTTP/1.1\r\nHost: good.loc"),
        (world.https, ""),
        (world.https, "\x16\x03\x01\x02"),
    ] {
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(start.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        drop(soon("the end", slow.read_to_end(&mut seen)).await);
        assert!(!seen.starts_with(b"HTTP/1.1 200"), "{start}");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    // Two said too little of themselves to be told apart, and so had not begun.
    let counted = [
        limited(&world, "head-timeout").await,
        limited(&world, "handshake-timeout").await,
    ];
    assert_eq!(counted.iter().sum::<u64>(), 6, "{counted:?}");
    assert_well(&world).await;
}

#[tokio::test]
async fn visitors_above_the_limit_are_refused_while_the_others_go_on() {
    let world = World::with(|config| config.limits.visitors = 2).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let get = b"GET / HTTP/1.1\r\nHost: good.localhost\r\n\r\n";
    let (mut one, mut two) = (world.dial().await, world.dial().await);
    for round in 0..3 {
        for visitor in [&mut one, &mut two] {
            visitor.write_all(get).await.unwrap();
            let seen = soon("an answer", read_until(visitor, b"\n\n")).await;
            assert!(seen.starts_with("HTTP/1.1 200 "), "{round}: {seen}");
        }
        assert_eq!(world.raw(get).await, b"", "{round}");
    }
    let metrics = world.admin_text("/metrics").await;
    assert!(
        metrics.contains("\nadit_relay_visitors_refused_total 3\n"),
        "{metrics}"
    );
    drop(one);
    eventually("there is room again", || async {
        !world.raw(GOOD).await.is_empty()
    })
    .await;
}

const GOOD: &[u8] = b"GET / HTTP/1.1\r\nHost: good.localhost\r\nConnection: close\r\n\r\n";
