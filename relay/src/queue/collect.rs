//! The whole body of a request, within bounds; what is above them passes as it comes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Inboxes, Refusal};

/// What came of collecting a body.
#[derive(Debug)]
pub enum Collected<B> {
    /// All of it.
    Whole(Whole),
    /// It cannot be kept; this is the body as it was.
    Passes(Passing<B>, Refusal),
}

/// A whole body.
#[derive(Debug)]
pub struct Whole {
    /// Its data.
    pub data: Bytes,
    /// What came behind it.
    pub trailers: HeaderMap,
    /// Its share of the memory for inboxes.
    pub room: OwnedSemaphorePermit,
}

impl Inboxes {
    /// Collects `body`, which declares a length or none. Safe to drop.
    ///
    /// # Errors
    ///
    /// What the body says when it fails.
    pub async fn collect<B>(&self, body: B, declared: Option<u64>) -> Result<Collected<B>, B::Error>
    where
        B: Body<Data = Bytes>,
    {
        let mut body = Passing::new(body);
        let Some(open) = &self.0 else {
            return Ok(Collected::Passes(body, Refusal::Failed));
        };
        let most = open.limits.body;
        if declared.is_some_and(|length| length > most) {
            return Ok(Collected::Passes(body, Refusal::TooLarge));
        }
        let first = declared.unwrap_or(0);
        let Some(mut room) = share(&open.room, first) else {
            return Ok(Collected::Passes(body, Refusal::Busy));
        };
        let (mut length, mut paid) = (0, first);
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut body.rest).poll_frame(cx)).await;
            let Some(frame) = frame.transpose()? else {
                return Ok(Collected::Whole(body.whole(HeaderMap::new(), room)));
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Ok(Collected::Whole(body.whole(trailers, room)));
                }
            };
            length += data.len() as u64;
            // A copy: a piece of what was read would keep all that was read with it.
            body.passed.push_back(Bytes::copy_from_slice(&data));
            if length > most {
                return Ok(Collected::Passes(body, Refusal::TooLarge));
            }
            if length > paid {
                let Some(more) = share(&open.room, length - paid) else {
                    return Ok(Collected::Passes(body, Refusal::Busy));
                };
                room.merge(more);
                paid = length;
            }
        }
    }
}

/// A share of the memory for a body of `length`, which is there as it came and sealed.
fn share(room: &Arc<Semaphore>, length: u64) -> Option<OwnedSemaphorePermit> {
    let permits = u32::try_from(2 * length + OVERHEAD).ok()?;
    room.clone().try_acquire_many_owned(permits).ok()
}

/// A body of which a part was read.
#[derive(Debug)]
pub struct Passing<B> {
    passed: VecDeque<Bytes>,
    rest: Pin<Box<B>>,
}

impl<B> Passing<B> {
    fn new(body: B) -> Self {
        Self {
            passed: VecDeque::new(),
            rest: Box::pin(body),
        }
    }

    fn whole(self, trailers: HeaderMap, room: OwnedSemaphorePermit) -> Whole {
        let mut pieces = self.passed;
        let data = match (pieces.pop_front(), pieces.is_empty()) {
            (None, _) => Bytes::new(),
            (Some(only), true) => only,
            (Some(first), false) => {
                let rest: usize = pieces.iter().map(Bytes::len).sum();
                let mut data = BytesMut::with_capacity(first.len() + rest);
                data.extend_from_slice(&first);
                pieces
                    .iter()
                    .for_each(|piece| data.extend_from_slice(piece));
                data.freeze()
            }
        };
        Whole {
            data,
            trailers,
            room,
        }
    }
}

impl<B: Body<Data = Bytes>> Body for Passing<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.passed.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => self.rest.as_mut().poll_frame(cx),
        }
    }
}

/// What one costs beside its bytes.
const OVERHEAD: u64 = 2 << 10;
