//! What a visitor over HTTP/3 may take, and what becomes of one that takes more.

use std::sync::Arc;
use std::time::Duration;

use adit_tests::origin::{Origin, read_head};
use adit_tests::{World, eventually, soon};
use bytes::Bytes;
use http::Request;
use quinn::{ReadError, ReadToEndError, TransportConfig, VarInt};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::{frame, headers};
use crate::hostile::addresses::limited;

const SHORT: Duration = Duration::from_millis(300);

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
        while let Ok(sent) = timeout(SHORT, stream.send_data(piece.clone())).await {
            sent.unwrap();
        }
        stuck.push(stream);
    }
    let next = h3.begin(Request::get(URL).body(()).unwrap()).await;
    soon("another request comes", came.notified()).await;
    drop((next, stuck));
}

/// A request for `app`, with further fields.
fn request(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let first = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "app.localhost"),
        (":path", "/"),
    ];
    headers(&[&first[..], more].concat())
}

/// An origin that answers nothing.
async fn silent() -> Origin {
    Origin::scripted(|mut stream| async move {
        drop(read_head(&mut stream).await);
        std::future::pending::<()>().await;
    })
    .await
}

/// What a visitor does with each of its requests.
#[derive(Clone, Copy, Debug)]
enum Churn {
    /// It wants none of it any more.
    GivesUp,
    /// It wants the answer, and sends no more of the body.
    GivesUpTheBody,
    /// It sends more than it declared, so that the relay has to reset the stream (CVE-2025-8671).
    IsLonger,
    /// The same, by trailers that may not be.
    HasBadTrailers,
}

#[tokio::test]
async fn whoever_gives_up_or_breaks_nearly_all_requests_is_sent_away() {
    use Churn::{GivesUp, GivesUpTheBody, HasBadTrailers, IsLonger};
    let world = World::start().await;
    let origin = silent().await;
    let _agent = world.agent("app", origin.address).await;
    let declared = request("POST", &[("content-length", "5")]);
    let cancelled = VarInt::from_u32(0x10c);
    for churn in [GivesUp, GivesUpTheBody, IsLonger, HasBadTrailers] {
        let bytes = match churn {
            GivesUp => request("GET", &[]),
            GivesUpTheBody => [&declared[..], &frame(0, b"he")].concat(),
            IsLonger => [&declared[..], &frame(0, b"hello!")].concat(),
            HasBadTrailers => {
                let trailers = headers(&[(":path", "/")]);
                [&declared[..], &frame(0, b"hello"), &trailers].concat()
            }
        };
        let before = limited(&world, "frames").await;
        let quic = world
            .quic_as_visitor("app.localhost", Default::default())
            .await;
        let flood = async {
            let mut kept = Vec::new();
            for _ in 0..5000 {
                let Ok((mut send, mut recv)) = quic.connection.open_bi().await else {
                    return;
                };
                drop(send.write_all(&bytes).await);
                match churn {
                    GivesUp => {
                        drop(send.reset(cancelled));
                        drop(recv.stop(cancelled));
                    }
                    GivesUpTheBody => {
                        drop(send.reset(cancelled));
                        kept.push(recv);
                    }
                    IsLonger | HasBadTrailers => {
                        drop(send.finish());
                        kept.push(recv);
                    }
                }
                if kept.len() > 100 {
                    // The streams there are, are taken by then.
                    drop(timeout(SHORT, kept.remove(0).read_to_end(1 << 16)).await);
                }
            }
        };
        tokio::join!(flood, async {
            assert_eq!(quic.closed().await, 0x107, "{churn:?}");
        });
        assert_eq!(limited(&world, "frames").await, before + 1, "{churn:?}");
    }
}

/// A few that are given up are nobody's attack, and one request counts once.
#[tokio::test]
async fn a_page_that_is_left_is_no_attack() {
    let world = World::start().await;
    let origin = silent().await;
    let _agent = world.agent("app", origin.address).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let quic = world
        .quic_as_visitor("app.localhost", Default::default())
        .await;
    let bytes = request("POST", &[("content-length", "5")]);
    let mut kept = Vec::new();
    for _ in 0..120 {
        kept.push(quic.open(&bytes, false).await);
    }
    for (send, recv) in &mut kept {
        drop(send.reset(VarInt::from_u32(0x10c)));
        drop(recv.stop(VarInt::from_u32(0x10c)));
    }
    eventually("all of them are over", || async {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains("\nadit_relay_exchanges 0\n")
    })
    .await;
    assert_eq!(limited(&world, "frames").await, 0);
    assert_eq!(quic.connection.close_reason(), None);
}

#[tokio::test]
async fn an_upload_over_http3_that_does_not_come_is_not_waited_for() {
    let world = World::with(|config| config.limits.upload_timeout = SHORT).await;
    let origin = silent().await;
    let _agent = world.agent("app", origin.address).await;
    let h3 = world.h3("app.localhost").await;
    for declared in [&[][..], &[("content-length", "100000")]] {
        let bytes = [request("POST", declared), frame(0, b"he")].concat();
        let (_send, mut recv) = h3.quic.open(&bytes, false).await;
        let answer = soon("an answer", recv.read_to_end(10_000)).await.unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("body-late"));
    }
    assert_eq!(limited(&world, "upload-timeout").await, 2);
}

#[tokio::test]
async fn a_response_over_http3_that_nobody_takes_is_cut() {
    let world = World::with(|config| {
        config.limits.download_timeout = SHORT;
        config.limits.least_rate = 10_000;
    })
    .await;
    let origin = Origin::scripted(|mut stream| async move {
        drop(read_head(&mut stream).await);
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 8388608\r\n\r\n";
        drop(stream.write_all(head.as_bytes()).await);
        drop(stream.write_all(&vec![b'x'; 8 << 20]).await);
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(16 << 10));
    let quic = world.quic_as_visitor("app.localhost", transport).await;
    let (_send, mut recv) = quic.open(&request("GET", &[]), true).await;
    eventually("it is cut", || async {
        limited(&world, "download-timeout").await == 1
    })
    .await;
    let end = soon("the end", recv.read_to_end(16 << 20)).await;
    assert!(
        matches!(end, Err(ReadToEndError::Read(ReadError::Reset(_)))),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_connection_over_http3_that_asks_nothing_more_is_closed() {
    let world = World::with(|config| config.limits.idle_timeout = SHORT).await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let h3 = world.h3("app.localhost").await;
    assert_eq!(h3.get(URL).await.unwrap().0.status, 200);
    assert_eq!(h3.quic.closed().await, 0x100);
}

#[tokio::test]
async fn a_visitor_over_http3_waits_for_streams_above_the_limit() {
    let world = World::with(|config| config.limits.streams_per_connection = 2).await;
    let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (tell, wait) = (came.clone(), go.clone());
    let origin = Origin::scripted(move |mut stream| {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            while !read_head(&mut stream).await.is_empty() {
                tell.add_permits(1);
                wait.acquire().await.unwrap().forget();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                drop(stream.write_all(answer).await);
            }
        }
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let quic = world
        .quic_as_visitor("app.localhost", Default::default())
        .await;
    let get = request("GET", &[]);
    let (_one, mut first) = quic.open(&get, true).await;
    let (_two, mut second) = quic.open(&get, true).await;
    came.acquire_many(2).await.unwrap().forget();
    assert!(timeout(SHORT, quic.connection.open_bi()).await.is_err());
    go.add_permits(3);
    for answer in [&mut first, &mut second] {
        let answer = soon("an answer", answer.read_to_end(10_000)).await;
        assert!(!answer.unwrap().is_empty());
    }
    // There is room again.
    let (_three, mut third) = quic.open(&get, true).await;
    assert!(soon("an answer", third.read_to_end(10_000)).await.is_ok());
}

/// Frames that ask for nothing, on the stream of a request or on the control stream: some are skipped (RFC 9114
/// section 9), and whoever sends nothing else is sent away.
#[tokio::test]
async fn whoever_sends_frames_that_ask_for_nothing_is_sent_away() {
    let world = World::start().await;
    let origin = silent().await;
    let _agent = world.agent("app", origin.address).await;
    let unknown = [0x21, 0].repeat(1_000);
    let empty = frame(0, b"").repeat(1_000);
    for (count, flood) in [(1, &unknown), (2, &empty)] {
        let quic = world
            .quic_as_visitor("app.localhost", Default::default())
            .await;
        let some = [&request("POST", &[])[..], flood].concat();
        let (mut send, _recv) = quic.open(&some, false).await;
        while send.write_all(flood).await.is_ok() {}
        assert_eq!(quic.closed().await, 0x107);
        assert_eq!(limited(&world, "frames").await, count);
    }
    let quic = world
        .quic_as_visitor("app.localhost", Default::default())
        .await;
    let mut control = soon("a stream", quic.connection.open_uni()).await.unwrap();
    control.write_all(&[0, 4, 0]).await.unwrap();
    while control.write_all(&unknown).await.is_ok() {}
    assert_eq!(quic.closed().await, 0x107);
    assert_eq!(limited(&world, "frames").await, 3);
}

#[tokio::test]
async fn some_frames_that_ask_for_nothing_are_skipped() {
    let world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let h3 = world.h3("app.localhost").await;
    let some = [0x21, 0].repeat(1_000);
    let bytes = [&some[..], &request("GET", &[]), &some[..500]].concat();
    let (_send, mut recv) = h3.quic.open(&bytes, true).await;
    let answer = soon("an answer", recv.read_to_end(100_000)).await.unwrap();
    assert!(!answer.is_empty());
    assert_eq!(limited(&world, "frames").await, 0);
    assert_eq!(h3.get(URL).await.unwrap().0.status, 200);
}
