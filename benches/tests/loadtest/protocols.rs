//! The protocols besides cleartext HTTP/1.1.

use adit_tests::origin::{Origin, read_head};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Response, Version};
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::Server;
use crate::{errors, loadtest};

#[tokio::test]
async fn http2_shares_a_connection_among_streams() {
    let origin = Origin::serving(|request| async move {
        let is_http2 = request.version() == Version::HTTP_2;
        Response::new(Full::from(if is_http2 { "two" } else { "wrong" }))
    })
    .await;
    let url = format!("http://{}", origin.address);
    let line = format!("{url} --http2 --connections 2 --streams 8 --requests 200");
    let result = loadtest(&line).await;
    assert_eq!((result.totals.ok, result.totals.received), (200, 600));
    let connections = origin
        .connections
        .load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(connections, 2);

    let line = format!("{url} --http2 --new-connections --connections 2 --requests 20");
    let result = loadtest(&line).await;
    assert_eq!((result.totals.ok, result.totals.connects), (20, 20));
}

#[tokio::test]
async fn https_speaks_what_the_server_prefers() {
    let server = Server::tls("prefers").await;
    for (option, protocol) in [("", "http2"), ("--http1", "http1"), ("--http2", "http2")] {
        let line = format!("{} {option} --requests 20", server.options());
        let result = loadtest(&line).await;
        assert_eq!(result.plan.protocol, protocol);
        assert_eq!((result.totals.ok, result.totals.received), (20, 100));
    }
    let line = format!("{} --new-connections --requests 20", server.options());
    let result = loadtest(&line).await;
    assert_eq!((result.totals.ok, result.totals.connects), (20, 20));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_a_tls_failure() {
    let server = Server::tls("other").await;
    let place = format!("--connect 127.0.0.1:{}", server.address.port());
    let ca = format!("--ca {}", server.ca.display());
    for protocol in ["--http1", "--http2"] {
        let line = format!("https://other.example {protocol} {place} {ca} --requests 2 -c 1");
        assert_eq!(errors(&loadtest(&line).await), "tls=2");
    }
    let line = format!("https://other.example --http1 {place} --insecure --requests 2");
    assert_eq!(loadtest(&line).await.totals.ok, 2);
}

#[tokio::test]
async fn http3_takes_bodies_both_ways() {
    let server = Server::http3("bodies");
    let line = format!(
        "{} --http3 --connections 2 --streams 4 --body 100000 --requests 100",
        server.options()
    );
    let result = loadtest(&line).await;
    assert_eq!((result.totals.ok, errors(&result)), (100, String::new()));
    assert_eq!(
        (result.totals.sent, result.totals.received),
        (10_000_000, 600)
    );

    let line = format!(
        "{} --http3 --new-connections --requests 10",
        server.options()
    );
    let result = loadtest(&line).await;
    assert_eq!((result.totals.ok, result.totals.connects), (10, 10));

    let (url, ca) = server
        .options()
        .split_once(' ')
        .map_or_else(Default::default, |(url, ca)| {
            (url.to_owned(), ca.to_owned())
        });
    let result = loadtest(&format!("{url}/short {ca} --http3 --requests 2 -c 1")).await;
    assert_eq!(errors(&result), "body=2");

    let url = url.replace("app.localhost", "127.0.0.1");
    let result = loadtest(&format!("{url} {ca} --http3 --requests 2 -c 1")).await;
    assert_eq!(errors(&result), "tls=2");
}

#[tokio::test]
async fn a_websocket_echo_is_verified() {
    for (how, expected) in [
        (Echo::Whole, ""),
        (Echo::InPieces, ""),
        (Echo::Wrong, "body=3"),
        (Echo::Short, "body=3"),
        (Echo::Closes, "reset=3"),
    ] {
        let origin = Origin::scripted(move |stream| websocket(stream, how)).await;
        for size in ["0", "64", "70000", "1KiB..4KiB"] {
            if size == "0" && how != Echo::Whole {
                continue;
            }
            let line = format!(
                "http://{} --websocket --body {size} --requests 3 --connections 1",
                origin.address
            );
            let result = loadtest(&line).await;
            assert_eq!(errors(&result), expected, "{how:?} {size}");
            assert_eq!(result.totals.ok, if expected.is_empty() { 3 } else { 0 });
        }
    }
}

#[tokio::test]
async fn a_websocket_that_is_refused_is_counted_by_the_answer() {
    for (answer, expected) in [
        (
            "HTTP/1.1 503 Busy\r\nadit-error: agent-away\r\n\r\n",
            "adit:agent-away=2",
        ),
        ("HTTP/1.1 426 Upgrade\r\n\r\n", "status-426=2"),
        ("HTTP/1.1 200 OK\r\n\r\n", "protocol=2"),
        (
            "HTTP/1.1 101 Switching\r\nsec-websocket-accept: bm8=\r\n\r\n",
            "protocol=2",
        ),
    ] {
        let origin = Origin::saying(answer).await;
        let url = format!("http://{}", origin.address);
        let line = format!("{url} --websocket --requests 2 --connections 1");
        assert_eq!(errors(&loadtest(&line).await), expected);
    }
}

/// How a server echoes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Echo {
    Whole,
    /// In three fragments, with pings between them.
    InPieces,
    /// With one bit changed.
    Wrong,
    /// Without the last byte.
    Short,
    /// Not at all.
    Closes,
}

async fn websocket(mut stream: TcpStream, how: Echo) {
    let head = read_head(&mut stream).await;
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-key: "));
    let proof = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key.unwrap());
    let accept = BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, proof.as_bytes()));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    );
    drop(stream.write_all(answer.as_bytes()).await);
    let mut pongs = 0;
    while let Some((opcode, mut message)) = frame(&mut stream).await {
        if opcode == 10 {
            assert_eq!(message, b"ping");
            pongs += 1;
            continue;
        }
        let mut out = Vec::new();
        match how {
            Echo::Whole => append(0x82, &message, &mut out),
            Echo::InPieces => {
                let third = message.len() / 3;
                append(0x02, &message[..third], &mut out);
                append(0x89, b"ping", &mut out);
                append(0x00, &message[third..], &mut out);
                append(0x80, b"", &mut out);
            }
            Echo::Wrong => {
                let middle = message.len() / 2;
                message[middle] ^= 1;
                append(0x82, &message, &mut out);
            }
            Echo::Short => append(0x82, &message[1..], &mut out),
            Echo::Closes => append(0x88, b"", &mut out),
        }
        drop(stream.write_all(&out).await);
    }
    assert!(how != Echo::InPieces || pongs > 0);
}

/// Reads one frame of a client: its opcode and what is in it.
async fn frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.ok()?;
    assert!(head[0] & 0x80 != 0 && head[1] & 0x80 != 0, "{head:?}");
    let len = match head[1] & 0x7f {
        126 => u64::from(stream.read_u16().await.ok()?),
        127 => stream.read_u64().await.ok()?,
        len => len.into(),
    };
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await.ok()?;
    let mut payload = vec![0; usize::try_from(len).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    for (byte, mask) in payload.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
    Some((head[0] & 0x0f, payload))
}

/// Appends a frame of a server.
fn append(first: u8, payload: &[u8], to: &mut Vec<u8>) {
    to.push(first);
    match payload.len() {
        len @ 0..126 => to.push(len as u8),
        len @ 126..65_536 => {
            to.push(126);
            to.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            to.push(127);
            to.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    to.extend_from_slice(payload);
}
