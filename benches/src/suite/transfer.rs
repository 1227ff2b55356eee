//! Large transfers: a client that does nothing but move bytes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::systems::System;

/// What to move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    /// From the origin to the visitor, in bytes.
    pub down: u64,
    /// The other way.
    pub up: u64,
    /// Over how many connections each way.
    pub streams: u64,
}

impl Transfer {
    /// Moves it, and says how long that took in seconds.
    pub(crate) async fn run(self, system: &System) -> anyhow::Result<f64> {
        let began = Instant::now();
        let mut all = JoinSet::new();
        for _ in 0..self.streams {
            let (down, up) = (self.down / self.streams, self.up / self.streams);
            if down > 0 {
                let mut visitor = Visitor::of(system).await?;
                all.spawn(async move { visitor.download(down).await });
            }
            if up > 0 {
                let mut visitor = Visitor::of(system).await?;
                all.spawn(async move { visitor.upload(up).await });
            }
        }
        let moved = async {
            while let Some(one) = all.join_next().await {
                one??;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, moved)
            .await
            .context("it took too long")??;
        Ok(began.elapsed().as_secs_f64())
    }
}

/// A connection of a visitor.
#[derive(Debug)]
pub(crate) struct Visitor {
    stream: TcpStream,
    host: String,
}

impl Visitor {
    /// Connects.
    pub(crate) async fn of(system: &System) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(system.http).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: format!("{}:{}", system.host, system.http.port()),
        })
    }

    /// Asks for a path, and reads nothing.
    pub(crate) async fn ask(&mut self, path: &str) -> anyhow::Result<()> {
        let head = format!("GET /{path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.stream.write_all(head.as_bytes()).await?;
        Ok(())
    }

    /// Reads a body of this size.
    pub(crate) async fn download(&mut self, size: u64) -> anyhow::Result<()> {
        self.ask(&size.to_string()).await?;
        let mut left = size.saturating_sub(self.head().await?);
        let mut buffer = vec![0; BLOCK];
        while left > 0 {
            let read = self.stream.read(&mut buffer).await?;
            ensure!(read > 0, "the answer was cut");
            left = left.saturating_sub(read as u64);
        }
        Ok(())
    }

    /// Reads `/words/SIZE`; says how many bytes came, and fails at the first that is not the origin's.
    pub(crate) async fn words(&mut self, size: u64) -> anyhow::Result<()> {
        self.ask(&format!("words/{size}")).await?;
        let mut bytes = self.head_and_more().await?;
        let mut at = 0_u64;
        loop {
            let whole = bytes.len() / 8 * 8;
            for word in bytes[..whole].chunks_exact(8) {
                ensure!(word == at.to_le_bytes(), "other bytes from {} on", at * 8);
                at += 1;
            }
            bytes.drain(..whole);
            if at * 8 >= size {
                return Ok(());
            }
            let read = self.stream.read_buf(&mut bytes).await?;
            ensure!(read > 0, "the answer was cut after {} bytes", at * 8);
        }
    }

    /// Begins a body of this size.
    pub(crate) async fn begin_upload(&mut self, size: u64) -> anyhow::Result<()> {
        let head = format!(
            "PUT / HTTP/1.1\r\nhost: {}\r\ncontent-length: {size}\r\n\r\n",
            self.host
        );
        Ok(self.stream.write_all(head.as_bytes()).await?)
    }

    /// Reads or writes what goes at once.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads what comes of a large body for a while; says how much came in each tenth of a second.
    pub(crate) async fn sip(&mut self, size: u64, span: Duration) -> anyhow::Result<Vec<u64>> {
        self.ask(&size.to_string()).await?;
        let began = Instant::now();
        let mut tenths = vec![0; usize::try_from(span.as_millis() / 100)?];
        let mut buffer = vec![0; BLOCK];
        while let Some(left) = span.checked_sub(began.elapsed()) {
            let read = match timeout(left, self.stream.read(&mut buffer)).await {
                Ok(read) => read?,
                Err(_) => break,
            };
            ensure!(read > 0, "the answer was cut");
            let at = usize::try_from(began.elapsed().as_millis() / 100)?;
            if let Some(tenth) = tenths.get_mut(at) {
                *tenth += read as u64;
            }
        }
        Ok(tenths)
    }

    /// Sends a body of this size, all of which must arrive.
    pub(crate) async fn upload(&mut self, size: u64) -> anyhow::Result<()> {
        self.begin_upload(size).await?;
        let block = vec![b'x'; BLOCK];
        let mut left = size;
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            self.stream.write_all(&block[..some]).await?;
            left -= some as u64;
        }
        self.head().await?;
        Ok(())
    }

    /// Reads the head of an answer that must be a good one; says how much of its body came with it.
    async fn head(&mut self) -> anyhow::Result<u64> {
        Ok(self.head_and_more().await?.len() as u64)
    }

    /// The same, with what came of the body.
    async fn head_and_more(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut head = Vec::new();
        loop {
            ensure!(
                self.stream.read_buf(&mut head).await? > 0,
                "the connection ended before an answer"
            );
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(length) = response.parse(&head)? {
                let status = response.code.unwrap_or_default();
                ensure!(status == 200, "the answer was {status}");
                return Ok(head.split_off(length));
            }
            ensure!(head.len() < BLOCK, "an endless head");
        }
    }
}

/// Ends once the origin answers through `system`.
pub(crate) async fn reachable(system: &System) -> anyhow::Result<()> {
    let answers = async || Visitor::of(system).await?.download(0).await;
    retry(answers, system.name).await
}

/// Ends once somebody listens there.
pub(crate) async fn listens(address: SocketAddr) -> anyhow::Result<()> {
    let connects = async || {
        TcpStream::connect(address).await?;
        anyhow::Ok(())
    };
    retry(connects, "a listener").await
}

async fn retry(attempt: impl AsyncFn() -> anyhow::Result<()>, what: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        match timeout(ATTEMPT, attempt()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if began.elapsed() > START => {
                return Err(error.context(format!("{what} is not there")));
            }
            Err(_) if began.elapsed() > START => anyhow::bail!("{what} does not answer"),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Bytes that are read or written at once.
const BLOCK: usize = 256 << 10;
/// A gigabyte takes a second or two; some ways take much longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long another program may take to start.
const START: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(1);
