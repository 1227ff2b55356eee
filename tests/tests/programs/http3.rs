//! HTTP/3 by clients that none of us wrote, and what a hostile one costs the built relay.

use adit_tests::http3::Quic;
use adit_tests::origin::{Origin, read_head};
use adit_tests::program::{BuiltRelay, Program, run};
use adit_tests::soon;
use quinn::{TransportConfig, VarInt};
use tokio::io::AsyncWriteExt as _;

use crate::{Setting, node, python};

#[tokio::test]
async fn aioquic_speaks_http3_with_the_relay() {
    let setting = Setting::start("http", node("http/server.mjs")).await;
    let mut client = python("http3/client.py");
    client.args([&setting.https_over_quic(), "--ca", &setting.ca()]);
    run(client).await;
}

#[tokio::test]
async fn chromium_speaks_http3_with_the_relay() {
    let setting = Setting::start("http", node("http/server.mjs")).await;
    let mut client = node("http3/browser.mjs");
    client.args([&setting.https_over_quic(), "--ca", &setting.ca()]);
    run(client).await;
}

/// A type, and the length that is declared; then as many bytes as are taken, up to `most`. The rest is given up:
/// a stream that ended within a frame would end the connection (RFC 9114 section 7.1).
async fn flood(quic: &Quic, head: &[u8], most: u64) -> u64 {
    let (mut send, _recv) = quic.open(head, false).await;
    let piece = [7; 64 << 10];
    let mut sent = 0;
    while sent < most {
        let written = tokio::select! {
            biased;
            // Asked apart: a write that waits has been seen to sleep through it.
            _ = send.stopped() => break,
            written = send.write_all(&piece) => written,
        };
        if written.is_err() {
            break;
        }
        sent += piece.len() as u64;
    }
    drop(send.reset(VarInt::from_u32(0x10c)));
    sent
}

async fn hostile(frames: u64) {
    let relay = BuiltRelay::start(&[]).await;
    let mut transport = TransportConfig::default();
    transport.send_window(1 << 20);
    let (address, ca) = (relay.address("quic"), relay.ca());
    let quic = Quic::dial(address, &ca, "localhost", transport).await;
    // What one connection costs is there already.
    let large = [1, 0xb5, 0xa4, 0xe9, 0x00];
    flood(&quic, &large, 1 << 20).await;
    let before = relay.program.resident();
    // Frames that nobody knows, of a GiB.
    let unknown = [0x21, 0xc0, 0, 0, 0, 0x40, 0, 0, 0];
    assert_eq!(flood(&quic, &unknown, frames).await, frames);
    // Heads of 900 MB, until a quarter as much was sent of them: each stream takes some before it is stopped.
    let mut sent = 0;
    while sent < frames / 4 {
        let more = flood(&quic, &large, frames / 4).await;
        assert!(
            more > 0,
            "{sent} bytes of heads were taken, and then no more"
        );
        sent += more;
    }
    // Requests that are never finished, and such that are given up at once.
    let mut slow = Vec::new();
    for _ in 0..50 {
        slow.push(quic.open(&[1, 0x44, 0, 0], false).await);
    }
    // The relay ends that.
    while let Ok((mut send, mut recv)) = soon("a stream", quic.connection.open_bi()).await {
        drop(send.write_all(&[1, 0x44, 0, 0]).await);
        drop(send.reset(VarInt::from_u32(0x10c)));
        drop(recv.stop(VarInt::from_u32(0x10c)));
    }
    let after = relay.program.resident();
    assert!(
        after < before + (8 << 10),
        "{before} KiB before, {after} after"
    );
}

/// What a stranger sends is not kept: the relay's memory stays where it was.
#[tokio::test]
async fn a_hostile_visitor_over_http3_costs_no_memory() {
    hostile(8 << 20).await;
}

/// The same at the sizes that once filled a library's memory: 256 MiB of heads, a GiB of what is unknown.
#[tokio::test]
#[ignore = "takes long: make soak"]
async fn a_hostile_visitor_over_http3_costs_no_memory_however_long_it_goes_on() {
    hostile(1 << 30).await;
}

/// Responses that nobody reads wait at the agent: a stream costs the relay its window, and as much again that is on its
/// way to the visitor.
#[tokio::test]
async fn slow_readers_over_http3_cost_their_windows_at_most() {
    let relay = BuiltRelay::start(&["--limit", "window=128KiB"]).await;
    let origin = Origin::scripted(|mut stream| async move {
        drop(read_head(&mut stream).await);
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 67108864\r\n\r\n";
        drop(stream.write_all(head.as_bytes()).await);
        let piece = vec![b'x'; 1 << 20];
        while stream.write_all(&piece).await.is_ok() {}
    })
    .await;
    let url = format!("http://{}", origin.address);
    let agent = relay.agent(&["--subdomain", "app", "--origin", &url]);
    let mut agent = Program::start(agent);
    agent
        .line("its URL", |line| line.starts_with("http").then_some(()))
        .await;
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(16 << 10));
    let (address, ca) = (relay.address("quic"), relay.ca());
    let quic = Quic::dial(address, &ca, "app.localhost", transport).await;
    // `GET https://app.localhost/` in QPACK's static table and plain text.
    let section = [&b"\0\0\xd1\xd7\x50\x0d"[..], b"app.localhost", b"\xc1"].concat();
    let get = [&[1, u8::try_from(section.len()).unwrap()][..], &section].concat();
    // What one of them costs, and the connections, is there already.
    let mut readers = Vec::new();
    let mut read = async || {
        let (send, mut recv) = quic.open(&get, true).await;
        let some = soon("some of the response", recv.read_chunk(1024, true)).await;
        assert!(some.unwrap().is_some());
        readers.push((send, recv));
    };
    read().await;
    let before = relay.program.resident();
    for _ in 0..READERS {
        read().await;
    }
    // Each of them has taken all that it may by then, or was just read from.
    for (_, recv) in &mut readers {
        let some = soon("some more", recv.read_chunk(1024, true)).await;
        assert!(some.unwrap().is_some());
    }
    let (after, windows) = (relay.program.resident(), READERS * 2 * 128);
    assert!(
        after < before + windows + (8 << 10),
        "{before} KiB before, {after} after"
    );
}

/// Responses that nobody reads.
const READERS: u64 = 64;
