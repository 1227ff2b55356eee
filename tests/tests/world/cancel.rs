//! Cancellation goes all the way, at once; and a cut is never a clean end.

use std::sync::Arc;

use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::{World, soon};
use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc};

/// Tells when a request came, and when its connection ended; says nothing, or a head and no body.
async fn silent(head: &'static str) -> (Origin, Arc<Notify>, mpsc::Receiver<()>) {
    let (came, (gone, left)) = (Arc::new(Notify::new()), mpsc::channel(8));
    let tell = came.clone();
    let origin = Origin::scripted(move |mut stream| {
        let (tell, gone) = (tell.clone(), gone.clone());
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            tell.notify_one();
            drop(stream.write_all(head.as_bytes()).await);
            while stream.read(&mut [0; 1024]).await.is_ok_and(|len| len > 0) {}
            let _ = gone.send(()).await;
        }
    })
    .await;
    (origin, came, left)
}

#[tokio::test]
async fn a_visitor_that_leaves_before_the_head_ends_the_origins_request() {
    let world = World::start().await;
    let (origin, came, mut left) = silent("").await;
    let _agent = world.agent("app", origin.address).await;

    let mut visitor = world.dial().await;
    visitor
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    soon("the request comes", came.notified()).await;
    drop(visitor);
    soon("the origin is told", left.recv()).await.unwrap();

    let h2 = world.h2c().await;
    let request = Request::get("http://app.localhost/").body(()).unwrap();
    let (response, mut send) = h2.sender().await.send_request(request, true).unwrap();
    soon("the request comes", came.notified()).await;
    send.send_reset(h2::Reason::CANCEL);
    drop(response);
    soon("the origin is told", left.recv()).await.unwrap();
}

#[tokio::test]
async fn a_visitor_that_leaves_a_silent_stream_ends_the_origins_request() {
    let world = World::start().await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
    let (origin, came, mut left) = silent(head).await;
    let _agent = world.agent("app", origin.address).await;

    let mut visitor = world.dial().await;
    visitor
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    soon("some of the body", read_until(&mut visitor, b"x\r\n")).await;
    drop(visitor);
    soon("the origin is told", left.recv()).await.unwrap();
    came.notified().await;

    let h2 = world.h2c().await;
    let request = Request::get("http://app.localhost/").body(()).unwrap();
    let (response, mut send) = h2.sender().await.send_request(request, true).unwrap();
    let mut body = soon("a head", response).await.unwrap().into_body();
    soon("some of the body", body.data())
        .await
        .unwrap()
        .unwrap();
    send.send_reset(h2::Reason::CANCEL);
    soon("the origin is told", left.recv()).await.unwrap();
}

#[tokio::test]
async fn a_visitor_that_leaves_in_mid_upload_ends_the_origins_request() {
    let world = World::start().await;
    let (origin, came, mut left) = silent("").await;
    let _agent = world.agent("app", origin.address).await;
    let mut visitor = world.dial().await;
    let head = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000\r\n\r\nsome of it";
    visitor.write_all(head).await.unwrap();
    soon("the request comes", came.notified()).await;
    drop(visitor);
    soon("the origin is told", left.recv()).await.unwrap();
}

/// Invariant 3: what the visitor receives is whole, or an error.
#[tokio::test]
async fn a_response_that_is_cut_is_no_success() {
    let world = World::start().await;
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
    ] {
        let origin = Origin::saying(response).await;
        let agent = world.agent("app", origin.address).await;
        // The cut may overtake the head; then there is an answer in its place.
        let request = b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n";
        let answer = String::from_utf8(world.raw(request).await).unwrap();
        if answer.starts_with("HTTP/1.1 200 ") {
            assert!(!answer.ends_with("0\r\n\r\n"), "looks whole: {answer}");
        } else {
            assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        }
        match world.h2c().await.get("http://app.localhost/").await {
            Ok((answer, _)) => assert_eq!(answer.status, 502),
            Err(error) => assert!(error.is_reset() && error.is_remote(), "{error}"),
        }
        agent.stop().await;
    }
}

#[tokio::test]
async fn an_agent_that_is_lost_is_an_error_to_its_visitors() {
    let world = World::start().await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
    let (origin, came, _left) = silent(head).await;
    let agent = world.agent("app", origin.address).await;
    let mut early = world.dial().await;
    early
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    soon("some of the body", read_until(&mut early, b"x\r\n")).await;
    came.notified().await;
    agent.kill();
    let mut rest = Vec::new();
    drop(soon("the end", early.read_to_end(&mut rest)).await);
    assert_eq!(
        String::from_utf8(rest).unwrap(),
        "",
        "an end without the last chunk"
    );
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_is_passed_on() {
    let world = World::start().await;
    let origin = Origin::saying(
        "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno",
    )
    .await;
    let _agent = world.agent("app", origin.address).await;
    let h2 = world.h2c().await;
    let request = Request::post("http://app.localhost/").body(()).unwrap();
    let (response, mut send) = h2.sender().await.send_request(request, false).unwrap();
    send.send_data(Bytes::from_static(&[0; 1000]), false)
        .unwrap();
    let response = soon("413", response).await.unwrap();
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn a_reset_without_an_error_is_still_a_cut() {
    let world = World::start().await;
    let origin = Origin::scripted(|stream| async move {
        let Ok(mut connection) = h2::server::handshake(stream).await else {
            return;
        };
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let mut body = respond
                .send_response(http::Response::new(()), false)
                .unwrap();
            body.send_data(Bytes::from_static(b"half"), false).unwrap();
            body.send_reset(h2::Reason::NO_ERROR);
        }
    })
    .await;
    let _agent = world
        .agent_with("app", &format!("h2c://{}", origin.address), |_| {})
        .await;
    let result = world.h2c().await.get("http://app.localhost/").await;
    let is_whole = matches!(&result, Ok((answer, _)) if answer.status == 200);
    assert!(!is_whole, "{result:?}");
}
