//! The receiving half of a visitor's stream, as pieces of its frames.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use adit_shared::quic::{ReadError, RecvStream};
use adit_shared::stream::RecvHalf;
use adit_shared::turn;
use bytes::Bytes;
use thiserror::Error;

use super::code::{Code, Violation};
use super::frame::{Frames, On, Piece};
use super::link::Link;

/// What a visitor sends on one stream. Dropped before its end, it tells the visitor to stop.
#[derive(Debug)]
pub(super) struct Inflow {
    recv: RecvHalf,
    frames: Frames,
    link: Arc<Link>,
    batch: Vec<Bytes>,
    filled: usize,
    next: usize,
    /// What was looked at and not taken.
    ahead: Option<Piece>,
    ended: bool,
}

/// Why nothing more comes of a stream.
#[derive(Debug, Error)]
pub(super) enum Fault {
    /// The visitor broke the protocol.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The visitor gave it up, or is gone.
    #[error(transparent)]
    Left(#[from] ReadError),
}

impl Inflow {
    /// The stream of a request. Dropped, it is given up without a reason to
    /// complain: what was asked for was answered.
    pub(super) fn new(recv: RecvStream, link: &Arc<Link>) -> Self {
        Self {
            recv: RecvHalf::of_protocol(recv, Code::NoError.number()),
            frames: Frames::new(On::Request, link.most()),
            link: link.clone(),
            batch: vec![Bytes::new(); FEW],
            filled: 0,
            next: 0,
            ahead: None,
            ended: false,
        }
    }

    /// The next piece; none at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Piece>, Fault>> {
        if let Some(piece) = self.ahead.take() {
            return Poll::Ready(Ok(Some(piece)));
        }
        loop {
            ready!(turn::poll_begin(cx));
            let taken = self.frames.take()?;
            self.link.came_idle(self.frames.take_idle())?;
            if let Some(piece) = taken {
                if let Piece::Data(data) = &piece {
                    turn::spend(data.len());
                }
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.next < self.filled {
                self.frames.push(mem::take(&mut self.batch[self.next]));
                self.next += 1;
                continue;
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            if self.filled == FEW && self.batch.len() == FEW {
                self.batch.resize(BATCH, Bytes::new());
            }
            self.next = 0;
            self.filled = 0;
            match ready!(self.recv.poll_chunks(cx, &mut self.batch))? {
                Some(filled) => self.filled = filled,
                None if self.frames.is_between() => self.ended = true,
                None => {
                    let what = "a stream ends within a frame";
                    return Poll::Ready(Err(Violation::new(Code::FrameError, what).into()));
                }
            }
        }
    }

    /// The next piece; none at the end of the stream. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub(super) async fn piece(&mut self) -> Result<Option<Piece>, Fault> {
        std::future::poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// Whether the stream ends here. What comes instead is kept.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub(super) fn poll_is_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        self.ahead = ready!(self.poll_piece(cx))?;
        Poll::Ready(Ok(self.ahead.is_none()))
    }

    /// Whether all of the stream was read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended && self.ahead.is_none()
    }

    /// Tells the visitor that nobody reads the rest, and why.
    pub(super) fn stop(&mut self, code: Code) {
        self.recv.stop_as(code.number());
    }
}

/// Chunks taken from a stream at first: most requests are short.
const FEW: usize = 2;
/// Chunks taken from a stream at a time: each take locks the connection once.
const BATCH: usize = 16;
