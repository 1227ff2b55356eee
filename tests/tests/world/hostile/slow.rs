//! Visitors that let the relay wait: bodies that do not come, responses that nobody takes. And those who may
//! take their time.

use std::future::pending;
use std::time::Duration;

use adit_shared::task::Tasks;
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::visit::parse;
use adit_tests::{World, eventually, soon};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::{interval, timeout};
use tracing::Span;

use super::addresses::limited;
use super::{Evil, assert_well, recorded};

const SHORT: Duration = Duration::from_millis(300);

/// A relay that waits for nobody for long, and what answers when a request is whole.
async fn hasty() -> (World, Vec<adit_tests::world::Agent>) {
    let world = World::with(|config| {
        config.limits.upload_timeout = SHORT;
        config.limits.download_timeout = SHORT;
        config.limits.least_rate = 10_000;
    })
    .await;
    let agents = vec![
        world.agent_with("good", "echo", |_| {}).await,
        world.agent_with("echo", "echo", |_| {}).await,
    ];
    (world, agents)
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let (world, _agents) = hasty().await;
    let origin = Origin::serving(|request| async {
        let body = request.into_body().collect().await;
        Response::new(Full::new(
            body.map_or_else(|_| Bytes::new(), |body| body.to_bytes()),
        ))
    })
    .await;
    let _form = world.agent("form", origin.address).await;
    for framing in [
        "content-length: 1000\r\n",
        "content-length: 1000000\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        for trickles in [false, true] {
            let mut visitor = world.dial().await;
            let head = format!("POST / HTTP/1.1\r\nHost: form.localhost\r\n{framing}\r\n1");
            visitor.write_all(head.as_bytes()).await.unwrap();
            let (mut read, mut write) = visitor.split();
            let trickle = async {
                // Zeros, which go on whatever the framing is.
                let mut ticks = interval(Duration::from_millis(50));
                while trickles && write.write_all(b"0").await.is_ok() {
                    ticks.tick().await;
                }
                pending::<()>().await;
            };
            let mut seen = Vec::new();
            tokio::select! {
                () = trickle => {}
                read = soon("an answer", read.read_to_end(&mut seen)) => drop(read),
            }
            let answer = parse(&seen);
            let shown = (answer.status.as_u16(), answer.error());
            assert_eq!(shown, (408, Some("body-late")), "{framing}{trickles}");
        }
    }
    let h2 = world.h2c().await;
    let request = Request::post("http://form.localhost/").body(()).unwrap();
    let (response, _stream) = h2.sender().await.send_request(request, false).unwrap();
    let response = soon("an answer", response).await.unwrap();
    assert_eq!(response.status(), 408);
    assert_eq!(limited(&world, "upload-timeout").await, 7);
    assert_well(&world).await;
}

/// An origin that answers at once does not make its visitor's trickle last for ever.
#[tokio::test]
async fn an_upload_that_was_answered_and_does_not_come_is_cut() {
    let (world, _agents) = hasty().await;
    // One that goes on with its answer, and one whose answer is over at once.
    let answers = [
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "content-length: 5\r\n\r\nhello",
    ];
    for (at, answer) in answers.into_iter().enumerate() {
        let origin = Origin::scripted(move |mut stream| async move {
            drop(read_head(&mut stream).await);
            let answer = format!("HTTP/1.1 200 OK\r\n{answer}");
            drop(stream.write_all(answer.as_bytes()).await);
            while stream.read(&mut [0; 1024]).await.is_ok_and(|len| len > 0) {}
        })
        .await;
        let early = world.agent("early", origin.address).await;
        let mut visitor = world.dial().await;
        let head = b"POST / HTTP/1.1\r\nHost: early.localhost\r\ncontent-length: 1000000\r\n\r\n";
        visitor.write_all(head).await.unwrap();
        let (mut read, mut write) = visitor.split();
        let trickle = async {
            let mut ticks = interval(Duration::from_millis(50));
            while write.write_all(b"0").await.is_ok() {
                ticks.tick().await;
            }
            pending::<()>().await;
        };
        let mut seen = Vec::new();
        tokio::select! {
            () = trickle => {}
            read = soon("the end", read.read_to_end(&mut seen)) => drop(read),
        }
        let seen = String::from_utf8_lossy(&seen);
        assert!(
            seen.contains("hello") && !seen.contains("0\r\n\r\n"),
            "{seen}"
        );
        assert_eq!(limited(&world, "upload-timeout").await, at as u64 + 1);
        assert!(early.stop().await);
    }
    assert_well(&world).await;
}

#[tokio::test]
async fn a_body_that_the_origin_does_not_take_is_waited_for() {
    let world = World::with(|config| {
        config.limits.upload_timeout = SHORT;
        config.limits.least_rate = 100_000_000;
    })
    .await;
    let origin = Origin::scripted(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(4 * SHORT).await;
        let mut piece = vec![0; 64 << 10];
        let mut left = BODY;
        while left > 64 << 10 {
            left -= stream.read(&mut piece).await.unwrap();
        }
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let answer = world.post("app", "/", &vec![b'x'; BODY]).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (200, &b"ok"[..])
    );
}

#[tokio::test]
async fn an_agent_that_takes_no_uploads_makes_the_relay_hold_a_bounded_amount() {
    let world = World::with(|config| config.limits.stalled_per_agent = 1 << 20).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let evil = Evil::join(&world, "evil").await;
    let h2 = world.h2c().await;
    let mut untaken = Vec::new();
    for _ in 0..4 {
        let request = Request::post("http://evil.localhost/").body(()).unwrap();
        let (response, mut body) = h2.sender().await.send_request(request, false).unwrap();
        body.send_data(vec![b'x'; 4 << 20].into(), true).unwrap();
        untaken.push((response, body, evil.exchange().await));
    }
    eventually("some of them are given up", || async {
        limited(&world, "stalled-per-agent").await >= 2
    })
    .await;
    assert!(limited(&world, "stalled-per-agent").await <= 3);
    assert_well(&world).await;
}

/// More than windows and buffers take.
const BODY: usize = 24 << 20;

#[tokio::test]
async fn a_call_may_send_its_messages_whenever_it_likes() {
    let (world, _agents) = hasty().await;
    let h2 = world.h2c().await;
    for kind in ["application/grpc+proto", "application/connect+json"] {
        let request = Request::post("http://echo.localhost/")
            .header("content-type", kind)
            .body(())
            .unwrap();
        let (response, mut stream) = h2.sender().await.send_request(request, false).unwrap();
        tokio::time::sleep(4 * SHORT).await;
        stream.send_data(Bytes::from_static(b"late"), true).unwrap();
        assert_eq!(soon("an answer", response).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_response_that_nobody_takes_is_cut() {
    let (world, _agents) = hasty().await;
    let origin = Origin::scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n");
        drop(stream.write_all(head.as_bytes()).await);
        drop(stream.write_all(&vec![b'x'; BODY]).await);
        drop(stream.read(&mut [0]).await);
    })
    .await;
    let _big = world.agent("big", origin.address).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut visitor = socket.connect(world.http).await.unwrap();
    let get = b"GET / HTTP/1.1\r\nHost: big.localhost\r\n\r\n";
    visitor.write_all(get).await.unwrap();
    eventually("it is cut", || async {
        limited(&world, "download-timeout").await == 1
    })
    .await;
    let mut seen = Vec::new();
    let end = soon("the end", visitor.read_to_end(&mut seen)).await;
    assert!(end.is_err() && seen.len() < BODY);

    // A stream without any window, of a response that is small.
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let (mut sender, connection) = builder
        .handshake::<_, Bytes>(world.dial().await)
        .await
        .unwrap();
    let tasks = Tasks::default();
    tasks.spawn(Span::none(), async move { drop(connection.await) });
    let request = Request::get("http://echo.localhost/").body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let mut body = soon("a head", response).await.unwrap().into_body();
    let cut = soon("a reset", std::future::poll_fn(|cx| body.poll_data(cx))).await;
    assert!(cut.unwrap().is_err());
    assert_eq!(limited(&world, "download-timeout").await, 2);
    tasks.abort();
    assert_well(&world).await;
}

#[tokio::test]
async fn whoever_waits_for_events_is_not_slow() {
    let (world, _agents) = hasty().await;
    let origin = Origin::scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
        stream.write_all(head).await.unwrap();
        tokio::time::sleep(4 * SHORT).await;
        drop(stream.write_all(b"5\r\nworld\r\n0\r\n\r\n").await);
    })
    .await;
    let _events = world.agent("events", origin.address).await;
    let mut visitor = world.dial().await;
    let get = b"GET / HTTP/1.1\r\nHost: events.localhost\r\n\r\n";
    visitor.write_all(get).await.unwrap();
    let seen = soon("all of it", read_until(&mut visitor, b"0\r\n\r\n")).await;
    assert!(seen.contains("hello") && seen.contains("world"), "{seen}");
    let h2 = world.h2c().await;
    let (answer, _) = h2.get("http://events.localhost/").await.unwrap();
    assert_eq!(answer.text(), "helloworld");
}

#[tokio::test]
async fn a_head_over_http2_must_come_to_its_end() {
    let world = World::with(|config| config.limits.head_timeout = SHORT).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let mut visitor = world.dial().await;
    let begun = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
        // HEADERS without their end, and every now and then a little more.
        &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82],
    ];
    visitor.write_all(&begun.concat()).await.unwrap();
    let (mut read, mut write) = visitor.split();
    let more = async {
        let mut ticks = interval(Duration::from_millis(100));
        // The library itself takes only some of them.
        for _ in 0..8 {
            ticks.tick().await;
            drop(write.write_all(&[0, 0, 0, 9, 0, 0, 0, 0, 1]).await);
        }
        pending::<()>().await;
    };
    let mut seen = Vec::new();
    let end = timeout(Duration::from_secs(5), async {
        tokio::select! {
            () = more => {}
            read = read.read_to_end(&mut seen) => drop(read),
        }
    });
    assert!(end.await.is_ok());
    assert_eq!(limited(&world, "head-timeout").await, 1);
    assert_well(&world).await;
}

#[tokio::test]
async fn a_connection_that_asks_nothing_more_is_closed() {
    let world = World::with(|config| config.limits.idle_timeout = SHORT).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let mut visitor = world.dial().await;
    let get = b"GET / HTTP/1.1\r\nHost: good.localhost\r\n\r\n";
    visitor.write_all(get).await.unwrap();
    let mut seen = Vec::new();
    soon("the end", visitor.read_to_end(&mut seen))
        .await
        .unwrap();
    assert!(seen.starts_with(b"HTTP/1.1 200 "));
    let mut visitor = world.dial().await;
    let preface = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
    ];
    visitor.write_all(&preface.concat()).await.unwrap();
    soon("the end", visitor.read_to_end(&mut seen))
        .await
        .unwrap();
    assert_well(&world).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let (_, _, _origin, heard) = recorded().await;
    let world = World::with(|config| config.limits.request_bytes = 1000).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let _shop = world.agent("shop", _origin.address).await;
    let too_large = (413, Some("body-too-large"));
    let answer = world.post("shop", "/", &[b'x'; 1001]).await;
    assert_eq!((answer.status.as_u16(), answer.error()), too_large);
    // Known from its head, so nothing of it goes to the origin.
    assert_eq!(*heard.lock().await, "");

    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: good.localhost\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n",
        "x".repeat(1001)
    );
    let answer = world.say(chunked.as_bytes()).await;
    assert_eq!((answer.status.as_u16(), answer.error()), too_large);

    let h2 = world.h2c().await;
    for (len, status) in [(1001, 413), (1000, 200)] {
        let request = Request::post("http://good.localhost/").body(()).unwrap();
        let body = Bytes::from(vec![b'x'; len]);
        let (answer, _) = h2.send(request, body).await.unwrap();
        assert_eq!(answer.status, status, "{len}");
    }
    assert!(limited(&world, "request-bytes").await >= 3);
    assert_eq!(world.post("good", "/", &[b'x'; 1000]).await.status, 200);
}
