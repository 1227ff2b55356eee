//! Bare QUIC streams with the transport settings of relay and agent: the ceiling of a tunnel.
//!
//! As in a tunnel, the listening end opens the streams and the dialling end answers them. A stream
//! begins with a byte that says what it is for and eight that say how much.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_relay::edge::tls::Certificates;
use adit_shared::quic::endpoint::{Dialer, Listener};
use adit_shared::quic::tls::{self, Trust};
use adit_shared::quic::{Connection, RecvStream, SendStream};
use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{obey, say, spawn, until_closed};

/// Many small exchanges.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Small {
    /// At once.
    pub streams: usize,
    /// For how long.
    pub seconds: f64,
}

/// Large transfers.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Bulk {
    /// From the dialling end to the listening one, as a download goes.
    pub down: u64,
    /// The other way.
    pub up: u64,
    /// Over how many streams each.
    pub streams: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    Small(Small),
    Bulk(Bulk),
}

/// The listening end, which does what it is told.
pub(super) async fn server(state: &Path) -> anyhow::Result<()> {
    let domain = "localhost".parse()?;
    let certificates = Arc::new(Certificates::development(state, &domain)?);
    let ca = certificates.ca_path().map(Path::to_owned);
    let config = tls::server(certificates, &[ALPN])?;
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), config)?;
    say(&serde_json::json!({ "quic": listener.local(), "ca": ca }))?;
    let incoming = listener.accept().await.context("nobody dialled")?;
    let connection = incoming.accept().await?.connection;
    connection.lift_connection_window();
    obey(|order: Value| {
        let connection = connection.clone();
        async move {
            match serde_json::from_value(order)? {
                Order::Small(small) => exchanges(&connection, small).await,
                Order::Bulk(bulk) => transfers(&connection, bulk).await,
            }
        }
    })
    .await
}

/// The dialling end, which answers streams.
pub(super) async fn client(server: SocketAddr, ca: &Path) -> anyhow::Result<()> {
    let trust = Trust::Roots(tls::read_certificates(ca)?);
    let tls = Arc::new(tls::client(&trust, &[ALPN])?);
    let dialer = Dialer::bind(server)?;
    let connection = dialer.dial(server, "localhost", tls).await?;
    say(&Value::Null)?;
    spawn(async move {
        let block = Bytes::from(vec![b'x'; BLOCK]);
        while let Ok((send, recv)) = connection.accept().await {
            let block = block.clone();
            // A stream that fails shows at the other end.
            spawn(async move { drop(answer(send, recv, block).await) });
        }
    });
    until_closed().await
}

async fn exchanges(connection: &Connection, small: Small) -> anyhow::Result<Value> {
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(small.seconds);
    let message = head(SMALL, 0, MESSAGE);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..small.streams {
        let (connection, message) = (connection.clone(), message.clone());
        workers.spawn(async move {
            let mut times = Histogram::<u64>::new(3)?;
            while Instant::now() < end {
                let sent = Instant::now();
                let (mut send, mut recv) = connection.open().await?;
                send.write_chunk(message.clone()).await?;
                send.finish()?;
                ensure!(drain(&mut recv).await? == MESSAGE as u64, "a short answer");
                times.record(u64::try_from(sent.elapsed().as_micros())?)?;
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Histogram::<u64>::new(3)?;
    while let Some(worker) = workers.join_next().await {
        times.add(worker??)?;
    }
    Ok(serde_json::json!({
        "count": times.len(),
        "seconds": began.elapsed().as_secs_f64(),
        "p50_us": times.value_at_quantile(0.5),
        "p99_us": times.value_at_quantile(0.99),
    }))
}

async fn transfers(connection: &Connection, bulk: Bulk) -> anyhow::Result<Value> {
    let began = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for (tag, size) in [(DOWN, bulk.down), (UP, bulk.up)] {
        for _ in 0..if size == 0 { 0 } else { bulk.streams } {
            let (connection, size) = (connection.clone(), size / bulk.streams);
            workers.spawn(async move {
                let (mut send, mut recv) = connection.open().await?;
                send.write_chunk(head(tag, size, HEAD)).await?;
                let block = Bytes::from(vec![b'x'; BLOCK]);
                if tag == UP {
                    write_many(&mut send, size, &block).await?;
                }
                send.finish()?;
                let expected = if tag == UP { 1 } else { size };
                ensure!(drain(&mut recv).await? == expected, "a short transfer");
                anyhow::Ok(())
            });
        }
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(serde_json::json!({ "seconds": began.elapsed().as_secs_f64() }))
}

async fn answer(mut send: SendStream, mut recv: RecvStream, block: Bytes) -> anyhow::Result<()> {
    let mut head = [0; HEAD];
    recv.read_exact(&mut head).await?;
    let [tag, size @ ..] = head;
    let size = u64::from_be_bytes(size);
    drain(&mut recv).await?;
    match tag {
        SMALL => send.write_chunk(block.slice(..MESSAGE)).await?,
        DOWN => write_many(&mut send, size, &block).await?,
        UP => send.write_chunk(block.slice(..1)).await?,
        _ => bail!("a stream for nothing"),
    }
    send.finish()?;
    Ok(())
}

/// What a stream begins with, made `length` long.
fn head(tag: u8, size: u64, length: usize) -> Bytes {
    let mut head = vec![tag];
    head.extend_from_slice(&size.to_be_bytes());
    head.resize(length, b'x');
    head.into()
}

async fn write_many(send: &mut SendStream, size: u64, block: &Bytes) -> anyhow::Result<()> {
    let mut left = size;
    while left > 0 {
        let some = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        send.write_chunk(block.slice(..some)).await?;
        left -= some as u64;
        tokio::task::coop::consume_budget().await;
    }
    Ok(())
}

/// Reads to the end, and says how much there was.
async fn drain(recv: &mut RecvStream) -> anyhow::Result<u64> {
    let mut batch: [Bytes; 16] = Default::default();
    let mut taken = 0;
    while let Some(filled) = recv.read_chunks(&mut batch).await? {
        for chunk in &mut batch[..filled] {
            taken += std::mem::take(chunk).len() as u64;
        }
        tokio::task::coop::consume_budget().await;
    }
    Ok(taken)
}

const ALPN: &[u8] = b"bench";
const SMALL: u8 = 0;
const DOWN: u8 = 1;
const UP: u8 = 2;
/// A tag and a size.
const HEAD: usize = 9;
/// About what the head of a request or a response takes in a tunnel.
const MESSAGE: usize = 200;
/// What large transfers are written in, as an origin's answers are read.
const BLOCK: usize = 64 << 10;
