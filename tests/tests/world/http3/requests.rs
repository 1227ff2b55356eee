//! What works over HTTP/1.1 and HTTP/2 works over HTTP/3: with the h3 crate's client.

use std::sync::Arc;

use adit_tests::http3::rest;
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::{World, eventually, soon};
use bytes::{Buf as _, Bytes};
use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

const URL: &str = "https://app.localhost/";

fn post() -> Request<()> {
    Request::post(URL).body(()).unwrap()
}

#[tokio::test]
async fn a_request_is_answered() {
    let world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let h3 = world.h3("app.localhost").await;
    let (answer, trailers) = h3.get("https://app.localhost/a%20b?c=d").await.unwrap();
    assert_eq!((answer.status.as_u16(), trailers), (200, None));
    let text = answer.text();
    assert!(text.starts_with("GET /a%20b?c=d\n"), "{text}");
    assert!(text.contains("host: app.localhost\n"), "{text}");
    assert!(text.contains("x-forwarded-proto: https\n"), "{text}");
    // A GET has no body, and none is made up for it.
    assert!(
        !text.contains("transfer-encoding") && !text.contains("content-length"),
        "{text}"
    );
    assert!(
        world
            .admin_text("/metrics")
            .await
            .contains("visitors_over_http3 1\n")
    );
    let (unknown, _) = h3.get("https://app.localhost/").await.unwrap();
    assert_eq!(unknown.status, 200);
}

#[tokio::test]
async fn it_is_announced_where_it_can_be_used() {
    let world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let expected = format!("h3=\":{}\"; ma=86400", world.quic.port());
    let (answer, _) = world.h2("app.localhost").await.get(URL).await.unwrap();
    assert_eq!(answer.fields["alt-svc"], *expected);
    let request = b"GET / HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n";
    let answer = world.raw_tls("app.localhost", request).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.contains(&format!("alt-svc: {expected}\r\n")),
        "{answer}"
    );
    // Without TLS nobody could believe it.
    let answer = world.get("app", "/").await;
    assert_eq!(answer.fields.get("alt-svc"), None);
    let (answer, _) = world.h3("app.localhost").await.get(URL).await.unwrap();
    assert_eq!(answer.fields.get("alt-svc"), None);
}

#[tokio::test]
async fn the_relays_own_answers_have_their_codes() {
    let world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let h3 = world.h3("localhost").await;
    let (answer, _) = h3.get("https://localhost/").await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (404, Some("unknown-name"))
    );
    // The connection is for one host, and the request for another.
    let (answer, _) = h3.get(URL).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (421, Some("misdirected"))
    );
    let large = Request::get("https://localhost/").header("x", "a".repeat(33 << 10));
    let answer = h3.send(large.body(()).unwrap(), Bytes::new()).await;
    // The client knows the limit from our settings, or hears of it.
    if let Ok((answer, _)) = answer {
        assert_eq!(answer.error(), Some("head-too-large"));
    }
}

#[tokio::test]
async fn bodies_go_both_ways_whole() {
    let world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let h3 = world.h3("app.localhost").await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    for declared in [true, false] {
        let mut request = post();
        if declared {
            let length = body.len().into();
            request.headers_mut().insert("content-length", length);
        }
        let (answer, _) = h3.send(request, body.clone().into()).await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.body.ends_with(&body));
    }
}

#[tokio::test]
async fn trailers_and_interim_heads_come_through() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        let request = read_until(&mut stream, b"x-sum: 1\r\n\r\n").await;
        assert!(request.contains("4\r\nbody\r\n0\r\n"), "{request}");
        let answer = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n\
            HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n\
            2\r\nok\r\n0\r\nx-end: yes\r\n\r\n";
        drop(stream.write_all(answer.as_bytes()).await);
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let h3 = world.h3("app.localhost").await;
    let mut stream = h3.begin(post()).await.unwrap();
    soon("an exchange", async {
        stream.send_data(Bytes::from_static(b"body")).await.unwrap();
        let sum = [("x-sum".parse().unwrap(), "1".parse().unwrap())];
        stream
            .send_trailers(sum.into_iter().collect())
            .await
            .unwrap();
        stream.finish().await.unwrap();
        let hints = stream.recv_response().await.unwrap();
        assert_eq!(hints.status(), StatusCode::EARLY_HINTS);
        assert_eq!(hints.headers()["link"], "</a.css>");
        let response = stream.recv_response().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(rest(&mut stream).await.unwrap(), b"ok");
        let trailers = stream.recv_trailers().await.unwrap().unwrap();
        assert_eq!(trailers["x-end"], "yes");
    })
    .await;
}

#[tokio::test]
async fn a_head_request_gets_a_head() {
    let world = World::start().await;
    let origin = Origin::saying("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
    let _agent = world.agent("app", origin.address).await;
    let h3 = world.h3("app.localhost").await;
    let request = Request::head(URL).body(()).unwrap();
    let (answer, _) = h3.send(request, Bytes::new()).await.unwrap();
    assert_eq!(answer.fields["content-length"], "1000");
    assert!(answer.body.is_empty());
}

/// Invariant 3: what the visitor receives is whole, or an error.
#[tokio::test]
async fn a_response_that_is_cut_is_no_success() {
    let world = World::start().await;
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let origin = Origin::saying(response).await;
        let agent = world.agent("app", origin.address).await;
        let h3 = world.h3("app.localhost").await;
        // The cut may overtake the head; then there is an answer in its place.
        match h3.get(URL).await {
            Ok((answer, _)) => assert_eq!(answer.status, 502),
            Err(error) => assert!(error.to_string().contains("H3_INTERNAL_ERROR"), "{error}"),
        }
        assert!(agent.stop().await);
    }
}

#[tokio::test]
async fn a_visitor_that_leaves_ends_the_origins_request() {
    let world = World::start().await;
    let (came, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, left) = (came.clone(), gone.clone());
    let origin = Origin::scripted(move |mut stream| {
        let (tell, left) = (tell.clone(), left.clone());
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            tell.notify_one();
            while stream.read(&mut [0; 1024]).await.is_ok_and(|len| len > 0) {}
            left.notify_one();
        }
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let h3 = world.h3("app.localhost").await;
    // With its request sent to the end, in mid upload, and with the connection.
    let mut whole = h3.begin(Request::get(URL).body(()).unwrap()).await.unwrap();
    whole.finish().await.unwrap();
    soon("the request comes", came.notified()).await;
    whole.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
    soon("the origin is told", gone.notified()).await;

    let mut half = h3.begin(post()).await.unwrap();
    half.send_data(Bytes::from_static(b"half")).await.unwrap();
    soon("the request comes", came.notified()).await;
    half.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
    half.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
    soon("the origin is told", gone.notified()).await;

    let _stream = h3.begin(post()).await.unwrap();
    soon("the request comes", came.notified()).await;
    h3.quic.connection.close(0_u32.into(), b"");
    soon("the origin is told", gone.notified()).await;
}

#[tokio::test]
async fn a_websocket_is_carried_both_ways() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        assert!(head.starts_with("get /chat http/1.1\r\n"), "{head}");
        assert!(head.contains("upgrade: shout\r\n"), "{head}");
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
            upgrade: shout\r\nx-extra: 1\r\n\r\nWELCOME";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut bytes = [0; 1024];
        while let Ok(len @ 1..) = stream.read(&mut bytes).await {
            bytes[..len].make_ascii_uppercase();
            stream.write_all(&bytes[..len]).await.unwrap();
        }
        drop(stream.write_all(b"BYE").await);
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let quic = world
        .quic_as_visitor("app.localhost", Default::default())
        .await;
    // The client knows no protocol of this name, so the request is written by hand.
    let request = [
        (":method", "CONNECT"),
        (":protocol", "shout"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "app.localhost"),
    ];
    let (mut send, mut recv) = quic.open(&super::headers(&request), false).await;
    let mut seen = Vec::new();
    let read = async |recv: &mut quinn::RecvStream, seen: &mut Vec<u8>, end: &[u8]| {
        while !seen.windows(end.len()).any(|window| window == end) {
            let chunk = soon("some bytes", recv.read_chunk(1 << 16, true)).await;
            seen.extend_from_slice(&chunk.unwrap().expect("the stream goes on").bytes);
        }
    };
    read(&mut recv, &mut seen, b"WELCOME").await;
    send.write_all(&super::frame(0, b"hello")).await.unwrap();
    read(&mut recv, &mut seen, b"HELLO").await;
    send.finish().unwrap();
    read(&mut recv, &mut seen, b"BYE").await;
    let end = soon("the end", recv.read_chunk(1 << 16, true))
        .await
        .unwrap();
    assert!(end.is_none());
}

#[tokio::test]
async fn a_relay_that_drains_finishes_what_is_in_flight() {
    let mut world = World::start().await;
    let (came, may) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (came.clone(), may.clone());
    let origin = Origin::scripted(move |mut stream| {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            tell.notify_one();
            wait.notified().await;
            drop(
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
                    .await,
            );
        }
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let (h3, idle) = (
        world.h3("app.localhost").await,
        world.h3("app.localhost").await,
    );
    let mut stream = h3.begin(Request::get(URL).body(()).unwrap()).await.unwrap();
    stream.finish().await.unwrap();
    soon("the request comes", came.notified()).await;
    let drained = world.begin_drain();
    // An idle connection ends at once, without an error.
    assert_eq!(idle.quic.closed().await, 0x100);
    eventually("new requests are refused", || async {
        h3.get(URL).await.is_err()
    })
    .await;
    may.notify_one();
    let response = soon("the response", stream.recv_response()).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = soon("the body", stream.recv_data()).await.unwrap().unwrap();
    assert_eq!(body.copy_to_bytes(body.remaining()), "done");
    assert!(soon("the end", stream.recv_data()).await.unwrap().is_none());
    assert_eq!(h3.quic.closed().await, 0x100);
    assert!(soon("the relay drains", drained).await.unwrap());
}
