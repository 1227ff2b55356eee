//! HTTP/3 by clients that none of us wrote, and what a hostile one costs the built relay.

use adit_tests::http3::Quic;
use adit_tests::program::{BuiltRelay, run};
use adit_tests::soon;
use quinn::{TransportConfig, VarInt};

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

/// A type, and the length that is declared; then as many bytes as are taken, up to `most`.
async fn flood(quic: &Quic, head: &[u8], most: u64) -> u64 {
    let (mut send, _recv) = quic.open(head, false).await;
    let piece = [7; 64 << 10];
    let mut sent = 0;
    while sent < most {
        let written = tokio::select! {
            biased;
            // Asked apart: a write that waits has been seen to sleep through it.
            _ = send.stopped() => return sent,
            written = send.write_all(&piece) => written,
        };
        if written.is_err() {
            break;
        }
        sent += piece.len() as u64;
    }
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
    // Heads of 900 MB: each stream takes some until it is stopped.
    let mut sent = 0;
    for _ in 0..16 {
        sent += flood(&quic, &large, frames / 4).await;
    }
    assert!(sent > 0);
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
