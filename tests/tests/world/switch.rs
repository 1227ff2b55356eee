//! Switched protocols: WebSocket and any other, over HTTP/1.1 and HTTP/2.

use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::visit::rest;
use adit_tests::{World, soon};
use bytes::Bytes;
use http::{Method, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Switches to a protocol that says everything back in upper case, and greets along with its 101.
async fn shouting(extra: &'static str) -> Origin {
    Origin::scripted(move |mut stream| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        if !head.contains("connection: upgrade") {
            drop(
                stream
                    .write_all(b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 4\r\n\r\nmust")
                    .await,
            );
            return;
        }
        assert!(
            head.ends_with("\r\n\r\n"),
            "nothing comes before the 101: {head}"
        );
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: shout\r\n\
             {extra}\r\nWELCOME"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut bytes = [0; 1024];
        loop {
            match stream.read(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(len) => {
                    bytes[..len].make_ascii_uppercase();
                    stream.write_all(&bytes[..len]).await.unwrap();
                }
            }
        }
        // The visitor's end came through; what is said after it must, too.
        drop(stream.write_all(b"BYE").await);
    })
    .await
}

#[tokio::test]
async fn any_protocol_can_be_switched_to() {
    let world = World::start().await;
    let origin = shouting("x-extra: 1\r\n").await;
    let _agent = world.agent("app", origin.address).await;
    let mut visitor = world.dial().await;
    let request =
        b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n";
    visitor.write_all(request).await.unwrap();
    let head = soon("101", read_until(&mut visitor, b"WELCOME"))
        .await
        .to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(
        head.contains("\r\nupgrade: shout\r\n") && head.contains("\r\nconnection: upgrade\r\n")
    );
    assert!(head.contains("\r\nx-extra: 1\r\n") && head.ends_with("\r\n\r\nwelcome"));
    visitor.write_all(b"hello").await.unwrap();
    assert_eq!(
        soon("an echo", read_until(&mut visitor, b"HELLO")).await,
        "HELLO"
    );
    visitor.shutdown().await.unwrap();
    assert_eq!(
        soon("the end", read_until(&mut visitor, b"BYE")).await,
        "BYE"
    );
}

#[tokio::test]
async fn an_origin_may_decline_to_switch() {
    let world = World::start().await;
    let origin = Origin::saying("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    let _agent = world.agent("app", origin.address).await;
    let request =
        b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n";
    let mut visitor = world.dial().await;
    visitor.write_all(request).await.unwrap();
    let answer = soon("403", read_until(&mut visitor, b"\r\n\r\nno")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn an_offer_of_http2_is_for_this_hop_only() {
    let world = World::start().await;
    let origin = shouting("").await;
    let _agent = world.agent("app", origin.address).await;
    let request =
        b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n";
    let mut visitor = world.dial().await;
    visitor.write_all(request).await.unwrap();
    let answer = soon("426", read_until(&mut visitor, b"must")).await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}

#[tokio::test]
async fn a_websocket_over_http2_reaches_an_http1_origin() {
    let world = World::start().await;
    // Checks the key that the agent makes, and answers it.
    let origin = Origin::scripted(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let Some(key) = head
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-key: "))
        else {
            return;
        };
        assert!(
            head.starts_with("GET /chat HTTP/1.1\r\n")
                && head.contains("sec-websocket-version: 13")
        );
        let accept = accept(key);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {accept}\r\nsec-websocket-protocol: chat\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let heard = read_until(&mut stream, b"ping").await;
        stream
            .write_all(heard.replace("ping", "pong").as_bytes())
            .await
            .unwrap();
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let h2 = world.h2("app.localhost").await;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("https://app.localhost/chat")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .extension(h2::ext::Protocol::from_static("websocket"))
        .body(())
        .unwrap();
    let mut sender = h2.sender().await;
    adit_tests::eventually("extended CONNECT is allowed", || {
        let allowed = sender.is_extended_connect_protocol_enabled();
        async move { allowed }
    })
    .await;
    let (response, mut send) = sender.send_request(request, false).unwrap();
    let response = soon("200", response).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(response.headers().get("sec-websocket-accept"), None);
    send.send_data(Bytes::from_static(b"ping"), false).unwrap();
    let mut body = response.into_body();
    assert_eq!(soon("pong", body.data()).await.unwrap().unwrap(), "pong");
    send.send_data(Bytes::new(), true).unwrap();
    assert_eq!(rest(&mut body).await.unwrap(), b"");
}

#[tokio::test]
async fn a_101_with_a_wrong_accept_key_is_no_switch() {
    let world = World::start().await;
    let origin = Origin::saying(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: AAAA\r\n\r\n",
    )
    .await;
    let _agent = world.agent("app", origin.address).await;
    let request = b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade, close\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let answer = world.say(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (502, Some("origin-invalid"))
    );
}

fn accept(key: &str) -> String {
    // Computed by hand for a test: SHA-1 and base64 as RFC 6455 section 1.3 has them.
    adit_agent::origin::upgrade::accept_key(key)
}

#[tokio::test]
async fn a_websocket_over_http2_reaches_an_h2c_origin_even_as_its_first_request() {
    let world = World::start().await;
    let origin = Origin::scripted(|stream| async move {
        let mut builder = h2::server::Builder::new();
        builder.enable_connect_protocol();
        let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
            return;
        };
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.method(), Method::CONNECT);
            let mut send = respond
                .send_response(http::Response::new(()), false)
                .unwrap();
            send.send_data(Bytes::from_static(b"welcome"), true)
                .unwrap();
        }
    })
    .await;
    let _agent = world
        .agent_with("app", &format!("h2c://{}", origin.address), |_| {})
        .await;
    let request = b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut visitor = world.dial().await;
    visitor.write_all(request).await.unwrap();
    let answer = soon("101", read_until(&mut visitor, b"welcome")).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
}
