//! Interim responses: 100 and 103, over HTTP/1.1 and HTTP/2.

use std::time::Duration;

use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::{World, soon};
use bytes::Bytes;
use http::Request;
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn a_body_is_asked_for_only_when_the_origin_asks() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        assert!(
            head.contains("expect: 100-continue") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(read_until(&mut stream, b"hello").await, "hello");
        drop(
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await,
        );
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let mut visitor = world.dial().await;
    let head = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 5\r\n\
        Expect: 100-continue\r\n\r\n";
    visitor.write_all(head).await.unwrap();
    let interim = soon("100", read_head(&mut visitor)).await;
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    visitor.write_all(b"hello").await.unwrap();
    let answer = soon("200", read_until(&mut visitor, b"ok")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_the_origin_does_not_want_is_never_asked_for() {
    let world = World::start().await;
    let origin =
        Origin::saying("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n").await;
    let _agent = world.agent("app", origin.address).await;
    let answer = world
        .raw(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 417 "), "{answer}");
    assert!(!answer.contains("100 Continue"));
}

const HINTS: &str =
    "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Gives hints at once, and the answer only when it may.
async fn hinting(mut may: tokio::sync::watch::Receiver<bool>) -> Origin {
    may.borrow_and_update();
    Origin::scripted(move |mut stream| {
        let mut may = may.clone();
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            stream.write_all(HINTS.as_bytes()).await.unwrap();
            may.wait_for(|may| *may).await.unwrap();
            drop(stream.write_all(ANSWER.as_bytes()).await);
        }
    })
    .await
}

#[tokio::test]
async fn early_hints_come_early_over_http1() {
    let world = World::start().await;
    let (allow, may) = tokio::sync::watch::channel(false);
    let origin = hinting(may).await;
    let _agent = world.agent("app", origin.address).await;
    let mut visitor = world.dial().await;
    visitor
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    let hints = soon("103", read_head(&mut visitor)).await;
    assert_eq!(hints, HINTS);
    allow.send(true).unwrap();
    let answer = soon("200", read_until(&mut visitor, b"ok")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    // The next request on the connection is undisturbed, and hinted again.
    visitor
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    let answer = soon("103 and 200", read_until(&mut visitor, b"ok")).await;
    assert!(
        answer.starts_with(HINTS) && answer.ends_with("\r\n\r\nok"),
        "{answer}"
    );
}

#[tokio::test]
async fn http_1_0_gets_no_interim_response() {
    let world = World::start().await;
    let (allow, may) = tokio::sync::watch::channel(true);
    let origin = hinting(may).await;
    let _agent = world.agent("app", origin.address).await;
    let answer = world
        .raw(b"GET / HTTP/1.0\r\nHost: app.localhost\r\n\r\n")
        .await;
    assert!(
        answer.starts_with(b"HTTP/1.0 200 OK\r\n") || answer.starts_with(b"HTTP/1.1 200 OK\r\n")
    );
    drop(allow);
}

#[tokio::test]
async fn early_hints_come_early_over_http2() {
    let world = World::start().await;
    let (allow, may) = tokio::sync::watch::channel(false);
    let origin = hinting(may).await;
    let _agent = world.agent("app", origin.address).await;
    let h2 = world.h2c().await;
    let request = Request::get("http://app.localhost/").body(()).unwrap();
    let (mut response, _) = h2.sender().await.send_request(request, true).unwrap();
    let hints = std::future::poll_fn(|cx| response.poll_informational(cx));
    let hints = soon("103", hints).await.unwrap().unwrap();
    assert_eq!(hints.status(), 103);
    assert_eq!(hints.headers().get_all("link").iter().count(), 2);
    allow.send(true).unwrap();
    let response = soon("200", response).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn continue_is_passed_on_over_http2() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut stream, b"hello").await;
        drop(stream.write_all(ANSWER.as_bytes()).await);
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let h2 = world.h2c().await;
    let request = Request::post("http://app.localhost/")
        .header("expect", "100-continue")
        .header("content-length", "5")
        .body(())
        .unwrap();
    let (mut response, mut send) = h2.sender().await.send_request(request, false).unwrap();
    let interim = std::future::poll_fn(|cx| response.poll_informational(cx));
    assert_eq!(soon("100", interim).await.unwrap().unwrap().status(), 100);
    send.send_data(Bytes::from_static(b"hello"), true).unwrap();
    assert_eq!(soon("200", response).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_origin_that_ignores_the_expectation_gets_the_body_nevertheless() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        // It knows no 100, and waits for the whole request.
        read_until(&mut stream, b"hello").await;
        drop(stream.write_all(ANSWER.as_bytes()).await);
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let mut visitor = world.dial().await;
    let request = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 5\r\n\
        Expect: 100-continue\r\n\r\nhello";
    visitor.write_all(request).await.unwrap();
    let answer = soon("200", read_until(&mut visitor, b"\r\n\r\nok")).await;
    assert!(answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_declined_body_is_not_asked_for_however_long_the_answer_takes() {
    let world = World::start().await;
    let (allow, may) = tokio::sync::watch::channel(false);
    let origin = Origin::scripted(move |mut stream| {
        let mut may = may.clone();
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            drop(
                stream
                    .write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n")
                    .await,
            );
            // Longer than a body waits to be asked for; anything that comes meanwhile was not wanted.
            let early =
                tokio::time::timeout(Duration::from_millis(1300), read_until(&mut stream, b"!"));
            assert!(
                !early.await.is_ok_and(|read| !read.is_empty()),
                "the body came"
            );
            may.wait_for(|may| *may).await.unwrap();
            drop(stream.write_all(b"no").await);
        }
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let h2 = world.h2c().await;
    let request = Request::post("http://app.localhost/")
        .header("expect", "100-continue")
        .body(())
        .unwrap();
    let (response, mut send) = h2.sender().await.send_request(request, false).unwrap();
    send.send_data(Bytes::from_static(b"hello!"), true).unwrap();
    let response = soon("401", response).await.unwrap();
    assert_eq!(response.status(), 401);
    allow.send(true).unwrap();
    let mut body = response.into_body();
    // The origin's assertion would have cut this short.
    assert_eq!(adit_tests::visit::rest(&mut body).await.unwrap(), b"no");
}
