//! One act of each kind of flood.

use std::net::SocketAddr;
use std::time::Duration;

use adit_shared::quic::endpoint::Dialer;
use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::{Flood, FloodKind, US, agent, busy, http3};

/// Does it once, until the relay ends it: the act of this number. Dropped, it is over.
pub(super) async fn once(flood: &Flood, number: u64) -> anyhow::Result<()> {
    let host = &flood.target.host;
    match flood.target.kind {
        FloodKind::BusyTunnel => busy::once(flood, number).await,
        FloodKind::AgentAnswers => agent::answers(flood, number).await,
        FloodKind::AgentMessages => agent::messages(flood, number).await,
        FloodKind::AgentNames => agent::names(flood, number).await,
        FloodKind::AgentDeaf => agent::deaf(flood, number).await,
        FloodKind::Connections => {
            let stream = dial(flood, flood.target.http, BUFFER).await?;
            wait(stream).await
        }
        FloodKind::Tls => {
            let stream = dial(flood, flood.target.https, BUFFER).await?;
            let name = host.clone().try_into()?;
            let connect = TlsConnector::from(flood.visitors.clone()).connect(name, stream);
            timeout(LONG, connect).await??;
            Ok(())
        }
        FloodKind::SlowHandshakes => {
            // The begin of a record of 512 bytes (RFC 8446 section 5.1).
            trickle(flood, flood.target.https, &[0x16, 3, 1, 2, 0]).await
        }
        FloodKind::SlowHeads => {
            let begin = format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: ");
            trickle(flood, flood.target.http, begin.as_bytes()).await
        }
        FloodKind::SlowBodies => {
            let begin =
                format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n\r\nx");
            trickle(flood, flood.target.http, begin.as_bytes()).await
        }
        FloodKind::SlowReads => {
            let mut stream = dial(flood, flood.target.http, 4 << 10).await?;
            let get = format!("GET /268435456 HTTP/1.1\r\nHost: {host}\r\n\r\n");
            stream.write_all(get.as_bytes()).await?;
            let mut ticks = interval(Duration::from_secs(1));
            let mut byte = [0];
            while stream.read(&mut byte).await? > 0 {
                ticks.tick().await;
            }
            Ok(())
        }
        FloodKind::Requests => requests(flood).await,
        FloodKind::Heads => {
            let mut stream = dial(flood, flood.target.http, BUFFER).await?;
            let head = format!(
                "GET / HTTP/1.1\r\nHost: {host}\r\nX: {}",
                "x".repeat(1 << 20)
            );
            stream.write_all(head.as_bytes()).await?;
            wait(stream).await
        }
        FloodKind::Resets => {
            frames(flood, &[], |number| {
                let stream = 2 * number + 1;
                [
                    get(host, stream, END_STREAM | END_HEADERS),
                    frame(3, 0, stream, &[0, 0, 0, 8]),
                ]
                .concat()
            })
            .await
        }
        FloodKind::BrokenStreams => {
            frames(flood, &[], |number| {
                let stream = 2 * number + 1;
                // A window that grows by nothing (RFC 9113 section 6.9).
                [get(host, stream, END_HEADERS), frame(8, 0, stream, &[0; 4])].concat()
            })
            .await
        }
        FloodKind::EmptyData => {
            let begun = get(host, 1, END_HEADERS);
            frames(flood, &begun, |_| frame(0, 0, 1, &[])).await
        }
        FloodKind::Continuation => {
            let begun = get(host, 1, 0);
            frames(flood, &begun, |_| frame(9, 0, 1, &[0x40, 1, b'x', 1, b'x'])).await
        }
        FloodKind::Pings => frames(flood, &[], |_| frame(6, 0, 0, &[0; 8])).await,
        FloodKind::Settings => {
            frames(flood, &[], |_| frame(4, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])).await
        }
        FloodKind::Windows => windows(flood).await,
        FloodKind::Http3Resets => http3::resets(flood).await,
        FloodKind::Http3SlowReads => http3::slow_reads(flood).await,
        FloodKind::Http3SlowBodies => http3::slow_bodies(flood).await,
        FloodKind::Http3Heads => http3::heads(flood).await,
        FloodKind::Http3Unknown => http3::unknown(flood).await,
        FloodKind::Http3Frames => http3::frames(flood, number).await,
        FloodKind::HalfHandshakes => {
            let dialer = Dialer::bind(flood.target.quic)?;
            flood.sent();
            let dial = dialer.dial(flood.target.quic, "localhost", flood.agents.clone());
            // Long enough for its first packet.
            drop(timeout(Duration::from_millis(2), dial).await);
            Ok(())
        }
        FloodKind::SilentAgents => {
            let dialer = Dialer::bind(flood.target.quic)?;
            flood.sent();
            let dial = dialer.dial(flood.target.quic, "localhost", flood.agents.clone());
            let connection = dial.await?;
            connection.closed().await;
            Ok(())
        }
        FloodKind::Garbage => garbage(flood).await,
    }
}

/// A connection from our address, for which the system keeps this many bytes.
pub(super) async fn dial(flood: &Flood, to: SocketAddr, buffer: u32) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(buffer)?;
    socket.bind((US, 0).into())?;
    flood.sent();
    Ok(socket.connect(to).await?)
}

/// Until the relay has had enough.
async fn wait(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut bytes = vec![0; 4 << 10];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}

/// `begin`, and then a byte a second.
async fn trickle(flood: &Flood, to: SocketAddr, begin: &[u8]) -> anyhow::Result<()> {
    let mut stream = dial(flood, to, BUFFER).await?;
    stream.write_all(begin).await?;
    let (mut read, mut write) = stream.split();
    let mut answer = [0; 4 << 10];
    loop {
        tokio::select! {
            read = read.read(&mut answer) => if read? == 0 {
                return Ok(());
            },
            () = sleep(Duration::from_secs(1)) => write.write_all(b"x").await?,
        }
    }
}

/// Requests one after the other, a hundred to a connection.
async fn requests(flood: &Flood) -> anyhow::Result<()> {
    let mut stream = dial(flood, flood.target.http, BUFFER).await?;
    let get = format!("GET /0 HTTP/1.1\r\nHost: {}\r\n\r\n", flood.target.host);
    let mut answer = [0; 4 << 10];
    let mut ticks = interval(Duration::from_millis(10));
    for _ in 0..100 {
        ticks.tick().await;
        flood.sent();
        stream.write_all(get.as_bytes()).await?;
        if stream.read(&mut answer).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// `begun`, and then a frame after the other, which are made by their number.
async fn frames(flood: &Flood, begun: &[u8], next: impl Fn(u32) -> Vec<u8>) -> anyhow::Result<()> {
    let stream = dial(flood, flood.target.http, BUFFER).await?;
    let (read, mut write) = stream.into_split();
    let send = async {
        write.write_all(&preface(&[])).await?;
        write.write_all(begun).await?;
        let mut ticks = interval(Duration::from_millis(10));
        for round in 0..FRAMES / AT_ONCE {
            let batch = (0..AT_ONCE).flat_map(|at| next(round * AT_ONCE + at));
            let batch: Vec<_> = batch.collect();
            write.write_all(&batch).await?;
            (0..AT_ONCE).for_each(|_| flood.sent());
            ticks.tick().await;
        }
        anyhow::Ok(())
    };
    let listen = async {
        let (mut read, mut bytes) = (read, vec![0; 64 << 10]);
        while read.read(&mut bytes).await? > 0 {}
        anyhow::Ok(())
    };
    tokio::select! {
        sent = send => sent,
        end = listen => end,
    }
}

/// As many requests as one connection may have, whose responses cannot be sent.
async fn windows(flood: &Flood) -> anyhow::Result<()> {
    let mut stream = dial(flood, flood.target.http, BUFFER).await?;
    // SETTINGS_INITIAL_WINDOW_SIZE.
    let mut bytes = preface(&[0, 4, 0, 0, 0, 0]);
    for number in 0..100 {
        flood.sent();
        let asked = get(&flood.target.host, 2 * number + 1, END_STREAM | END_HEADERS);
        bytes.extend(asked);
    }
    stream.write_all(&bytes).await?;
    let mut ticks = interval(Duration::from_secs(1));
    let mut answer = vec![0; 64 << 10];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if read? == 0 {
                return Ok(());
            },
            // One byte for one of them.
            _ = ticks.tick() => stream.write_all(&frame(8, 0, 1, &[0, 0, 0, 1])).await?,
        }
    }
}

/// Datagrams that look like the first of QUIC connections, and are none.
async fn garbage(flood: &Flood) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((US, 0)).await?;
    socket.connect(flood.target.quic).await?;
    let mut datagram = vec![0xa5_u8; 1200];
    // A long header of version 1 with two connection ids (RFC 9000 section 17.2.2).
    datagram[..7].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8, 1]);
    for number in 0..100_u32 {
        datagram[8..12].copy_from_slice(&number.to_be_bytes());
        flood.sent();
        socket.send(&datagram).await.context("cannot send")?;
        if number % 10 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

fn preface(settings: &[u8]) -> Vec<u8> {
    [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(4, 0, 0, settings),
    ]
    .concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET http://HOST/16384`, in HPACK's static table and plain text (RFC 7541).
fn get(host: &str, stream: u32, flags: u8) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x44, 6];
    block.extend(b"/16384");
    block.extend([0x41, u8::try_from(host.len()).unwrap_or(0)]);
    block.extend(host.as_bytes());
    frame(1, flags, stream, &block)
}

pub(super) const BUFFER: u32 = 64 << 10;
const LONG: Duration = Duration::from_secs(10);
/// Frames of one connection, and how many of them every ten milliseconds.
const FRAMES: u32 = 100_000;
const AT_ONCE: u32 = 100;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
