//! A request that is copied while it goes its way: what is read of its body is noted, and when it has come whole,
//! the mirrors have it. A body that is too large, or that does not come to its end, is copied to nobody.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use adit_shared::body::recv::declared_length;
use adit_shared::wire::head;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Copied, Mirror};
use crate::metrics::Metrics;
use crate::queue::database::now;
use crate::queue::letter::Letter;

/// A copy in the making. Dropped before its end, it is counted as dropped.
#[derive(Debug)]
pub struct Copying {
    to: Vec<Arc<Mirror>>,
    /// For more of the body.
    memory: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    head: head::Request,
    data: BytesMut,
    trailers: HeaderMap,
    room: Option<OwnedSemaphorePermit>,
}

impl Copying {
    pub(super) fn begin(
        to: Vec<Arc<Mirror>>,
        head: &head::Request,
        memory: &Arc<Semaphore>,
        metrics: &Arc<Metrics>,
    ) -> Option<Box<Self>> {
        let copying = Self {
            to,
            memory: memory.clone(),
            metrics: metrics.clone(),
            head: head.clone(),
            data: BytesMut::new(),
            trailers: HeaderMap::new(),
            room: memory.clone().try_acquire_many_owned(HEAD).ok(),
        };
        let length = declared_length(&copying.head.fields).unwrap_or(0);
        let fits = copying.room.is_some() && length <= BODY as u64;
        fits.then(|| Box::new(copying))
    }

    /// Notes more of the body. False when that does not fit.
    ///
    /// It is copied, not kept by reference: a piece may hold a whole buffer, which nobody has counted.
    fn add(&mut self, data: &[u8]) -> bool {
        let more = self.memory.clone();
        let more = u32::try_from(data.len()).map(|bytes| more.try_acquire_many_owned(bytes));
        let (Some(room), Ok(Ok(more))) = (&mut self.room, more) else {
            return false;
        };
        room.merge(more);
        self.data.extend_from_slice(data);
        self.data.len() <= BODY
    }

    /// It is whole: all mirrors that have room for it get it.
    pub fn send(mut self: Box<Self>) {
        let Some(room) = self.room.take() else { return };
        let copied = Arc::new(Copied {
            letter: Letter {
                head: self.head.clone(),
                body: std::mem::take(&mut self.data).freeze(),
                trailers: std::mem::take(&mut self.trailers),
                received: now(),
            },
            _room: room,
        });
        // Those that are left over have no room.
        self.to
            .retain(|mirror| mirror.copies.try_send(copied.clone()).is_err());
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.metrics.mirror_dropped.add(self.to.len() as u64);
    }
}

/// The body of a request that is copied.
#[derive(Debug)]
pub struct Noted<B> {
    body: B,
    copy: Option<Box<Copying>>,
}

impl<B: Body<Data = Bytes>> Noted<B> {
    /// Copies what is read of `body`.
    pub fn new(body: B, copy: Box<Copying>) -> Self {
        let mut noted = Self {
            body,
            copy: Some(copy),
        };
        noted.look();
        noted
    }

    /// Whether that was all.
    fn look(&mut self) {
        if self.body.is_end_stream()
            && let Some(copy) = self.copy.take()
        {
            copy.send();
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Noted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let fits = match (&mut self.copy, frame.data_ref(), frame.trailers_ref()) {
                    (Some(copy), Some(data), _) => copy.add(data),
                    (Some(copy), _, Some(trailers)) => {
                        copy.trailers.clone_from(trailers);
                        true
                    }
                    _ => true,
                };
                if !fits {
                    self.copy = None;
                }
                self.look();
            }
            Some(Err(_)) => self.copy = None,
            None => {
                if let Some(copy) = self.copy.take() {
                    copy.send();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The largest body that is copied, in bytes.
const BODY: usize = 1 << 20;
/// What a copy counts for beside its body.
const HEAD: u32 = 1 << 10;
