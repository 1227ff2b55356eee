//! The times that an event comes, and the first answer to it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use adit_shared::stream::SendHalf;
use adit_shared::webhook::Seen;
use adit_shared::wire::head;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::super::serve::{Record, ServeError, To, respond};
use crate::config::webhooks::Duplicates;
use crate::origin::{OriginBody, OriginError};
use crate::webhook::Desk;
use crate::webhook::memory::{Attempt, First, Key, MAX_ANSWER};

/// One time that an event comes; over when dropped.
pub(super) struct Visit<'a> {
    desk: &'a Desk,
    key: Key,
    answer: Option<First>,
    /// The origin never got it.
    is_unseen: bool,
    pub(super) attempt: Attempt,
}

impl<'a> Visit<'a> {
    /// Nothing when the event has no id, or nothing is to be remembered.
    pub(super) fn of(to: To<'a>, seen: &Seen) -> Option<Self> {
        let hooks = &to.tunnel.webhooks;
        if hooks.duplicates == Duplicates::Off {
            return None;
        }
        let genuine = seen.verified == Some(true);
        let key = Key::of(
            &to.tunnel.label,
            seen.provider,
            genuine,
            seen.id.as_deref()?,
        );
        let attempt = to.desk.memory().begin(&key, hooks.window, Instant::now());
        Some(Self {
            desk: to.desk,
            key,
            answer: None,
            is_unseen: false,
            attempt,
        })
    }

    /// The origin accepted no connection: this was no attempt.
    pub(super) fn take_back(&mut self) {
        self.is_unseen = true;
    }

    /// Sends a response back, and keeps it if it came whole and is small.
    pub(super) async fn respond(
        mut self,
        send: &mut SendHalf,
        head: head::Response,
        body: OriginBody,
        record: &mut Record<'_>,
    ) -> Result<(), ServeError> {
        let copy = Arc::new(Mutex::new(Copy::default()));
        let tee = Tee {
            body,
            copy: copy.clone(),
        };
        respond(send, head.clone(), tee, record).await?;
        let copy = std::mem::take(&mut *lock(&copy));
        self.answer = (!copy.over).then(|| First {
            head,
            body: copy.bytes.freeze(),
        });
        Ok(())
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut memory = self.desk.memory();
        if self.is_unseen {
            memory.take_back(&self.key);
        }
        memory.end(&self.key, self.answer.take());
    }
}

/// A body of which a copy is made.
struct Tee {
    body: OriginBody,
    copy: Arc<Mutex<Copy>>,
}

#[derive(Default)]
struct Copy {
    bytes: BytesMut,
    /// There was more than is kept.
    over: bool,
}

impl Body for Tee {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let mut copy = lock(&self.copy);
            match frame.data_ref() {
                Some(data) if copy.bytes.len() + data.len() <= MAX_ANSWER => {
                    copy.bytes.extend_from_slice(data);
                }
                // Too much, or trailers.
                _ => copy.over = true,
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

fn lock(copy: &Mutex<Copy>) -> MutexGuard<'_, Copy> {
    copy.lock().unwrap_or_else(PoisonError::into_inner)
}
