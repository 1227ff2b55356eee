//! Readers that stop reading: they slow nobody else, hold no more than the budget, and the one that
//! stopped first is cut when they would.

use std::time::{Duration, Instant};

use adit_shared::stall::Budget;
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::{World, eventually, soon};
use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{MissedTickBehavior, interval};

const MIB: usize = 1 << 20;
/// The length of what `/big` answers.
const BIG: usize = 24 * MIB;

/// Answers by path: `/small` two bytes, `/big` with a length, `/chunks` without, `/events` one event
/// and then nothing, `/switch` with raw bytes without end, `/silent` nothing.
async fn origin() -> Origin {
    Origin::scripted(|mut stream| async move {
        loop {
            let head = read_head(&mut stream).await;
            let target = head.split(' ').nth(1).unwrap_or_default();
            let answered = match target {
                "/small" => {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    stream.write_all(answer).await.is_ok()
                }
                "/big" => {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BIG}\r\n\r\n");
                    stream.write_all(head.as_bytes()).await.unwrap();
                    pour(&mut stream, &[b'x'; 64 << 10], BIG >> 16).await
                }
                "/chunks" => {
                    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                    stream.write_all(head.as_bytes()).await.unwrap();
                    let chunk = [b"10000\r\n", &[b'x'; 64 << 10][..], b"\r\n"].concat();
                    pour(&mut stream, &chunk, BIG >> 16).await
                        && stream.write_all(b"0\r\n\r\n").await.is_ok()
                }
                "/events" => {
                    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                    stream.write_all(head.as_bytes()).await.unwrap();
                    stream.write_all(b"5\r\nhello\r\n").await.unwrap();
                    // The next thing said is that the visitor has left.
                    let mut end = [0];
                    drop(stream.read(&mut end).await);
                    false
                }
                "/switch" => {
                    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                        upgrade: flood\r\n\r\n";
                    stream.write_all(head.as_bytes()).await.unwrap();
                    pour(&mut stream, &[b'x'; 64 << 10], usize::MAX).await
                }
                _ => {
                    let mut end = [0];
                    drop(stream.read(&mut end).await);
                    false
                }
            };
            if !answered {
                return;
            }
        }
    })
    .await
}

async fn pour(stream: &mut TcpStream, piece: &[u8], times: usize) -> bool {
    for _ in 0..times {
        if stream.write_all(piece).await.is_err() {
            return false;
        }
    }
    true
}

/// A visitor that has read a head and reads no more.
async fn stalled(world: &World, target: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // The kernel may take little for it.
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut visitor = socket.connect(world.http).await.unwrap();
    let extra = if target == "/switch" {
        "Connection: Upgrade\r\nUpgrade: flood\r\n"
    } else {
        "Connection: close\r\n"
    };
    let request = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n{extra}\r\n");
    visitor.write_all(request.as_bytes()).await.unwrap();
    let head = soon("a head", read_until(&mut visitor, b"\r\n\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 "), "{head}");
    visitor
}

/// A number among the relay's metrics.
async fn metric(world: &World, name: &str) -> u64 {
    let text = world.admin_text("/metrics").await;
    let found = text.lines().find_map(|line| {
        let value = line.strip_prefix("adit_relay_")?.strip_prefix(name)?;
        value.strip_prefix(' ')?.parse().ok()
    });
    found.unwrap_or_else(|| panic!("{name} is not among\n{text}"))
}

async fn wait_for(world: &World, name: &str, value: u64) {
    eventually(&format!("{name} is {value}"), || async {
        metric(world, name).await == value
    })
    .await;
}

/// Everything that still comes until the relay closes.
async fn rest(visitor: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    drop(soon("the end", visitor.read_to_end(&mut all)).await);
    all
}

#[tokio::test]
async fn stalled_downloads_slow_no_other_exchange_of_their_agent() {
    let (world, origin) = (World::start().await, origin().await);
    let _agent = world.agent("app", origin.address).await;
    let stalled = join_all((0..128).map(|_| stalled(&world, "/big"))).await;
    wait_for(&world, "stalled", 128).await;
    let held = metric(&world, "stalled_bytes").await;
    assert!(held > 0 && held <= metric(&world, "limit_stalled_per_agent").await);

    let mut visitor = world.dial().await;
    let mut took = Vec::new();
    for _ in 0..300 {
        let begun = Instant::now();
        let get = b"GET /small HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
        visitor.write_all(get).await.unwrap();
        let answer = soon("a small answer", read_until(&mut visitor, b"\r\n\r\nok")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        took.push(begun.elapsed());
    }
    took.sort();
    // Some milliseconds in truth; where the connection's window binds it is many seconds.
    assert!(took[297] < Duration::from_millis(250), "{:?}", took[297]);
    assert_eq!(metric(&world, "exchanges_reset_over_budget_total").await, 0);
    drop(stalled);
    wait_for(&world, "stalled_bytes", 0).await;
    wait_for(&world, "exchanges", 0).await;
}

#[tokio::test]
async fn over_budget_the_longest_stalled_is_cut_and_the_others_go_on() {
    let world = World::with(|config| config.limits.stalled_per_agent = 2 * MIB).await;
    let origin = origin().await;
    let _agent = world.agent("app", origin.address).await;
    let mut visitors = Vec::new();
    for count in [1, 2] {
        visitors.push(stalled(&world, "/big").await);
        wait_for(&world, "stalled", count).await;
    }
    visitors.push(stalled(&world, "/big").await);
    wait_for(&world, "exchanges_reset_over_budget_total", 1).await;
    assert!(metric(&world, "stalled_bytes").await <= 2 * MIB as u64);
    let mut got = Vec::new();
    for visitor in &mut visitors {
        got.push(rest(visitor).await.len());
    }
    assert!(got[0] < BIG / 2, "{got:?}");
    // A little of it came along with the head.
    assert!(got[1] > BIG - MIB && got[2] > BIG - MIB, "{got:?}");
    assert_eq!(metric(&world, "exchanges_reset_over_budget_total").await, 1);
}

#[tokio::test]
async fn who_stopped_reading_makes_room_when_an_agent_has_no_more() {
    let world = World::with(|config| config.limits.exchanges_per_agent = 2).await;
    let origin = origin().await;
    let _agent = world.agent("app", origin.address).await;
    let _one = stalled(&world, "/big").await;
    let _two = stalled(&world, "/big").await;
    wait_for(&world, "stalled", 2).await;
    let refused = world.get("app", "/small").await;
    assert_eq!(refused.error(), Some("too-many-requests-in-flight"));
    eventually("there is room", || async {
        world.get("app", "/small").await.status == 200
    })
    .await;
    assert_eq!(metric(&world, "exchanges_reset_over_budget_total").await, 1);
}

#[tokio::test]
async fn what_is_cut_for_the_budget_never_looks_whole() {
    let world = World::with(|config| config.limits.stalled = 1).await;
    let origin = origin().await;
    let _agent = world.agent("app", origin.address).await;

    let mut chunked = stalled(&world, "/chunks").await;
    wait_for(&world, "exchanges_reset_over_budget_total", 1).await;
    let seen = rest(&mut chunked).await;
    assert!(seen.len() < BIG && !seen.ends_with(b"0\r\n\r\n"));

    let h2 = world.h2c().await;
    let request = Request::get("http://app.localhost/chunks")
        .body(())
        .unwrap();
    let (response, _) = h2.sender().await.send_request(request, true).unwrap();
    let mut body = soon("a head", response).await.unwrap().into_body();
    wait_for(&world, "exchanges_reset_over_budget_total", 2).await;
    let error = loop {
        match soon("the end of a stream", body.data()).await {
            Some(Ok(data)) => drop(data),
            Some(Err(error)) => break error,
            None => panic!("a truncated response looks whole"),
        }
    };
    assert!(error.is_reset() && error.is_remote(), "{error}");
    drop(body);
    // The connection itself goes on.
    let (answer, _) = h2.get("http://app.localhost/small").await.unwrap();
    assert_eq!(answer.text(), "ok");

    let mut raw = stalled(&world, "/switch").await;
    wait_for(&world, "exchanges_reset_over_budget_total", 3).await;
    rest(&mut raw).await;
    wait_for(&world, "exchanges", 0).await;
}

#[tokio::test]
async fn a_slow_but_steady_reader_is_never_cut() {
    let world = World::with(|config| config.limits.stalled_per_agent = 1).await;
    let origin = origin().await;
    let _agent = world.agent("app", origin.address).await;
    let mut slow = stalled(&world, "/big").await;
    let (mut all, mut piece) = (0, vec![0; 64 << 10]);
    // 1.3 MB/s, until several sweeps have cut others.
    let mut ticks = interval(Duration::from_millis(50));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut others = Vec::new();
    for cut in 1..=3 {
        others.push(stalled(&world, "/big").await);
        while metric(&world, "exchanges_reset_over_budget_total").await < cut {
            ticks.tick().await;
            let len = soon("more", slow.read(&mut piece)).await.unwrap();
            assert!(len > 0, "cut after {all}");
            all += len;
        }
    }
    while all + MIB < BIG {
        let len = soon("more", slow.read(&mut piece)).await.unwrap();
        assert!(len > 0, "cut after {all}");
        all += len;
    }
    assert_eq!(metric(&world, "exchanges_reset_over_budget_total").await, 3);
}

#[tokio::test]
async fn exchanges_that_wait_for_their_origin_are_never_cut() {
    let world = World::with(|config| config.limits.stalled_per_agent = 1).await;
    let origin = origin().await;
    let _agent = world.agent("app", origin.address).await;
    let connections = join_all((0..10).map(|_| world.h2c())).await;
    let (mut events, mut silent) = (Vec::new(), Vec::new());
    for connection in &connections {
        for at in 0..100 {
            let target = if at < 5 { "events" } else { "silent" };
            let url = format!("http://app.localhost/{target}");
            let request = Request::get(url).body(()).unwrap();
            let sender = connection.sender().await;
            let (response, _) = { sender }.send_request(request, true).unwrap();
            if at < 5 {
                events.push(soon("a head", response).await.unwrap().into_body());
            } else {
                silent.push(response);
            }
        }
    }
    for body in &mut events {
        let event = soon("an event", body.data()).await.unwrap().unwrap();
        assert_eq!(event, Bytes::from_static(b"hello"));
    }
    wait_for(&world, "exchanges", 1000).await;
    // Whoever stops reading is cut, so the others were looked at, too.
    let _stalled = stalled(&world, "/big").await;
    wait_for(&world, "exchanges_reset_over_budget_total", 1).await;
    assert_eq!(metric(&world, "exchanges").await, 1000);
    assert_eq!(metric(&world, "stalled").await, 0);
    let none = futures_util::future::select_all(silent);
    let none = tokio::time::timeout(Duration::ZERO, none).await;
    assert!(none.is_err(), "one of the silent has ended");
}

#[tokio::test]
async fn an_origin_that_stops_reading_holds_no_more_than_the_agents_budget() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        if read_head(&mut stream).await.contains("/small") {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            drop(stream.write_all(answer).await);
        }
        std::future::pending::<()>().await;
    })
    .await;
    let budget = Budget {
        each: 2 * MIB as u64,
        all: 9 * MIB as u64,
    };
    let _agent = world
        .agent_with("app", &format!("http://{}", origin.address), |config| {
            config.stalled = budget;
        })
        .await;
    let upload = async || {
        let mut visitor = world.dial().await;
        let head =
            "POST /stuck HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 99999999\r\n\r\n";
        visitor.write_all(head.as_bytes()).await.unwrap();
        let body = vec![0; 64 << 10];
        while let Ok(written) =
            tokio::time::timeout(Duration::from_millis(300), visitor.write_all(&body)).await
        {
            written.unwrap();
        }
        visitor
    };
    let mut uploads = Vec::new();
    for _ in 0..3 {
        uploads.push(upload().await);
    }
    let answer = soon("an answer", read_head(&mut uploads[0])).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(answer.contains("adit-error: origin-timeout"), "{answer}");
    assert_eq!(world.get("app", "/small").await.text(), "ok");
    assert_eq!(metric(&world, "exchanges").await, 2);
}
