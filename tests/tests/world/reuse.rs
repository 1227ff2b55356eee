//! Connections to the origin: used again when that is safe, and never when it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::{World, soon};
use tokio::io::AsyncWriteExt as _;

/// Says `answer` to every request, on as many requests a connection as come.
async fn saying_always(answer: &'static str) -> Origin {
    Origin::scripted(move |mut stream| async move {
        while !read_head(&mut stream).await.is_empty() {
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_whole_answer() {
    let world = World::start().await;
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let origin = saying_always(answer).await;
        let agent = world.agent("app", origin.address).await;
        let before = origin.connections.load(Ordering::Relaxed);
        for _ in 0..3 {
            assert!(world.get("app", "/").await.status.as_u16() < 400);
        }
        assert_eq!(
            origin.connections.load(Ordering::Relaxed),
            before + 1,
            "{answer:?}"
        );
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_connection_is_not_used_again_when_the_origin_will_close_it() {
    let world = World::start().await;
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let origin = saying_always(answer).await;
        let agent = world.agent("app", origin.address).await;
        let before = origin.connections.load(Ordering::Relaxed);
        for _ in 0..3 {
            assert_eq!(world.get("app", "/").await.text(), "ok");
        }
        assert_eq!(
            origin.connections.load(Ordering::Relaxed),
            before + 3,
            "{answer:?}"
        );
        agent.stop().await;
    }
    // Without a length the answer ends with its connection.
    let origin = Origin::saying("HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
    let _agent = world.agent("app", origin.address).await;
    assert_eq!(world.get("app", "/").await.text(), "until the end");
    assert_eq!(world.get("app", "/").await.text(), "until the end");
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_answers_nobody() {
    let world = World::start().await;
    let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    for good in [
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: good\r\ncontent-length: 0\r\n\r\n",
    ] {
        let origin = saying_always(Box::leak(format!("{good}{evil}").into_boxed_str())).await;
        let agent = world.agent("app", origin.address).await;
        for _ in 0..3 {
            let answer = world.get("app", "/").await;
            assert_ne!(answer.text(), "evil");
            assert!(answer.text() == "good" || answer.fields["x"] == "good");
        }
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_waited_costs_no_request() {
    let world = World::start().await;
    let origin = Origin::saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let _agent = world.agent("app", origin.address).await;
    for _ in 0..5 {
        assert_eq!(world.get("app", "/").await.text(), "ok");
        assert_eq!(world.post("app", "/", b"body").await.text(), "ok");
    }
}

/// Answers the first request of each connection, and closes it when the second has come.
async fn closing_on_the_second(seen: Arc<AtomicUsize>) -> Origin {
    Origin::scripted(move |mut stream| {
        let seen = seen.clone();
        async move {
            if !read_head(&mut stream).await.is_empty() {
                seen.fetch_add(1, Ordering::Relaxed);
                let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(ok).await.unwrap();
            }
            if !read_head(&mut stream).await.is_empty() {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_request_is_sent_again_only_if_that_does_no_harm() {
    let world = World::start().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let origin = closing_on_the_second(seen.clone()).await;
    let _agent = world.agent("app", origin.address).await;
    assert_eq!(world.get("app", "/").await.text(), "ok");
    assert_eq!(world.get("app", "/").await.text(), "ok");
    assert_eq!(seen.load(Ordering::Relaxed), 3, "the second came twice");
    let answer = world.post("app", "/", b"once").await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (502, Some("origin-reset"))
    );
    assert_eq!(
        seen.load(Ordering::Relaxed),
        4,
        "a payment is not made twice"
    );
}

#[tokio::test]
async fn a_request_goes_on_beside_its_answer_in_its_own_time() {
    let world = World::start().await;
    // It answers at once, and at the end says how much it has read.
    let origin = Origin::scripted(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n";
        stream.write_all(begun).await.unwrap();
        let body = head + &read_until(&mut stream, b"0\r\n\r\n").await;
        let end = format!("1\r\n{}\r\n0\r\n\r\n", body.matches("piece").count());
        stream.write_all(end.as_bytes()).await.unwrap();
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let mut visitor = world.dial().await;
    let head = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    visitor.write_all(head).await.unwrap();
    soon("the answer begins", read_until(&mut visitor, b"begun")).await;
    for _ in 0..3 {
        visitor.write_all(b"5\r\npiece\r\n").await.unwrap();
    }
    visitor.write_all(b"0\r\n\r\n").await.unwrap();
    let rest = soon("the answer ends", read_until(&mut visitor, b"0\r\n\r\n")).await;
    assert!(rest.contains("1\r\n3\r\n"), "{rest}");
}

#[tokio::test]
async fn an_origin_that_speaks_first_in_another_protocol_is_found_out_at_once() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        stream.write_all(b"220 mail.example ESMTP").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let answer = soon("an answer", world.get("app", "/")).await;
    assert_eq!(answer.error(), Some("origin-invalid"));
}
