//! A stream's frames as an HTTP body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use crate::length::Length;
use crate::stream::{PartError, Parts};
use crate::wire::code::Reset;
use crate::wire::fields::Fields;
use crate::wire::frame::{FrameError, Part};

/// The body that follows a head on a stream.
///
/// Dropped before its end it tells the peer to stop.
#[derive(Debug)]
pub struct FromStream {
    parts: Box<Parts>,
    done: bool,
    /// They are kept until the end was read: whoever takes trailers does not ask for more.
    trailers: Option<Fields>,
    /// What was read while looking for the end.
    ahead: Option<Box<Result<Option<Part>, PartError>>>,
    /// Bytes still to come, when the head declared a length.
    declared: Option<u64>,
}

impl FromStream {
    /// The rest of `parts`, whose head was read. `end` is the head's own word that nothing
    /// follows; `declared` is its `Content-Length`, which the body must then have exactly.
    pub fn new(parts: Box<Parts>, end: bool, declared: Option<u64>) -> Self {
        Self {
            parts,
            done: end,
            trailers: None,
            ahead: None,
            declared: declared.filter(|_| !end),
        }
    }

    /// Whether all data has come. A reader that knows the length may stop here.
    pub fn is_whole(&self) -> bool {
        self.done || self.declared == Some(0)
    }

    /// Bytes still to come, when the head declared a length.
    pub fn left(&self) -> Option<u64> {
        self.declared
    }

    /// Reads an end that has come along with the last of the data.
    fn take_end(&mut self, cx: &mut Context<'_>) {
        if self.declared != Some(0) {
            return;
        }
        match self.parts.poll_next(cx) {
            Poll::Ready(Ok(Some(Part::End))) => self.done = true,
            Poll::Ready(other) => self.ahead = Some(Box::new(other)),
            Poll::Pending => {}
        }
    }
}

impl Body for FromStream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.done {
            return Poll::Ready(None);
        }
        // Trailers come once at most, so this calls itself once at most.
        let part = match self.ahead.take() {
            Some(part) => *part,
            None => ready!(self.parts.poll_next(cx)),
        };
        Poll::Ready(match part {
            Ok(Some(Part::Data(data))) => {
                if let Some(left) = &mut self.declared {
                    match left.checked_sub(data.len() as u64) {
                        Some(rest) => *left = rest,
                        None => return Poll::Ready(Some(Err(self.fail(BodyError::Length)))),
                    }
                }
                self.take_end(cx);
                if let Some(Ok(Some(Part::Data(_)))) = self.ahead.as_deref() {
                    return Poll::Ready(Some(Err(self.fail(BodyError::Length))));
                }
                Some(Ok(Frame::data(data)))
            }
            Ok(Some(Part::Trailers(fields))) => {
                self.trailers = Some(fields);
                return self.poll_frame(cx);
            }
            Ok(Some(Part::End) | None) => {
                if self.declared.is_some_and(|left| left > 0) {
                    return Poll::Ready(Some(Err(self.fail(BodyError::Length))));
                }
                self.done = true;
                self.trailers
                    .take()
                    .map(|fields| Ok(Frame::trailers(fields.to_map())))
            }
            Ok(Some(_)) => Some(Err(self.fail(PartError::from(FrameError::Truncated).into()))),
            Err(error) => Some(Err(self.fail(error.into()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        match self.declared {
            Some(left) => SizeHint::with_exact(left),
            None if self.done => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}

impl FromStream {
    fn fail(&mut self, error: BodyError) -> BodyError {
        self.done = true;
        self.parts.stop(Reset::Protocol);
        error
    }
}

/// Why a body ended too early.
#[derive(Clone, Debug, Error)]
pub enum BodyError {
    /// The stream failed.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The body is longer or shorter than its head said.
    #[error("the body does not have the length that its head declared")]
    Length,
    /// The request that it answers came to nothing meanwhile.
    #[error("the request that it answers failed")]
    Request,
}

/// The length that a head declares for its body, if it declares one and no other.
pub fn declared_length(fields: &Fields) -> Option<u64> {
    Length::of(fields).ok()?.declared()
}
