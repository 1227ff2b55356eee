//! The first bytes of a connection without TLS: read to see what it is, and read again by whoever
//! serves it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use adit_shared::name::Host;
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What a connection begins with, as far as it was read.
#[derive(Debug)]
pub(super) struct Start {
    bytes: BytesMut,
}

impl Start {
    /// Nothing yet, with room for this many bytes, or for what must be read at least.
    pub(super) fn new(room: usize) -> Self {
        Self {
            bytes: BytesMut::with_capacity(room.max(PREFACE.len())),
        }
    }

    /// Reads until it is clear whether the connection begins with the preface of HTTP/2
    /// (RFC 9113 section 3.4). Safe to drop: what was read is kept.
    ///
    /// # Errors
    ///
    /// Whatever the connection fails with.
    pub(super) async fn read(&mut self, io: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        while self.bytes.len() < PREFACE.len() && PREFACE.starts_with(&self.bytes) {
            if io.read_buf(&mut self.bytes).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Reads until it is clear for whom the first request is, if it is one of HTTP/1.1 and says so
    /// early. Safe to drop, as [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// Whatever the connection fails with.
    pub(super) async fn host(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Option<Host>> {
        let mut search = Search::default();
        loop {
            match search.go_on(&self.bytes) {
                Found::Host(host) => return Ok(Some(host)),
                Found::More if self.bytes.len() < MOST => {
                    if io.read_buf(&mut self.bytes).await? == 0 {
                        return Ok(None);
                    }
                }
                Found::More | Found::Nothing => return Ok(None),
            }
        }
    }

    pub(super) fn is_http2(&self) -> bool {
        self.bytes.starts_with(PREFACE)
    }

    /// What was read.
    pub(super) fn into_bytes(self) -> BytesMut {
        self.bytes
    }

    /// The connection as if nothing of it had been read.
    pub(super) fn before<T>(self, io: T) -> Sniffed<T> {
        Sniffed {
            start: self.bytes,
            io,
        }
    }
}

/// Looks for the `Host` field of a head that comes in pieces. It only guesses where a connection is
/// served best, so what is no proper head may pass for one without the field.
#[derive(Debug, Default)]
pub struct Search {
    /// Where the line begins that was not whole last time.
    line: usize,
}

/// What was found.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// The host.
    Host(Host),
    /// There is none.
    Nothing,
    /// More bytes are needed.
    More,
}

impl Search {
    /// Looks at `head`, which begins with what was looked at before.
    pub fn go_on(&mut self, head: &[u8]) -> Found {
        while let Some(length) = head[self.line..].iter().position(|byte| *byte == b'\n') {
            let line = &head[self.line..self.line + length];
            self.line += length + 1;
            // Before anything is trimmed: what is garbage within a line that is cut is garbage in a whole one.
            if !is_text(line) || line.trim_ascii().is_empty() {
                return Found::Nothing;
            }
            let line = line.trim_ascii();
            if let Some(value) = field(line, b"host") {
                let host = std::str::from_utf8(value).ok();
                let host = host.and_then(|text| Host::from_authority(text.trim()).ok());
                return host.map_or(Found::Nothing, Found::Host);
            }
        }
        // Whoever serves it has an answer to garbage at once.
        if is_text(&head[self.line..]) {
            Found::More
        } else {
            Found::Nothing
        }
    }
}

fn is_text(line: &[u8]) -> bool {
    let is_text = |byte: &u8| *byte >= b' ' || matches!(byte, b'\t' | b'\r');
    line.iter().all(is_text)
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// A connection whose first bytes were looked at.
#[derive(Debug)]
pub(super) struct Sniffed<T> {
    start: BytesMut,
    io: T,
}

impl<T: AsyncRead + Unpin> AsyncRead for Sniffed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.start.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let take = self.start.len().min(buf.remaining());
        buf.put_slice(&self.start[..take]);
        self.start.advance(take);
        if self.start.is_empty() {
            // A connection may live long after.
            self.start = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Sniffed<T> {
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// No head is searched further than about this.
const MOST: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Found {
        Found::Host(text.parse().unwrap())
    }

    #[test]
    fn a_host_is_found_however_it_is_cut() {
        let head =
            b"GET /a:b HTTP/1.1\r\nX-Host: no\r\nHOST:  App.localhost:8080 \r\nhost: b\r\n\r\n";
        let whole = head.windows(6).position(|six| six == b":8080 ").unwrap() + 8;
        for step in 1..head.len() {
            let mut search = Search::default();
            let mut end = 0;
            let found = loop {
                end = (end + step).min(head.len());
                match search.go_on(&head[..end]) {
                    Found::More => assert!(end < whole),
                    found => break found,
                }
            };
            assert_eq!(found, host("app.localhost"));
        }
    }

    #[test]
    fn a_head_without_a_proper_host_has_none() {
        for head in [
            "GET / HTTP/1.1\r\n\r\nhost: a\r\n",
            "\r\nhost: a\r\n",
            "GET / HTTP/1.1\nhost: a b\n",
            "GET / HTTP/1.1\nhost:\n",
            "GET / HTTP/1.1\nhost:\u{80}\n",
            "\u{16}\u{3}\u{1} as if for TLS",
        ] {
            assert_eq!(Search::default().go_on(head.as_bytes()), Found::Nothing);
        }
        assert_eq!(Search::default().go_on(b"\x16\x03\x01\n"), Found::Nothing);
        assert_eq!(Search::default().go_on(b"host: a"), Found::More);
        assert_eq!(Search::default().go_on(b"host : a\n"), Found::More);
    }

    #[tokio::test]
    async fn nothing_is_lost_by_looking() {
        let head = b"GET / HTTP/1.1\r\nhost: app.localhost\r\n\r\n";
        for with_host in [true, false] {
            let mut io: &[u8] = head;
            let mut start = Start::new(0);
            start.read(&mut io).await.unwrap();
            if with_host {
                assert!(start.host(&mut io).await.unwrap().is_some());
            }
            assert!(!start.is_http2());
            let mut all = Vec::new();
            start.before(io).read_to_end(&mut all).await.unwrap();
            assert_eq!(all, head);
        }
        let mut io: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore";
        let mut start = Start::new(0);
        start.read(&mut io).await.unwrap();
        assert!(start.is_http2());
    }
}
