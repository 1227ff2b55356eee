//! What servers answer, and how that is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adit_tests::origin::{Origin, read_head};
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::io::AsyncWriteExt as _;

use crate::{errors, loadtest};

#[tokio::test]
async fn failures_are_told_apart_and_end_nothing() {
    for (answer, expected) in [
        (
            "HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno",
            "status-503=3",
        ),
        (
            "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n",
            "status-404=3",
        ),
        (
            "HTTP/1.1 503 Busy\r\nadit-error: agent-away\r\ncontent-length: 0\r\n\r\n",
            "adit:agent-away=3",
        ),
        ("", "reset=3"),
        ("HTTP/1.1 200 OK\r\ncontent-len", "reset=3"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
            "body=3",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "body=3",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense",
            "protocol=3",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "protocol=3",
        ),
        ("SSH-2.0-server\r\n\r\n", "protocol=3"),
        ("HTTP/1.1 101 Switching\r\n\r\n", "protocol=3"),
    ] {
        let origin = Origin::saying(answer).await;
        let line = format!("http://{} --requests 3 --connections 1", origin.address);
        let result = loadtest(&line).await;
        assert_eq!(errors(&result), expected, "{answer:?}");
        assert_eq!(result.totals.ok, 0);
    }
}

#[tokio::test]
async fn nobody_and_silence_are_told_apart() {
    let nobody = Origin::nobody().await;
    let result = loadtest(&format!("http://{nobody} --requests 2 --connections 1")).await;
    assert_eq!(errors(&result), "connect=2");

    let silent = Origin::scripted(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let url = format!("http://{}", silent.address);
    let line = format!("{url} --requests 2 --connections 1 --timeout 50ms");
    let result = loadtest(&line).await;
    assert_eq!(errors(&result), "timeout=2");
    // Each had a connection of its own: what is late must not be taken for the next answer.
    assert_eq!(silent.connections.load(Ordering::Relaxed), 2);

    let plain = Origin::scripted(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n").await);
    })
    .await;
    let url = format!("https://{}", plain.address);
    let line = format!("{url} --insecure --http1 --requests 2 --connections 1");
    assert_eq!(errors(&loadtest(&line).await), "tls=2");
}

#[tokio::test]
async fn bodies_are_counted_however_they_are_framed() {
    for (answer, received) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 15),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            15,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", 39),
        (
            "HTTP/1.1 103 Early\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
            3,
        ),
        ("HTTP/1.1 204 None\r\ncontent-length: 9\r\n\r\n", 0),
    ] {
        let origin = Origin::saying(answer).await;
        let line = format!("http://{} --requests 3 --connections 1", origin.address);
        let result = loadtest(&line).await;
        assert_eq!((result.totals.ok, errors(&result)), (3, String::new()));
        assert_eq!(result.totals.received, received, "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let origin = Origin::serving(|_| async { Response::new(Full::from("hello")) }).await;
    let url = format!("http://{}", origin.address);
    let result = loadtest(&format!("{url} --requests 50 --connections 2")).await;
    assert_eq!((result.totals.ok, result.totals.received), (50, 250));
    assert_eq!(result.totals.connects, 0);
    assert_eq!(origin.connections.load(Ordering::Relaxed), 2);

    let line = format!("{url} --requests 50 --connections 2 --new-connections");
    let result = loadtest(&line).await;
    assert_eq!((result.totals.ok, result.totals.connects), (50, 50));
    assert_eq!(origin.connections.load(Ordering::Relaxed), 52);
}

#[tokio::test]
async fn an_upload_arrives_whole() {
    let arrived = Arc::new(AtomicU64::new(0));
    let count = arrived.clone();
    let origin = Origin::serving(move |request| {
        let count = count.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            count.fetch_add(body.len() as u64, Ordering::Relaxed);
            Response::new(Full::from(""))
        }
    })
    .await;
    let url = format!("http://{}", origin.address);
    for (how, bytes) in [
        ("--upload", 10 << 20),
        ("--body 100", 1000),
        ("--body 0", 0),
    ] {
        for protocol in ["--http1", "--http2"] {
            let line = format!("{url} {protocol} {how} --requests 10 --connections 2");
            let result = loadtest(&line).await;
            assert_eq!(result.totals.ok, 10, "{how} {result:?}");
            assert_eq!(result.totals.sent, bytes, "{how} {protocol}");
            assert_eq!(arrived.swap(0, Ordering::Relaxed), bytes);
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_echoed_while_it_is_sent_does_not_stand_still() {
    let origin = Origin::serving(|request| async move {
        let body = request.into_body().into_data_stream();
        let frames = futures_util::StreamExt::map(body, |data| data.map(http_body::Frame::data));
        Response::new(StreamBody::new(frames))
    })
    .await;
    let url = format!("http://{}", origin.address);
    for protocol in ["--http1", "--http2"] {
        let line = format!("{url} {protocol} --body 8MiB --requests 2 --connections 1");
        let result = loadtest(&line).await;
        assert_eq!((result.totals.ok, errors(&result)), (2, String::new()));
        assert_eq!(result.totals.received, 16 << 20, "{protocol}");
    }
}

#[tokio::test]
async fn an_early_refusal_of_an_upload_is_an_answer() {
    let origin = Origin::saying("HTTP/1.1 413 Large\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://{}", origin.address);
    let result = loadtest(&format!("{url} --upload --requests 3 --connections 1")).await;
    let statuses: Vec<_> = result.totals.errors.keys().collect();
    // The server may also have been gone before its answer was read.
    assert!(
        statuses
            .iter()
            .all(|name| matches!(name.as_str(), "status-413" | "reset")),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn events_are_counted_as_they_come() {
    let origin = Origin::scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        drop(stream.write_all(head.as_bytes()).await);
        for _ in 0..5 {
            let event = b": here\n\nevent: tick\ndata: 1\n\n";
            drop(stream.write_all(event).await);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    let url = format!("http://{}", origin.address);
    let line = format!("{url} --events --connections 2 --duration 500ms --timeout 200ms");
    let result = loadtest(&line).await;
    // Then they fell silent, and each was asked again at least once.
    assert!(result.totals.ok >= 10, "{result:?}");
    assert!(result.totals.errors["timeout"] >= 2, "{result:?}");
    assert!(
        (15_000..150_000).contains(&result.latency.p75_us),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_waited_is_no_failure() {
    let origin = Origin::scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = Bytes::from("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        drop(stream.write_all(&answer).await);
    })
    .await;
    let url = format!("http://{}", origin.address);
    let line = format!("{url} --rate 50 --requests 5 --connections 1");
    let result = loadtest(&line).await;
    assert_eq!((result.totals.ok, errors(&result)), (5, String::new()));
}
