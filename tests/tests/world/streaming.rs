//! Bodies as they come: nothing waits for more, nothing is queued, one stall stops nobody else.

use std::time::{Duration, Instant};

use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::visit::rest;
use adit_tests::{World, soon};
use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

#[tokio::test]
async fn each_chunk_is_forwarded_as_it_comes() {
    let world = World::start().await;
    let (say, words) = mpsc::channel::<&str>(1);
    let words = std::sync::Arc::new(tokio::sync::Mutex::new(words));
    let origin = Origin::scripted(move |mut stream| {
        let words = words.clone();
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            while let Some(word) = words.lock().await.recv().await {
                let chunk = format!("{:x}\r\n{word}\r\n", word.len());
                stream.write_all(chunk.as_bytes()).await.unwrap();
            }
            stream.write_all(b"0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let mut visitor = world.dial().await;
    visitor
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    soon("the head before any data", read_head(&mut visitor)).await;
    for word in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
        // The next one is only said when this one has arrived.
        say.send(word).await.unwrap();
        let heard = soon("an event", read_until(&mut visitor, word.as_bytes())).await;
        assert!(heard.contains(word));
    }
    drop(say);
    assert_eq!(
        soon("the end", read_until(&mut visitor, b"0\r\n\r\n")).await,
        "0\r\n\r\n"
    );
}

#[tokio::test]
async fn request_and_response_stream_at_the_same_time() {
    let world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let h2 = world.h2c().await;
    let request = Request::post("http://app.localhost/").body(()).unwrap();
    let (response, mut send) = h2.sender().await.send_request(request, false).unwrap();
    let mut body = soon("the head before the body", response)
        .await
        .unwrap()
        .into_body();
    let shown = soon("what the origin shows", body.data())
        .await
        .unwrap()
        .unwrap();
    assert!(shown.starts_with(b"POST /\n"));
    for n in 0..10 {
        let word = Bytes::from(format!("message {n}"));
        send.send_data(word.clone(), false).unwrap();
        assert_eq!(soon("its echo", body.data()).await.unwrap().unwrap(), word);
    }
    send.send_data(Bytes::new(), true).unwrap();
    assert_eq!(rest(&mut body).await.unwrap(), b"");
}

/// Sends `total` bytes that follow from their place.
async fn pattern_origin(total: usize) -> Origin {
    Origin::scripted(move |mut stream| async move {
        if read_head(&mut stream).await.is_empty() {
            return;
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {total}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let piece = pattern(0, PIECE);
        for _ in 0..total / PIECE {
            if stream.write_all(&piece).await.is_err() {
                return;
            }
        }
    })
    .await
}

const PIECE: usize = 251 * 256;

fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn a_large_download_and_a_large_upload_arrive_unchanged() {
    let world = World::start().await;
    let total = PIECE * 200;
    let origin = pattern_origin(total).await;
    let agent = world.agent("app", origin.address).await;
    let answer = world.get("app", "/").await;
    assert_eq!(answer.body.len(), total);
    assert!(answer.body == pattern(0, total), "the bytes differ");
    agent.stop().await;

    let origin = Origin::serving(|request| async move {
        use http_body_util::BodyExt as _;
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let same = body == pattern(0, body.len());
        let text = format!("{} {same}", body.len());
        http::Response::new(http_body_util::Full::new(Bytes::from(text)))
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let answer = world.post("app", "/", &pattern(0, total)).await;
    assert_eq!(answer.text(), format!("{total} true"));
}

/// Invariant 4: one stalled stream does not slow another.
#[tokio::test]
async fn visitors_that_stop_reading_slow_nobody_else() {
    let world = World::start().await;
    let big = pattern_origin(PIECE * 2000).await;
    let mut agent = world.start_agent("big", &format!("http://{}", big.address), |config| {
        let mut second = config.tunnels[0].clone();
        second.id = 1;
        second.name = Some("small".parse().unwrap());
        second.origin = adit_agent::config::Origin::Echo;
        config.tunnels.push(second);
    });
    agent.online().await;
    agent.online().await;
    let mut stalled = Vec::new();
    for _ in 0..40 {
        let mut visitor = world.dial().await;
        visitor
            .write_all(b"GET / HTTP/1.1\r\nHost: big.localhost\r\n\r\n")
            .await
            .unwrap();
        soon("a head", visitor.read_exact(&mut [0; 64]))
            .await
            .unwrap();
        stalled.push(visitor);
    }
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(world.get("small", "/").await.status, 200);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

/// A visitor that stops reading stops the origin: what is under way is bounded.
#[tokio::test]
async fn a_visitor_that_stops_reading_stops_the_origin() {
    let world = World::start().await;
    let (sent, mut progress) = tokio::sync::watch::channel(0_usize);
    let origin = Origin::scripted(move |mut stream| {
        let sent = sent.clone();
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            let chunk = [b"10000\r\n", &vec![0; 0x10000][..], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {
                sent.send_modify(|sent| *sent += 0x10000);
            }
        }
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let mut visitor = world.dial().await;
    visitor
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    soon("a head", visitor.read_exact(&mut [0; 64]))
        .await
        .unwrap();
    // It goes on until everything on the way is full, and then no further.
    while tokio::time::timeout(Duration::from_millis(500), progress.changed())
        .await
        .is_ok()
    {
        progress.borrow_and_update();
    }
    let under_way = *progress.borrow();
    assert!(under_way < 40 << 20, "{under_way} bytes are under way");
    drop(visitor);
}
