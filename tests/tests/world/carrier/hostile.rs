//! Strangers that say they carry datagrams.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::quic::tls::{self, Trust, read_certificates};
use adit_shared::wire::{CARRIER_ALPN, carrier};
use adit_tests::{World, eventually, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConnection;

/// A carrier of a stranger.
async fn stranger(world: &World) -> TlsStream<TcpStream> {
    let trust = Trust::Roots(read_certificates(&world.ca()).unwrap());
    let config = tls::client(&trust, &[CARRIER_ALPN]).unwrap();
    let stream = TcpStream::connect(world.https).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
    soon("TLS", connected).await.unwrap()
}

/// Waits until the relay has closed it; says how many bytes came before.
async fn closed(mut stream: TlsStream<TcpStream>) -> usize {
    let mut bytes = Vec::new();
    drop(soon("the relay closes", stream.read_to_end(&mut bytes)).await);
    bytes.len()
}

async fn carriers(world: &World, count: usize) {
    let line = format!("adit_relay_carriers {count}\n");
    eventually("so many carriers", || async {
        world.admin_text("/metrics").await.contains(&line)
    })
    .await;
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(carrier::put(&mut bytes, datagram));
    bytes
}

#[tokio::test]
async fn a_length_that_is_too_large_ends_the_carrier() {
    let world = World::start().await;
    let mut first = stranger(&world).await;
    first.write_all(&[0xff, 0xff]).await.unwrap();
    assert_eq!(closed(first).await, 0);
    let mut later = stranger(&world).await;
    later.write_all(&framed(&[0x40; 100])).await.unwrap();
    carriers(&world, 1).await;
    later.write_all(&[0x19, 0x65, 0]).await.unwrap();
    closed(later).await;
    carriers(&world, 0).await;
}

#[tokio::test]
async fn silence_and_empty_datagrams_are_cut_off_in_time() {
    let world = World::with(|config| {
        config.limits.head_timeout = Duration::from_millis(500);
        config.limits.handshake_timeout = config.limits.head_timeout;
    })
    .await;
    let silent = stranger(&world).await;
    let mut empty = stranger(&world).await;
    empty.write_all(&[0; 64]).await.unwrap();
    let mut slow = stranger(&world).await;
    slow.write_all(&[0x05]).await.unwrap();
    for stream in [silent, empty, slow] {
        assert_eq!(closed(stream).await, 0);
    }
    carriers(&world, 0).await;
}

#[tokio::test]
async fn a_carrier_that_no_session_uses_is_closed() {
    let world =
        World::with(|config| config.limits.hello_timeout = Duration::from_millis(100)).await;
    let mut garbage = stranger(&world).await;
    for first in [0x00, 0x40, 0x7f, 0x80, 0xc0, 0xff] {
        garbage
            .write_all(&framed(&vec![first; 1200]))
            .await
            .unwrap();
    }
    closed(garbage).await;
    carriers(&world, 0).await;
}

#[tokio::test]
async fn there_are_only_so_many_carriers() {
    let world = World::with(|config| config.limits.carriers = 2).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = stranger(&world).await;
        stream.write_all(&framed(&[0x40; 100])).await.unwrap();
        held.push(stream);
    }
    carriers(&world, 2).await;
    assert_eq!(closed(stranger(&world).await).await, 0);
    let metrics = world.admin_text("/metrics").await;
    assert!(
        metrics.contains("adit_relay_carriers_refused_total 1"),
        "{metrics}"
    );
    drop(held);
    carriers(&world, 0).await;
}

#[tokio::test]
async fn a_flood_through_carriers_slows_nobody() {
    let world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let mut floods = Vec::new();
    for _ in 0..4 {
        let mut stream = stranger(&world).await;
        let garbage: Vec<u8> = std::iter::repeat_n(framed(&[0x40; 1200]), 50)
            .flatten()
            .collect();
        floods.push(tokio::spawn(async move {
            // Until it is closed: nobody reads what may come back.
            while stream.write_all(&garbage).await.is_ok() {}
        }));
    }
    carriers(&world, 4).await;
    for _ in 0..50 {
        assert_eq!(world.get("app", "/").await.status, 200);
    }
    for flood in floods {
        flood.abort();
    }
}

/// As when the end of the handshake and the first datagram come in one segment: nothing comes after it
/// that would wake anybody.
#[tokio::test]
async fn a_datagram_that_comes_with_the_end_of_the_handshake_is_answered() {
    let world = World::start().await;
    let trust = Trust::Roots(read_certificates(&world.ca()).unwrap());
    let config = Arc::new(tls::client(&trust, &[CARRIER_ALPN]).unwrap());
    let name = "localhost".try_into().unwrap();
    let mut tls = ClientConnection::new(config, name).unwrap();
    let mut tcp = TcpStream::connect(world.https).await.unwrap();
    let (mut flight, mut bytes) = (Vec::new(), [0; 4096]);
    tls.write_tls(&mut flight).unwrap();
    tcp.write_all(&flight).await.unwrap();
    let mut hear = async |tls: &mut ClientConnection, tcp: &mut TcpStream| {
        let came = soon("the relay", tcp.read(&mut bytes)).await.unwrap();
        assert_ne!(came, 0, "it was closed");
        tls.read_tls(&mut &bytes[..came]).unwrap();
        tls.process_new_packets().unwrap().plaintext_bytes_to_read()
    };
    while tls.is_handshaking() {
        hear(&mut tls, &mut tcp).await;
    }
    // Of a version that nobody has, which every server answers.
    let mut packet = [0; 1200];
    packet[..5].copy_from_slice(&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a]);
    packet[5] = 8;
    packet[14] = 8;
    tls.writer().write_all(&framed(&packet)).unwrap();
    flight.clear();
    while tls.wants_write() {
        tls.write_tls(&mut flight).unwrap();
    }
    tcp.write_all(&flight).await.unwrap();
    while hear(&mut tls, &mut tcp).await == 0 {}
}
