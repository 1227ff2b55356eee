//! Raw bytes both ways: what follows an upgrade.
//!
//! Each direction ends by itself (half-close is kept); an error in one direction gives up both.

use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::{Reason, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::task::coop::consume_budget;

use crate::body::h2::{FromH2, send_data};
use crate::chunks::Chunks;
use crate::intake::Intake;
use crate::quic::{ReadError, WriteError};
use crate::stall::Reader;
use crate::stream::{RecvHalf, SendHalf};
use crate::turn;
use crate::wire::code::Reset;

/// Where raw bytes come from.
pub trait Source: Send {
    /// Fills `to` with the next chunks, which were read without copying; none at the end.
    ///
    /// # Errors
    ///
    /// When the other side gave up.
    fn poll_read(&mut self, cx: &mut Context<'_>, to: &mut Vec<Bytes>) -> Poll<io::Result<()>>;
}

/// Where raw bytes go.
pub trait Sink: Send {
    /// Writes all of `chunks`. Not safe to drop.
    ///
    /// # Errors
    ///
    /// When the other side takes no more.
    fn write(&mut self, chunks: &mut [Bytes]) -> impl Future<Output = io::Result<()>> + Send;

    /// Says that no more bytes come.
    ///
    /// # Errors
    ///
    /// When the other side takes no more.
    fn end(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

impl<T: Sink> Sink for &mut T {
    async fn write(&mut self, chunks: &mut [Bytes]) -> io::Result<()> {
        (**self).write(chunks).await
    }

    async fn end(&mut self) -> io::Result<()> {
        (**self).end().await
    }
}

/// Carries bytes from `left` to `right` and back until both directions have ended. Says how many
/// went each way.
///
/// Safe to drop: both ends are given up.
///
/// # Errors
///
/// The first error of either direction.
pub async fn pump(
    left: (impl Source, impl Sink),
    right: (impl Source, impl Sink),
) -> io::Result<(u64, u64)> {
    tokio::try_join!(one_way(left.0, right.1), one_way(right.0, left.1))
}

async fn one_way(mut from: impl Source, mut to: impl Sink) -> io::Result<u64> {
    let mut chunks = Vec::with_capacity(BATCH);
    let mut moved = 0;
    loop {
        chunks.clear();
        poll_fn(|cx| from.poll_read(cx, &mut chunks)).await?;
        if chunks.is_empty() {
            to.end().await?;
            return Ok(moved);
        }
        let bytes = chunks.iter().map(Bytes::len).sum();
        moved += bytes as u64;
        turn::spend(bytes);
        to.write(&mut chunks).await?;
        consume_budget().await;
    }
}

/// The receiving half of a QUIC stream, with the chunks that were read ahead of the upgrade.
#[derive(Debug)]
pub struct QuicSource {
    early: Vec<Bytes>,
    recv: RecvHalf,
}

impl QuicSource {
    /// `early` comes first.
    pub fn new((early, recv): (Vec<Bytes>, RecvHalf)) -> Self {
        Self { early, recv }
    }
}

impl Source for QuicSource {
    fn poll_read(&mut self, cx: &mut Context<'_>, to: &mut Vec<Bytes>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            to.append(&mut self.early);
            return Poll::Ready(Ok(()));
        }
        let mut batch: [Bytes; BATCH] = Default::default();
        let read = ready!(self.recv.poll_chunks(cx, &mut batch)).map_err(read_error)?;
        to.extend(batch.into_iter().take(read.unwrap_or_default()));
        Poll::Ready(Ok(()))
    }
}

/// A source that tells whether what comes from it is taken.
#[derive(Debug)]
pub struct Watched<S> {
    source: S,
    reader: Option<Reader>,
}

impl<S> Watched<S> {
    /// Tells it to `reader`, if anybody wants to know.
    pub fn new(source: S, reader: Option<Reader>) -> Self {
        Self { source, reader }
    }
}

impl<S: Source> Source for Watched<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, to: &mut Vec<Bytes>) -> Poll<io::Result<()>> {
        let read = self.source.poll_read(cx, to);
        match (&mut self.reader, &read) {
            (Some(reader), Poll::Ready(Ok(()))) if !to.is_empty() => reader.took(None),
            // After the end there is nothing to hold.
            (Some(reader), _) => reader.waits(),
            (None, _) => {}
        }
        read
    }
}

impl Sink for SendHalf {
    async fn write(&mut self, chunks: &mut [Bytes]) -> io::Result<()> {
        Self::write(self, chunks).await.map_err(write_error)
    }

    async fn end(&mut self) -> io::Result<()> {
        self.finish();
        Ok(())
    }
}

impl Source for FromH2 {
    fn poll_read(&mut self, cx: &mut Context<'_>, to: &mut Vec<Bytes>) -> Poll<io::Result<()>> {
        loop {
            match ready!(self.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    to.push(data);
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// The sending half of an HTTP/2 stream. Dropped before its end, it resets.
#[derive(Debug)]
pub struct H2Sink {
    stream: SendStream<Bytes>,
    open: bool,
}

impl H2Sink {
    /// Takes over a stream whose head was sent.
    pub fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream, open: true }
    }
}

impl Sink for H2Sink {
    async fn write(&mut self, chunks: &mut [Bytes]) -> io::Result<()> {
        for chunk in chunks {
            let chunk = mem::take(chunk);
            send_data(chunk, false, &mut self.stream)
                .await
                .map_err(io::Error::other)?;
        }
        Ok(())
    }

    async fn end(&mut self) -> io::Result<()> {
        self.open = false;
        self.stream
            .send_data(Bytes::new(), true)
            .map_err(io::Error::other)
    }
}

impl Drop for H2Sink {
    fn drop(&mut self) {
        if self.open {
            self.stream.send_reset(Reason::CANCEL);
        }
    }
}

/// The reading half of a socket, with the bytes that were read ahead of the upgrade.
#[derive(Debug)]
pub struct SocketSource<R> {
    intake: Intake,
    read: R,
}

impl<R> SocketSource<R> {
    /// What `intake` holds comes first.
    pub fn new(intake: Intake, read: R) -> Self {
        Self { intake, read }
    }
}

impl<R: AsyncRead + Send + Unpin> Source for SocketSource<R> {
    fn poll_read(&mut self, cx: &mut Context<'_>, to: &mut Vec<Bytes>) -> Poll<io::Result<()>> {
        if self.intake.bytes.is_empty() {
            ready!(self.intake.poll_fill(cx, &mut self.read))?;
        }
        if !self.intake.bytes.is_empty() {
            to.push(self.intake.bytes.split().freeze());
        }
        Poll::Ready(Ok(()))
    }
}

/// The writing half of a socket.
#[derive(Debug)]
pub struct SocketSink<W> {
    write: W,
    out: Chunks,
}

impl<W> SocketSink<W> {
    /// Takes over the writing half.
    pub fn new(write: W) -> Self {
        Self {
            write,
            out: Chunks::default(),
        }
    }
}

impl<W: AsyncWrite + Send + Unpin> Sink for SocketSink<W> {
    async fn write(&mut self, chunks: &mut [Bytes]) -> io::Result<()> {
        self.out.extend(chunks.iter_mut().map(mem::take));
        while self.out.has_remaining() {
            let write = poll_fn(|cx| self.out.poll_write(cx, &mut self.write));
            if write.await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        self.write.flush().await
    }

    async fn end(&mut self) -> io::Result<()> {
        self.write.shutdown().await
    }
}

fn read_error(error: ReadError) -> io::Error {
    let kind = match error {
        ReadError::Reset(Reset::Cancelled) => io::ErrorKind::ConnectionReset,
        ReadError::Reset(_) | ReadError::Lost(_) => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, error)
}

fn write_error(error: WriteError) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}

/// Chunks moved at a time.
const BATCH: usize = 16;
