//! Interim responses on HTTP/1.1 connections.
//!
//! The HTTP/1.1 server cannot write a 1xx head of our choice. But before a response begins there is
//! a moment when everything that it wrote is on the socket: whenever it flushes. [`InterimIo`]
//! sits under the server and writes a pending interim head at such a moment, between responses and
//! never inside one.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Response, StatusCode};
use hyper::rt::{Read, ReadBufCursor, Write};

use super::serve::Interim;

/// A connection under an HTTP/1.1 server, into which interim heads can be slipped.
#[derive(Debug)]
pub struct InterimIo<T> {
    io: T,
    slot: Slot,
}

impl<T> InterimIo<T> {
    /// A connection, and the way to slip heads into it.
    pub fn new(io: T) -> (Self, Slot) {
        let slot = Slot::default();
        (
            Self {
                io,
                slot: slot.clone(),
            },
            slot,
        )
    }

    /// The connection, when the server is done with it.
    pub fn into_inner(self) -> T {
        self.io
    }
}

/// Where a head waits for the moment between responses.
#[derive(Clone, Debug, Default)]
pub struct Slot(Arc<Mutex<Pending>>);

#[derive(Debug, Default)]
struct Pending {
    head: Bytes,
    /// A part of the head is on the socket, so the rest must follow.
    begun: bool,
    waiting: Option<Waker>,
}

impl Slot {
    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends interim heads for one request.
#[derive(Debug)]
pub struct Http1Interim {
    slot: Slot,
    /// HTTP/1.0 knows no interim responses.
    understood: bool,
}

impl Http1Interim {
    /// For a request on the connection of `slot`.
    pub fn new(slot: Slot, version: http::Version) -> Self {
        Self {
            slot,
            understood: version >= http::Version::HTTP_11,
        }
    }
}

impl Interim for Http1Interim {
    /// Waits until the head is on its way, so that the response comes after it.
    async fn send(&mut self, head: Response<()>) {
        // The server writes 100 itself when the body is asked for, which happens now.
        if !self.understood || head.status() == StatusCode::CONTINUE {
            return;
        }
        self.slot.lock().head = encode(&head);
        std::future::poll_fn(|cx| {
            let mut pending = self.slot.lock();
            if pending.head.is_empty() {
                return Poll::Ready(());
            }
            pending.waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Http1Interim {
    /// A head whose request is gone must not be written before the next response.
    fn drop(&mut self) {
        let mut pending = self.slot.lock();
        if !pending.begun {
            pending.head.clear();
        }
    }
}

fn encode(head: &Response<()>) -> Bytes {
    let mut bytes = BytesMut::with_capacity(256);
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(head.status().as_str().as_bytes());
    bytes.extend_from_slice(b" ");
    let reason = head.status().canonical_reason().unwrap_or_default();
    bytes.extend_from_slice(reason.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    for (name, value) in head.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.freeze()
}

impl<T: Read + Unpin> Read for InterimIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for InterimIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// The server flushes when nothing of its own is left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut pending = this.slot.lock();
        while !pending.head.is_empty() {
            let written = ready!(Pin::new(&mut this.io).poll_write(cx, &pending.head))?;
            pending.head.advance(written);
            pending.begun = !pending.head.is_empty();
            if !pending.begun
                && let Some(waiting) = pending.waiting.take()
            {
                waiting.wake();
            }
        }
        drop(pending);
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
