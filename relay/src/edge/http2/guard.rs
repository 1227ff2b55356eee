//! What lies under HTTP/2 and looks at what passes: frames of which nobody needs so many, heads that do not
//! end, and visitors that take nothing.
//!
//! The library counts streams that were reset before they were taken, CONTINUATION frames and small DATA
//! frames. It answers a PING, or a change of SETTINGS, whenever one comes, and takes a stream that is reset
//! at once as often as it is opened (CVE-2023-44487, CVE-2019-9512, CVE-2019-9515). A visitor above these
//! bounds is cut off; no program that only wants something comes near them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use adit_shared::pace::{Least, Pace};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::bucket::Bucket;
use crate::metrics::Metrics;

/// A connection with a guard on it.
#[derive(Debug)]
pub(super) struct Guard<T> {
    io: T,
    frames: Frames,
    /// Of the rest of a head that has begun.
    head: Pace,
    reader: Pace,
    metrics: Arc<Metrics>,
}

impl<T> Guard<T> {
    /// On `io`, from the connection's preface on. The parts of a head must come within `head`.
    pub(super) fn new(io: T, head: Duration, reader: Least, metrics: Arc<Metrics>) -> Self {
        let head = Least {
            // No rate: a trickle does not prolong it.
            rate: u32::MAX,
            patience: Some(head),
        };
        Self {
            io,
            frames: Frames::default(),
            head: Pace::new(head),
            reader: Pace::new(reader),
            metrics,
        }
    }

    fn stop(&self, limit: &'static str, excess: Excess) -> io::Error {
        self.metrics.limited(limit);
        io::Error::other(excess)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = into.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, into);
        if let Poll::Ready(Ok(())) = read
            && let Err(excess) = this.frames.feed(&into.filled()[before..])
        {
            return Poll::Ready(Err(this.stop("frames", excess)));
        }
        if !this.frames.in_head {
            this.head.forget();
        } else if this.head.poll_late(cx).is_ready() {
            return Poll::Ready(Err(this.stop("head-timeout", Excess::Head)));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> Guard<T> {
    /// What came of a write, or an error when the visitor took nothing for too long.
    fn paced(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &wrote {
            Poll::Pending if self.reader.poll_late(cx).is_ready() => {
                Poll::Ready(Err(self.stop("download-timeout", Excess::Slow)))
            }
            Poll::Ready(Ok(bytes)) => {
                self.reader.moved(*bytes);
                wrote
            }
            _ => wrote,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.paced(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.paced(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.paced(cx, flushed.map_ok(|()| 0)).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The frames of a visitor, as far as they are counted.
#[derive(Debug)]
pub struct Frames {
    /// What is known of the next frame's header.
    header: [u8; HEADER],
    have: usize,
    /// What is left of the payload before it.
    skip: usize,
    /// Whether a head has begun and not ended.
    in_head: bool,
    resets: Bucket,
    controls: Bucket,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            header: [0; HEADER],
            have: 0,
            skip: PREFACE,
            in_head: false,
            resets: Bucket::of_resets(),
            controls: Bucket::of_controls(),
        }
    }
}

impl Frames {
    /// Counts what these bytes bring.
    ///
    /// # Errors
    ///
    /// [`Excess`].
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Excess> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return Ok(());
            }
            let take = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + take].copy_from_slice(&bytes[..take]);
            self.have += take;
            bytes = &bytes[take..];
            if self.have < HEADER {
                return Ok(());
            }
            self.have = 0;
            let [a, b, c, kind, flags, ..] = self.header;
            self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            self.count(kind, flags)?;
        }
    }

    /// Whether a head has begun and not ended.
    pub fn is_in_head(&self) -> bool {
        self.in_head
    }

    /// One more frame (RFC 9113 section 6).
    fn count(&mut self, kind: u8, flags: u8) -> Result<(), Excess> {
        match kind {
            HEADERS => {
                self.in_head = flags & END_HEADERS == 0;
                // Whoever lets most of its requests live may reset some.
                self.resets.put(1);
                Ok(())
            }
            CONTINUATION => {
                self.in_head = flags & END_HEADERS == 0;
                Ok(())
            }
            RST_STREAM => self.resets.take(2).ok_or(Excess::Resets),
            // How many there are of the former is up to the sizes of our own frames; the library looks at
            // the latter.
            WINDOW_UPDATE | DATA => Ok(()),
            _ => self.controls.take(1).ok_or(Excess::Controls),
        }
    }
}

/// What a visitor did too much of.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Excess {
    /// CVE-2023-44487.
    #[error("it resets most of its streams")]
    Resets,
    /// CVE-2019-9512, CVE-2019-9515.
    #[error("it sends more control frames than anybody needs")]
    Controls,
    /// The rest of a head is waited for in vain.
    #[error("a head did not come to its end in time")]
    Head,
    /// It does not read.
    #[error("it takes nothing")]
    Slow,
}

const PREFACE: usize = 24;
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::super::super::bucket::CONTROLS;
    use super::*;

    fn frame(kind: u8, flags: u8, len: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, len, kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER + usize::from(len), 7);
        frame
    }

    fn begun() -> Frames {
        let mut frames = Frames::default();
        frames.feed(&[0; PREFACE]).unwrap();
        frames
    }

    /// How many times `bytes` can be sent at once, up to ten thousand.
    fn fits(frames: &mut Frames, bytes: &[u8]) -> usize {
        let all = (0..10_000).take_while(|_| frames.feed(bytes).is_ok());
        all.count()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_found_wherever_reads_end() {
        let mut stream = vec![0; PREFACE];
        stream.extend(frame(HEADERS, 0, 20));
        stream.extend(frame(CONTINUATION, 0, 0));
        for size in 1..stream.len() {
            let mut frames = Frames::default();
            for piece in stream.chunks(size) {
                frames.feed(piece).unwrap();
            }
            assert!(frames.in_head, "{size}");
            frames.feed(&frame(CONTINUATION, END_HEADERS, 3)).unwrap();
            assert!(!frames.in_head, "{size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_are_reset_at_once_are_bounded() {
        let pair = [frame(HEADERS, END_HEADERS, 9), frame(RST_STREAM, 0, 4)].concat();
        let mut frames = begun();
        let most = fits(&mut frames, &pair);
        assert!((390..=401).contains(&most), "{most}");
        // The rest of the one that was too much.
        frames.feed(&[0; 4]).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let more = fits(&mut frames, &pair);
        assert!((10..=21).contains(&more), "{more}");
        // One in three is nothing unusual.
        let request = frame(HEADERS, END_HEADERS, 9);
        let third = [request.clone(), request, pair].concat();
        assert_eq!(fits(&mut begun(), &third), 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn control_frames_are_bounded_and_data_is_not() {
        for kind in [2, 4, 6, 99] {
            let most = fits(&mut begun(), &frame(kind, 0, 8));
            assert_eq!(most, CONTROLS as usize, "{kind}");
        }
        let mut frames = begun();
        fits(&mut frames, &frame(6, 0, 8));
        frames.feed(&[0; 8]).unwrap();
        for _ in 0..20 {
            tokio::time::advance(Duration::from_millis(100)).await;
            for _ in 0..90 {
                frames.feed(&frame(6, 0, 8)).unwrap();
            }
        }
        let transfer = [frame(DATA, 0, 100), frame(WINDOW_UPDATE, 0, 4)].concat();
        assert_eq!(fits(&mut begun(), &transfer), 10_000);
    }
}
