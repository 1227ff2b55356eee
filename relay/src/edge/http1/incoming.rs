//! The body of a request on its way in.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use adit_shared::http1::chunked::Step;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::sync::oneshot;

use super::reader::{Reader, Rest};

/// The body of a request.
#[derive(Debug)]
pub(super) enum Incoming<T> {
    /// What came with the head; nothing once it was taken.
    Whole(Bytes),
    /// The rest is still to come.
    Lent(Lent<T>),
}

/// A body that is read from a connection. The reading half is given back at its end, or when it is
/// dropped, with what is left of the body.
#[derive(Debug)]
pub(super) struct Lent<T> {
    /// The reading half and the rest of the body, until the end.
    from: Option<Back<T>>,
    back: Option<oneshot::Sender<Back<T>>>,
    /// Tells that the body is wanted, if the visitor waits for that.
    wanted: Option<oneshot::Sender<()>>,
}

/// A reading half that comes back.
#[derive(Debug)]
pub(super) struct Back<T> {
    pub(super) reader: Reader<T>,
    /// What is left of the body.
    pub(super) rest: Option<Rest>,
    /// Whether reading it failed: then nothing that follows is a request.
    pub(super) failed: bool,
}

impl<T> Lent<T> {
    /// A body of which `rest` is to come from `reader`, which comes `back`.
    pub(super) fn new(
        reader: Reader<T>,
        rest: Rest,
        back: oneshot::Sender<Back<T>>,
        wanted: Option<oneshot::Sender<()>>,
    ) -> Self {
        Self {
            from: Some(Back {
                reader,
                rest: Some(rest),
                failed: false,
            }),
            back: Some(back),
            wanted,
        }
    }

    fn give_back(&mut self) {
        if let (Some(from), Some(back)) = (self.from.take(), self.back.take()) {
            // The connection may have ended.
            drop(back.send(from));
        }
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl<T: AsyncRead> Lent<T> {
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, IncomingError>> {
        if let Some(wanted) = self.wanted.take() {
            // The connection may have ended.
            let _ = wanted.send(());
        }
        let Some(Back {
            reader,
            rest: Some(rest),
            ..
        }) = &mut self.from
        else {
            return Poll::Ready(Ok(None));
        };
        loop {
            match rest
                .take(&mut reader.intake.bytes)
                .map_err(IncomingError::Chunks)?
            {
                Step::Data(data) => {
                    if rest.is_end() {
                        self.end();
                    }
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
                Step::End(trailers) => {
                    self.end();
                    let trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
                    return Poll::Ready(Ok(trailers.map(Frame::trailers)));
                }
                Step::More => {}
            }
            if ready!(reader.poll_fill(cx)).map_err(IncomingError::Read)? == 0 {
                return Poll::Ready(Err(IncomingError::Read(
                    io::ErrorKind::UnexpectedEof.into(),
                )));
            }
        }
    }

    fn end(&mut self) {
        if let Some(from) = &mut self.from {
            from.rest = None;
        }
        self.give_back();
    }
}

impl<T: AsyncRead> Body for Incoming<T> {
    type Data = Bytes;
    type Error = IncomingError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IncomingError>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Lent(lent) => {
                let next = ready!(lent.poll_next(cx));
                if next.is_err()
                    && let Some(from) = &mut lent.from
                {
                    from.failed = true;
                    lent.give_back();
                }
                Poll::Ready(next.transpose())
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Lent(lent) => lent.from.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Lent(_) => SizeHint::default(),
        }
    }
}

/// Why a request's body ended too early.
#[derive(Debug, Error)]
pub(super) enum IncomingError {
    /// The visitor left, or its connection failed.
    #[error("the connection failed")]
    Read(#[source] io::Error),
    /// Its chunks are none.
    #[error("{0}")]
    Chunks(&'static str),
}
