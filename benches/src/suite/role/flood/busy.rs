//! Another tunnel of the same relay, that is asked for all it can give.

use anyhow::ensure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Flood;
use super::act::{self, BUFFER};

/// Of eight acts one is a download, one an upload, and the others are many small requests.
pub(super) async fn once(flood: &Flood, number: u64) -> anyhow::Result<()> {
    match number % 8 {
        0 => download(flood).await,
        1 => upload(flood).await,
        _ => small(flood).await,
    }
}

async fn download(flood: &Flood) -> anyhow::Result<()> {
    let mut stream = act::dial(flood, flood.target.http, LARGE_BUFFER).await?;
    ask(&mut stream, flood, &format!("GET /{BIG}"), "").await?;
    let (mut left, mut piece) = (BIG, vec![0; 256 << 10]);
    while left > 0 {
        let len = stream.read(&mut piece).await?;
        ensure!(len > 0, "cut");
        left = left.saturating_sub(len);
    }
    Ok(())
}

async fn upload(flood: &Flood) -> anyhow::Result<()> {
    let mut stream = act::dial(flood, flood.target.http, BUFFER).await?;
    let length = format!("Content-Length: {BIG}\r\n");
    ask(&mut stream, flood, "PUT /", &length).await?;
    let piece = vec![b'x'; 256 << 10];
    for _ in 0..BIG / piece.len() {
        stream.write_all(&piece).await?;
    }
    ensure!(stream.read(&mut [0; 1024]).await? > 0, "cut");
    Ok(())
}

/// One after the other, as fast as they are answered.
async fn small(flood: &Flood) -> anyhow::Result<()> {
    let mut stream = act::dial(flood, flood.target.http, BUFFER).await?;
    let mut answer = [0; 4 << 10];
    for _ in 0..REQUESTS {
        ask(&mut stream, flood, "GET /0", "").await?;
        ensure!(stream.read(&mut answer).await? > 0, "cut");
    }
    Ok(())
}

async fn ask(stream: &mut TcpStream, flood: &Flood, line: &str, field: &str) -> anyhow::Result<()> {
    flood.sent();
    let host = &flood.target.host;
    let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{field}\r\n");
    Ok(stream.write_all(head.as_bytes()).await?)
}

/// Bytes of a body.
const BIG: usize = 64 << 20;
const LARGE_BUFFER: u32 = 1 << 20;
/// Requests of one connection.
const REQUESTS: usize = 1_000;
