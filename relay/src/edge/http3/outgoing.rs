//! Responses on their way out.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use adit_shared::body::recv::BodyError;
use adit_shared::chunks::Chunks;
use adit_shared::hop;
use adit_shared::pace::Pace;
use adit_shared::quic::WriteError;
use adit_shared::stream::SendHalf;
use adit_shared::wire::head;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::future::{AbortHandle, Abortable};
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{HeaderValue, StatusCode};
use http_body::{Body as _, Frame};
use thiserror::Error;
use tokio::task::coop::consume_budget;

use super::super::serve::{Asker, Body};
use super::link::Link;
use super::{frame, qpack};

/// The stream that answers a request, and what is heard when the visitor wants no answer any more.
pub(super) struct Outgoing<'a, G> {
    pub(super) send: &'a mut SendHalf,
    pub(super) gone: Pin<&'a mut G>,
    pub(super) link: &'a Arc<Link>,
    pub(super) pace: Pace,
}

impl<G: Future + Send> Asker for Outgoing<'_, G> {
    async fn unless_gone<R: Send>(&mut self, work: impl Future<Output = R> + Send) -> Option<R> {
        tokio::select! {
            biased;
            result = work => Some(result),
            _ = &mut self.gone => None,
        }
    }

    async fn interim(&mut self, head: &head::Response) {
        if let Err(error) = self.send_head(head.status, head, |_| true).await {
            tracing::debug!(%error, "interim head not sent");
        }
    }
}

impl<G: Future + Send> Outgoing<'_, G> {
    /// Sends a head that others follow, or raw bytes.
    ///
    /// # Errors
    ///
    /// [`Cut::Write`].
    pub(super) async fn send_head(
        &mut self,
        status: StatusCode,
        head: &head::Response,
        keep: impl Fn(&[u8]) -> bool + Send,
    ) -> Result<(), Cut> {
        let mut bytes = BytesMut::with_capacity(USUAL_HEAD);
        put_head(status, head, keep, &mut bytes);
        Ok(self.send.write(&mut [bytes.freeze()]).await?)
    }

    /// Sends a response, and says that it is whole. Dropped before that, the stream must be reset.
    ///
    /// # Errors
    ///
    /// [`Cut`].
    pub(super) async fn send(
        &mut self,
        head: &head::Response,
        mut body: Body,
        is_head: bool,
    ) -> Result<(), Cut> {
        let mut out = Chunks::new(BytesMut::with_capacity(USUAL_HEAD));
        put_head(head.status, head, |_| true, out.small());
        // The relay's own answers have a body even where none may be sent.
        if is_head || body.is_end_stream() {
            self.flush(&mut out).await?;
            self.send.finish();
            return Ok(());
        }
        let (cut, registration) = AbortHandle::new_pair();
        body.watch(&cut);
        match Abortable::new(self.pour(out, body), registration).await {
            Ok(sent) => sent,
            Err(_) => Err(Cut::Stalled),
        }
    }

    async fn pour(&mut self, mut out: Chunks, body: Body) -> Result<(), Cut> {
        let mut body = pin!(body);
        // A body of a known length is one frame.
        let declared = body.size_hint().exact().filter(|length| *length > 0);
        if let Some(length) = declared {
            frame::put_data(length, out.small());
        }
        let mut sent = 0;
        loop {
            let gone = &mut self.gone;
            let next = poll_fn(|cx| match body.as_mut().poll_frame(cx) {
                // Nothing is ready: what there is must not wait for more.
                Poll::Pending if !out.is_empty() => Poll::Ready(Ok(None)),
                // A visitor that leaves while the body is silent is noticed here.
                Poll::Pending => gone.as_mut().poll(cx).map(|_| Err(Cut::Left)),
                Poll::Ready(frame) => Poll::Ready(Ok(Some(frame))),
            });
            match next.await? {
                None => self.flush(&mut out).await?,
                Some(Some(frame)) => {
                    push(&mut out, frame?, declared.is_some());
                    if out.is_full() {
                        sent += out.remaining();
                        self.flush(&mut out).await?;
                    }
                    if sent >= ADAPT {
                        sent = 0;
                        self.link.connection.adapt_send_window();
                    }
                }
                Some(None) => {
                    self.flush(&mut out).await?;
                    self.send.finish();
                    return Ok(());
                }
            }
        }
    }

    async fn flush(&mut self, out: &mut Chunks) -> Result<(), Cut> {
        let left = out.as_slices();
        let mut at = 0;
        while at < left.len() {
            let mut write = pin!(self.send.write_some(&mut left[at..]));
            let (pace, gone) = (&mut self.pace, &mut self.gone);
            let written = poll_fn(|cx| match write.as_mut().poll(cx) {
                Poll::Ready(written) => Poll::Ready(written.map_err(Cut::from)),
                Poll::Pending if gone.as_mut().poll(cx).is_ready() => Poll::Ready(Err(Cut::Left)),
                Poll::Pending => pace.poll_late(cx).map(|()| Err(Cut::Slow)),
            });
            let (bytes, chunks) = written.await?;
            pace.moved(bytes);
            at += chunks;
        }
        out.clear();
        // QUIC futures spend no budget of the runtime, so a fast body would never let others run.
        consume_budget().await;
        Ok(())
    }
}

/// Adds a frame to what leaves next. The data of a body whose length was declared is within a frame.
fn push(out: &mut Chunks, frame: Frame<Bytes>, is_declared: bool) {
    match frame.into_data() {
        Ok(data) if data.is_empty() => {}
        Ok(data) => {
            if !is_declared {
                frame::put_data(data.len() as u64, out.small());
            }
            out.push(data);
        }
        Err(frame) => {
            let mut fields = frame.into_trailers().unwrap_or_default();
            hop::strip_fixed(&mut fields);
            fields.remove(CONTENT_LENGTH);
            if !fields.is_empty() {
                frame::put_headers(out.small(), |to| put_trailers(&fields, to));
            }
        }
    }
}

fn put_trailers(fields: &HeaderMap, to: &mut BytesMut) {
    qpack::begin(to);
    for (name, value) in fields {
        qpack::put(name.as_str().as_bytes(), HeaderValue::as_bytes(value), to);
    }
}

fn put_head(
    status: StatusCode,
    head: &head::Response,
    keep: impl Fn(&[u8]) -> bool,
    to: &mut BytesMut,
) {
    frame::put_headers(to, |to| {
        qpack::begin(to);
        qpack::put_status(status, to);
        for (name, value) in &head.fields {
            // RFC 9110 section 8.6.
            let is_wrong = status == StatusCode::NO_CONTENT && name == b"content-length";
            if keep(name) && !is_wrong {
                qpack::put(name, value, to);
            }
        }
    });
}

/// Why a response did not reach its visitor whole.
#[derive(Debug, Error)]
pub(super) enum Cut {
    /// The agent or the origin failed.
    #[error("the response was cut")]
    Body(#[from] BodyError),
    /// The visitor took no more.
    #[error("the visitor takes no more")]
    Write(#[from] WriteError),
    /// The visitor takes too little.
    #[error("the visitor takes it too slowly")]
    Slow,
    /// The visitor left.
    #[error("the visitor left")]
    Left,
    /// The visitor stopped reading, and what it held was needed for others.
    #[error("it stalled for longest")]
    Stalled,
}

/// Room for most heads, with a small body.
const USUAL_HEAD: usize = 2 << 10;
/// After so many bytes it is looked how much the way carries.
const ADAPT: usize = 256 << 10;
