//! A body that is read before anybody gets it, up to a limit.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

/// What was read of a body, and what was not. As a body it is the whole again, byte for byte.
#[derive(Debug)]
pub struct Ahead<B> {
    data: Bytes,
    trailers: Option<HeaderMap>,
    /// Nothing when all was read.
    rest: Option<Box<B>>,
}

impl<B: Body<Data = Bytes> + Unpin> Ahead<B> {
    /// The body of a message without one.
    pub fn none() -> Self {
        Self {
            data: Bytes::new(),
            trailers: None,
            rest: None,
        }
    }

    /// Reads all of `body`, or a little more than `limit` bytes of it. Not safe to drop: what was read is
    /// lost then.
    ///
    /// # Errors
    ///
    /// What the body says when it fails.
    pub async fn read(mut body: B, limit: usize) -> Result<Self, B::Error> {
        let mut pieces = Pieces::default();
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => pieces.push(data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
            if pieces.len() > limit {
                return Ok(Self {
                    data: pieces.join(),
                    trailers,
                    rest: Some(Box::new(body)),
                });
            }
        }
        Ok(Self {
            data: pieces.join(),
            trailers,
            rest: None,
        })
    }

    /// What was read.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Puts other bytes in the place of those that were read.
    pub fn set_data(&mut self, data: Bytes) {
        self.data = data;
    }

    /// Whether that is all.
    pub fn is_whole(&self) -> bool {
        self.rest.is_none()
    }
}

/// Pieces of a body; most webhooks are a single one, which is not copied.
#[derive(Default)]
struct Pieces {
    first: Bytes,
    more: BytesMut,
}

impl Pieces {
    fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if self.more.is_empty() {
            self.more
                .extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.more.extend_from_slice(&data);
    }

    fn join(self) -> Bytes {
        if self.more.is_empty() {
            self.first
        } else {
            self.more.freeze()
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Ahead<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.data.is_empty() {
            let data = std::mem::take(&mut self.data);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(rest) = &mut self.rest {
            return Pin::new(&mut **rest).poll_frame(cx);
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        let rest = self.rest.as_ref();
        self.data.is_empty()
            && self.trailers.is_none()
            && rest.is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.data.len() as u64;
        match &self.rest {
            None => SizeHint::with_exact(read),
            Some(rest) => match rest.size_hint().exact() {
                Some(left) => SizeHint::with_exact(read + left),
                None => SizeHint::default(),
            },
        }
    }
}
