//! The body of a request on its way in.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use adit_shared::quic::ReadError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use super::code::{Code, Violation};
use super::frame::Piece;
use super::inflow::{Fault, Inflow};
use super::link::{Fate, Link, Uploading};
use super::{qpack, request};

/// The body of a request.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Where it comes from, until its end.
    from: Option<Inflow>,
    /// Bytes still to come, when the head declared a length.
    left: Option<u64>,
    /// Nothing may come any more.
    trailed: bool,
    link: Arc<Link>,
    fate: Fate,
    uploading: Option<Uploading>,
}

impl Incoming {
    /// What follows a head that declared a `length` or none, of a request with this `fate`.
    pub(super) fn new(from: Inflow, length: Option<u64>, link: &Arc<Link>, fate: &Fate) -> Self {
        let uploading = (!from.has_ended())
            .then(|| link.uploading(length))
            .flatten();
        Self {
            from: Some(from).filter(|from| !from.has_ended()),
            left: length,
            trailed: false,
            link: link.clone(),
            fate: fate.clone(),
            uploading,
        }
    }

    /// None at all.
    pub(super) fn none(link: &Arc<Link>) -> Self {
        Self {
            from: None,
            left: None,
            trailed: false,
            link: link.clone(),
            fate: Fate::default(),
            uploading: None,
        }
    }

    fn next(&mut self, piece: Option<Piece>) -> Result<Option<Frame<Bytes>>, IncomingError> {
        match piece {
            None if self.left.is_some_and(|left| left > 0) => Err(LENGTH),
            None => {
                self.end();
                Ok(None)
            }
            Some(_) if self.trailed => Err(IncomingError::Violation(Violation::new(
                Code::FrameUnexpected,
                "a frame follows the trailers",
            ))),
            Some(Piece::Data(data)) => {
                if let Some(left) = &mut self.left {
                    *left = left.checked_sub(data.len() as u64).ok_or(LENGTH)?;
                }
                Ok(Some(Frame::data(data)))
            }
            Some(Piece::Headers(block)) => {
                if self.left.is_some_and(|left| left > 0) {
                    return Err(LENGTH);
                }
                self.trailed = true;
                let section =
                    qpack::decode(&block, self.link.limit).map_err(|error| match error {
                        qpack::BadSection::Malformed(error) => IncomingError::Violation(
                            Violation::new(Code::QpackDecompressionFailed, error.0),
                        ),
                        qpack::BadSection::TooLarge | qpack::BadSection::TooMany => TOO_LARGE,
                    })?;
                let malformed = |what| IncomingError::Stream(Code::MessageError, what);
                let fields = request::trailers(&section).map_err(malformed)?;
                Ok(Some(Frame::trailers(fields.unwrap_or_default())))
            }
            // Nothing else comes on the stream of a request.
            Some(_) => Err(TOO_LARGE),
        }
    }

    fn end(&mut self) {
        (self.from, self.uploading) = (None, None);
    }

    /// Nothing more is read; says why to the visitor.
    fn fail(&mut self, error: &IncomingError) {
        match error {
            IncomingError::Violation(violation) => self.link.close(violation),
            IncomingError::Stream(code, _) => {
                if let Some(from) = &mut self.from {
                    from.stop(*code);
                }
                self.link.given_up(&self.fate, *code);
            }
            IncomingError::Left(ReadError::Reset(_)) => {
                self.link.given_up(&self.fate, Code::RequestCancelled);
            }
            IncomingError::Left(ReadError::Lost(_)) => {}
        }
        self.end();
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = IncomingError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IncomingError>>> {
        let Some(from) = &mut self.from else {
            return Poll::Ready(None);
        };
        let next = match ready!(from.poll_piece(cx)) {
            Ok(piece) => self.next(piece),
            Err(Fault::Violation(violation)) => Err(IncomingError::Violation(violation)),
            Err(Fault::Left(error)) => Err(IncomingError::Left(error)),
        };
        if let Err(error) = &next {
            self.fail(error);
        }
        Poll::Ready(next.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.from.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // What is still to come is not known before it is here.
        if self.from.is_none() {
            SizeHint::with_exact(0)
        } else {
            SizeHint::default()
        }
    }
}

/// Why a request's body ended too early.
#[derive(Debug, Error)]
pub(super) enum IncomingError {
    /// The visitor broke the protocol.
    #[error(transparent)]
    Violation(Violation),
    /// What came is malformed, or too much.
    #[error("{1}")]
    Stream(Code, &'static str),
    /// The visitor gave it up, or is gone.
    #[error(transparent)]
    Left(ReadError),
}

const LENGTH: IncomingError = IncomingError::Stream(
    Code::MessageError,
    "the body does not have the length that the head declared",
);
const TOO_LARGE: IncomingError =
    IncomingError::Stream(Code::ExcessiveLoad, "the trailers are too large");
