//! What a visitor over HTTP/3 may take, and what becomes of one that takes more.

use std::sync::Arc;
use std::time::Duration;

use adit_tests::origin::{Origin, read_head};
use adit_tests::{World, soon};
use bytes::Bytes;
use http::Request;
use quinn::VarInt;
use tokio::sync::Notify;

const URL: &str = "https://app.localhost/";

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let world = World::with(|config| config.limits.head_timeout = Duration::from_millis(200)).await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let h3 = world.h3("app.localhost").await;
    let (_send, mut recv) = h3.quic.open(&[1, 0x40], false).await;
    let answer = soon("an answer", recv.read_to_end(10_000)).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("request-late"));
    assert_eq!(h3.get(URL).await.unwrap().0.status, 200);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_before_it_comes() {
    let world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let h3 = world.h3("app.localhost").await;
    // 900 MB are declared, of which none comes.
    let (send, mut recv) = h3.quic.open(&[1, 0xb5, 0xa4, 0xe9, 0x00], false).await;
    let answer = soon("an answer", recv.read_to_end(10_000)).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("head-too-large"));
    // H3_NO_ERROR: the answer stands (RFC 9114 section 4.1).
    let stopped = soon("the stop", send.stopped()).await.unwrap();
    assert_eq!(stopped, Some(VarInt::from_u32(0x100)));
    assert_eq!(h3.get(URL).await.unwrap().0.status, 200);
}

/// Uploads that nobody takes fill the windows of their streams, and what else the visitor asks for is
/// answered.
#[tokio::test]
async fn an_upload_that_stalls_stops_no_other_request() {
    let world = World::start().await;
    let came = Arc::new(Notify::new());
    let tell = came.clone();
    let origin = Origin::scripted(move |mut stream| {
        let tell = tell.clone();
        async move {
            drop(read_head(&mut stream).await);
            tell.notify_one();
            std::future::pending::<()>().await;
        }
    })
    .await;
    let _stuck = world.agent("app", origin.address).await;
    let h3 = world.h3("app.localhost").await;
    let piece = Bytes::from(vec![0; 1 << 20]);
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let mut stream = h3
            .begin(Request::post(URL).body(()).unwrap())
            .await
            .unwrap();
        soon("the request comes", came.notified()).await;
        // As much as the relay, the agent and the origin's socket take.
        while let Ok(sent) =
            tokio::time::timeout(Duration::from_millis(300), stream.send_data(piece.clone())).await
        {
            sent.unwrap();
        }
        stuck.push(stream);
    }
    let next = h3.begin(Request::get(URL).body(()).unwrap()).await;
    soon("another request comes", came.notified()).await;
    drop((next, stuck));
}

#[tokio::test]
async fn whoever_gives_up_nearly_all_requests_is_sent_away() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        drop(read_head(&mut stream).await);
        std::future::pending::<()>().await;
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let quic = world
        .quic_as_visitor("app.localhost", Default::default())
        .await;
    let request = super::headers(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "app.localhost"),
        (":path", "/"),
    ]);
    let flood = async {
        for _ in 0..5000 {
            let Ok((mut send, mut recv)) = quic.connection.open_bi().await else {
                return;
            };
            drop(send.write_all(&request).await);
            drop(send.reset(VarInt::from_u32(0x10c)));
            drop(recv.stop(VarInt::from_u32(0x10c)));
        }
    };
    tokio::join!(flood, async {
        assert_eq!(quic.closed().await, 0x107);
    });
    let limited = world.admin_text("/metrics").await;
    assert!(
        limited.contains("limited_total{limit=\"frames\"}"),
        "{limited}"
    );
}
