//! The body of a response over HTTP/1.1.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use adit_shared::hop;
use adit_shared::http1::chunked::{Chunked, Step};
use bytes::Bytes;
use futures_util::future::{AbortHandle, AbortRegistration};
use http_body::{Body, Frame, SizeHint};

use super::super::OriginError;
use super::super::pool::Pool;
use super::connection::Source;
use super::response::Framing;

/// The body of a response. Its connection goes back to the pool at its end, if it can be used again;
/// dropped before, the connection is closed.
#[derive(Debug)]
pub struct Incoming {
    source: Option<Source>,
    rest: Rest,
    /// Where the connection goes at the end, and for how long.
    back: Option<(Pool, Duration)>,
    upload: Option<Sending>,
}

#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunked(Chunked),
    Close,
}

/// The rest of a request that is sent beside the response; given up when dropped.
#[derive(Debug)]
pub(super) struct Sending {
    abort: AbortHandle,
    answered: Arc<AtomicBool>,
}

impl Sending {
    /// With what ends the sending when it is given up, and what says that the answer has ended.
    pub(super) fn new() -> (Self, AbortRegistration, Arc<AtomicBool>) {
        let (abort, registration) = AbortHandle::new_pair();
        let answered = Arc::<AtomicBool>::default();
        let sending = Self {
            abort,
            answered: answered.clone(),
        };
        (sending, registration, answered)
    }

    /// The origin has answered, but may still read the request.
    fn let_go(self) {
        self.answered.store(true, Ordering::Relaxed);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.answered.load(Ordering::Relaxed) {
            self.abort.abort();
        }
    }
}

impl Incoming {
    pub(super) fn new(
        source: Source,
        framing: Framing,
        back: Option<(Pool, Duration)>,
        upload: Option<Sending>,
    ) -> Self {
        let rest = match framing {
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunked(Chunked::default()),
            Framing::Close => Rest::Close,
        };
        let mut this = Self {
            source: Some(source),
            rest,
            back,
            upload,
        };
        if matches!(this.rest, Rest::Length(0)) {
            this.end();
        }
        this
    }

    /// All of it was read.
    fn end(&mut self) {
        if let (Some(Source::Whole(connection)), Some((pool, keep))) =
            (self.source.take(), self.back.take())
        {
            // Bytes that nobody asked for belong to no answer.
            if connection.intake.bytes.is_empty() {
                pool.give(connection, keep);
            }
        }
        if let Some(upload) = self.upload.take() {
            upload.let_go();
        }
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, OriginError>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(Ok(None));
        };
        loop {
            let bytes = &mut source.intake().bytes;
            let frame = match &mut self.rest {
                Rest::Chunked(chunked) => {
                    match chunked.take(bytes).map_err(OriginError::Invalid)? {
                        Step::Data(data) => Some(Frame::data(data)),
                        Step::More => None,
                        Step::End(mut trailers) => {
                            self.end();
                            hop::strip(&mut trailers);
                            let frame = (!trailers.is_empty()).then(|| Frame::trailers(trailers));
                            return Poll::Ready(Ok(frame));
                        }
                    }
                }
                Rest::Length(left) if !bytes.is_empty() => {
                    let take = bytes
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= take as u64;
                    let data = bytes.split_to(take).freeze();
                    if *left == 0 {
                        self.end();
                    }
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
                Rest::Close if !bytes.is_empty() => Some(Frame::data(bytes.split().freeze())),
                Rest::Length(_) | Rest::Close => None,
            };
            if frame.is_some() {
                return Poll::Ready(Ok(frame));
            }
            if ready!(source.poll_fill(cx)).map_err(OriginError::Http1)? == 0 {
                return Poll::Ready(match self.rest {
                    Rest::Close => {
                        self.end();
                        Ok(None)
                    }
                    _ => Err(OriginError::Http1(io::ErrorKind::UnexpectedEof.into())),
                });
            }
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let next = ready!(self.poll_next(cx));
        if next.is_err() {
            // The connection is of no more use.
            self.source = None;
        }
        Poll::Ready(next.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.source, &self.rest) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), Rest::Length(left)) => SizeHint::with_exact(*left),
            (Some(_), _) => SizeHint::default(),
        }
    }
}
