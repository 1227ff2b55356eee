//! The reading half of a visitor's connection.

use std::io;
use std::task::{Context, Poll};

use adit_shared::http1::chunked::{Chunked, Step};
use adit_shared::intake::Intake;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tokio::io::{AsyncRead, ReadHalf};

use super::head::Framing;

/// A socket's reading half, and what was read from it.
#[derive(Debug)]
pub(super) struct Reader<T> {
    pub(super) read: ReadHalf<T>,
    pub(super) intake: Intake,
}

impl<T: AsyncRead> Reader<T> {
    /// Begins with what was read before.
    pub(super) fn new(read: ReadHalf<T>, early: BytesMut) -> Self {
        Self {
            read,
            intake: Intake::with(early),
        }
    }

    /// Reads once and says how much came; 0 is the end.
    ///
    /// # Errors
    ///
    /// Whatever the socket says.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.intake.poll_fill(cx, &mut self.read)
    }
}

/// What is left of a request's body.
#[derive(Debug)]
pub(super) enum Rest {
    /// This many bytes, at least one.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
}

impl Rest {
    /// The whole of a body; nothing if there is none.
    pub(super) fn of(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Length(0) => None,
            Framing::Length(length) => Some(Self::Length(length)),
            Framing::Chunked => Some(Self::Chunked(Chunked::default())),
        }
    }

    /// Takes what comes next out of what was read; after [`Step::End`] nothing is left.
    ///
    /// # Errors
    ///
    /// What is wrong with it; nothing of the connection is of use after that.
    pub(super) fn take(&mut self, from: &mut BytesMut) -> Result<Step, &'static str> {
        match self {
            Self::Chunked(chunked) => chunked.take(from),
            Self::Length(0) => Ok(Step::End(HeaderMap::new())),
            Self::Length(_) if from.is_empty() => Ok(Step::More),
            Self::Length(left) => {
                let take = from.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= take as u64;
                Ok(Step::Data(from.split_to(take).freeze()))
            }
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// The body, if all of it was read already.
    pub(super) fn whole(&self, from: &mut BytesMut) -> Option<Bytes> {
        match self {
            Self::Length(left) => {
                let length = usize::try_from(*left)
                    .ok()
                    .filter(|all| *all <= from.len())?;
                Some(from.split_to(length).freeze())
            }
            Self::Chunked(_) => None,
        }
    }
}
