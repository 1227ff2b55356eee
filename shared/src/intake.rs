//! What was read from a socket and not taken yet.
//!
//! What is taken out shares the memory that was read into. A busy socket gets large reads, an idle one
//! keeps little memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// A buffer in front of a socket.
#[derive(Debug)]
pub struct Intake {
    /// What was read, for whoever takes it out.
    pub bytes: BytesMut,
    /// How much room the next allocation has.
    ask: usize,
}

impl Default for Intake {
    fn default() -> Self {
        Self::with(BytesMut::new())
    }
}

impl Intake {
    /// Begins with what was read ahead.
    pub fn with(early: BytesMut) -> Self {
        Self {
            bytes: early,
            ask: LEAST,
        }
    }

    /// Keeps no memory while nothing was read: it may be long until something comes.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            *self = Self::default();
        }
    }

    /// Reads once and says how much came; 0 is the end.
    ///
    /// # Errors
    ///
    /// Whatever the socket says.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin + ?Sized),
    ) -> Poll<io::Result<usize>> {
        // Small messages share one allocation until it is used up.
        if self.bytes.capacity() - self.bytes.len() < LEAST / 4 {
            self.bytes.reserve(self.ask);
        }
        let room = self.bytes.capacity() - self.bytes.len();
        let read = ready!(poll_read_buf(
            Pin::new(&mut &mut *from),
            cx,
            &mut self.bytes
        ))?;
        if read == room {
            self.ask = (self.ask * 2).min(MOST);
        } else if read < self.ask / 4 {
            self.ask = (self.ask / 2).max(LEAST);
        }
        Poll::Ready(Ok(read))
    }
}

/// Room for one read, in bytes: at first, and when little comes.
const LEAST: usize = 2 << 10;
/// Room for one read when much comes.
const MOST: usize = 64 << 10;
