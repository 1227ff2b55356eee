//! A visitor's connection: its two halves, and what was lent of it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use adit_shared::chunks::Chunks;
use adit_shared::http1::chunked::Step;
use adit_shared::pace::{Least, Pace};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::future::{AbortHandle, Abortable};
use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::incoming::{Back, Incoming, Lent};
use super::outgoing::{Cut, Outgoing, poll_write};
use super::patience::{Patience, Time};
use super::reader::{Reader, Rest};
use super::{LINGER, Transport, UNWANTED};

/// A connection on which requests come and responses go.
#[derive(Debug)]
pub(super) struct Connection<T> {
    /// The reading half, unless a request's body has it.
    reader: Option<Reader<T>>,
    lent: Option<oneshot::Receiver<Back<T>>>,
    /// Tells that the body is wanted that the visitor waits to be asked for.
    wanted: Option<oneshot::Receiver<()>>,
    /// The visitor waits to be asked for a body.
    is_unasked: bool,
    /// What is left of a request's body that nobody reads.
    rest: Option<Rest>,
    /// Whether nothing more can be read.
    failed: bool,
    writer: WriteHalf<T>,
    /// What leaves with the next write.
    pub(super) out: Chunks,
    /// How fast the visitor takes that.
    pace: Pace,
}

/// What came of waiting for bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Came {
    Bytes,
    /// It was waited long enough.
    Late,
    /// Nothing, and the service stops.
    Stop,
    /// The visitor left.
    End,
}

impl<T: Transport> Connection<T> {
    /// A connection of which `early` was read already, and whose visitor must read so fast.
    pub(super) fn new(io: T, early: BytesMut, least: Least) -> Self {
        let (read, writer) = tokio::io::split(io);
        Self {
            reader: Some(Reader::new(read, early)),
            lent: None,
            wanted: None,
            is_unasked: false,
            rest: None,
            failed: false,
            writer,
            out: Chunks::default(),
            pace: Pace::new(least),
        }
    }

    /// What was read and not taken; nothing while a body has the reading half.
    pub(super) fn read(&mut self) -> Option<&mut BytesMut> {
        self.reader.as_mut().map(|reader| &mut reader.intake.bytes)
    }

    /// Waits for more bytes of a request; for the first of them only until `stop`. Safe to drop.
    pub(super) async fn fill(
        &mut self,
        patience: &mut Patience,
        mut stop: Option<&mut Pin<&mut impl Future<Output = ()>>>,
    ) -> Came {
        let Some(reader) = &mut self.reader else {
            return Came::End;
        };
        let is_idle = reader.intake.bytes.is_empty();
        poll_fn(|cx| {
            match reader.poll_fill(cx) {
                Poll::Ready(Ok(1..)) => return Poll::Ready(Came::Bytes),
                Poll::Ready(_) => return Poll::Ready(Came::End),
                Poll::Pending => {}
            }
            if is_idle
                && let Some(stop) = &mut stop
                && stop.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Came::Stop);
            }
            match patience.poll(cx) {
                Poll::Ready(Time::Over) => Poll::Ready(Came::Late),
                Poll::Ready(Time::Idle) => {
                    // The connection is known to the runtime, and needs no memory to be read into.
                    reader.intake.release();
                    if self.out.is_empty() {
                        self.out = Chunks::default();
                    }
                    Poll::Pending
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// A request's body, which is read from here. With `expects` the visitor is told to send it when it is
    /// first asked for.
    pub(super) fn lend(&mut self, rest: Option<Rest>, expects: bool) -> Incoming<T> {
        let Some(rest) = rest else {
            return Incoming::Whole(Bytes::new());
        };
        let whole = self.read().and_then(|read| rest.whole(read));
        if let Some(whole) = whole {
            return Incoming::Whole(whole);
        }
        let Some(reader) = self.reader.take() else {
            return Incoming::Whole(Bytes::new());
        };
        let (back, lent) = oneshot::channel();
        self.lent = Some(lent);
        self.is_unasked = expects;
        let wanted = expects.then(|| {
            let (tell, wanted) = oneshot::channel();
            self.wanted = Some(wanted);
            tell
        });
        Incoming::Lent(Lent::new(reader, rest, back, wanted))
    }

    /// A request's body that nobody wants. With `expects` the visitor may never send it.
    pub(super) fn ignore(&mut self, rest: Option<Rest>, expects: bool) {
        (self.rest, self.is_unasked) = (rest, expects);
    }

    /// Does `work` while the visitor is there, and asks for the body when it is wanted.
    ///
    /// # Errors
    ///
    /// [`Cut`] when the visitor left.
    pub(super) async fn meanwhile<R>(
        &mut self,
        mut work: Pin<&mut impl Future<Output = R>>,
    ) -> Result<R, Cut> {
        poll_fn(|cx| {
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(result));
            }
            if let Some(wanted) = &mut self.wanted
                && let Poll::Ready(told) = Pin::new(wanted).poll(cx)
            {
                self.wanted = None;
                if told.is_ok() {
                    self.is_unasked = false;
                    self.out.small().put_slice(CONTINUE);
                }
            }
            if let Poll::Ready(written) = poll_write(cx, &mut self.writer, &mut self.out) {
                written?;
            }
            self.poll_left(cx).map(|()| Err(Cut::Left))
        })
        .await
    }

    /// Ready when the visitor has left. What it sends ahead of its turn is read too, up to a bound: otherwise
    /// the end behind it would not be seen.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(lent) = &mut self.lent {
            match Pin::new(lent).poll(cx) {
                Poll::Ready(back) => self.take_back(back.ok()),
                Poll::Pending => return Poll::Pending,
            }
        }
        let Some(reader) = &mut self.reader else {
            return Poll::Pending;
        };
        // What is left of a body must not fill the memory; who reads it sees the end.
        while self.rest.is_none() && !self.failed && reader.intake.bytes.len() < AHEAD {
            match reader.poll_fill(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    fn take_back(&mut self, back: Option<Back<T>>) {
        self.lent = None;
        match back {
            Some(Back {
                reader,
                rest,
                failed,
            }) => {
                self.reader = Some(reader);
                self.rest = rest;
                self.failed |= failed;
            }
            None => self.failed = true,
        }
    }

    /// Nothing that still comes is of use.
    pub(super) fn give_up(&mut self) {
        self.failed = true;
    }

    /// Whether another request may follow, as far as the one before it is known.
    pub(super) fn may_go_on(&self) -> bool {
        let is_small = match &self.rest {
            Some(Rest::Length(left)) => *left <= UNWANTED as u64,
            Some(Rest::Chunked(_)) | None => true,
        };
        // A body that was not asked for may come or not.
        !self.failed && !self.is_unasked && is_small
    }

    /// Sends a response, whose head waits to be written.
    ///
    /// # Errors
    ///
    /// [`Cut`].
    pub(super) async fn send(&mut self, mut outgoing: Outgoing) -> Result<(), Cut> {
        // A head and what is there of the body leave with one write.
        poll_fn(|cx| Poll::Ready(outgoing.gather(cx, &mut self.out))).await?;
        let Some(body) = outgoing.rest() else {
            return self.flush().await;
        };
        let (cut, registration) = AbortHandle::new_pair();
        body.watch(&cut);
        let rest = poll_fn(|cx| self.poll_send(cx, &mut outgoing));
        Abortable::new(rest, registration)
            .await
            .map_err(|_| Cut::Stalled)?
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing,
    ) -> Poll<Result<(), Cut>> {
        loop {
            outgoing.gather(cx, &mut self.out)?;
            if self.out.is_empty() {
                return match outgoing.rest() {
                    None => Poll::Ready(Ok(())),
                    Some(_) => self.poll_left(cx).map(|()| Err(Cut::Left)),
                };
            }
            std::task::ready!(self.poll_write(cx))?;
        }
    }

    /// Writes what waits to be written, while the visitor takes some of it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        let before = self.out.remaining();
        let written = poll_write(cx, &mut self.writer, &mut self.out);
        let moved = before - self.out.remaining();
        if written.is_ready() || moved > 0 {
            self.pace.moved(moved);
        }
        match written {
            Poll::Ready(written) => Poll::Ready(written.map_err(Cut::from)),
            Poll::Pending => self.pace.poll_late(cx).map(|()| Err(Cut::Slow)),
        }
    }

    /// Writes what waits to be written.
    ///
    /// # Errors
    ///
    /// [`Cut`] when the visitor takes no more.
    pub(super) async fn flush(&mut self) -> Result<(), Cut> {
        poll_fn(|cx| self.poll_write(cx)).await
    }

    /// Waits until the request whose response was sent has ended: an upload may go on after its answer. To
    /// `go_on`, a little that nobody wants is read; says whether another request may follow then.
    pub(super) async fn finish(&mut self, go_on: bool) -> bool {
        if let Some(lent) = self.lent.take() {
            let back = lent.await.ok();
            self.take_back(back);
        }
        (self.wanted, self.is_unasked) = (None, false);
        if !go_on || self.failed {
            return false;
        }
        self.rest.is_none() || matches!(timeout(LINGER, self.skip()).await, Ok(true))
    }

    /// Reads the rest of a body, if it is short.
    async fn skip(&mut self) -> bool {
        let (Some(reader), Some(rest)) = (&mut self.reader, &mut self.rest) else {
            return true;
        };
        let mut skipped = 0;
        while skipped <= UNWANTED && !rest.is_end() {
            match rest.take(&mut reader.intake.bytes) {
                Ok(Step::Data(data)) => skipped += data.len(),
                Ok(Step::More) => {
                    let read = poll_fn(|cx| reader.poll_fill(cx)).await;
                    if !matches!(read, Ok(1..)) {
                        return false;
                    }
                }
                Ok(Step::End(_)) => {
                    self.rest = None;
                    return true;
                }
                Err(_) => return false,
            }
        }
        let is_end = rest.is_end();
        if is_end {
            self.rest = None;
        }
        is_end
    }

    /// Closes it so that the visitor gets what was written: a socket that is closed with something unread
    /// takes back what is on its way (RFC 9112 section 9.6).
    pub(super) async fn close(mut self) {
        let close = async {
            if self.flush().await.is_err() || self.writer.shutdown().await.is_err() {
                return;
            }
            let Some(reader) = &mut self.reader else {
                return;
            };
            let mut read = 0;
            while read < UNWANTED {
                reader.intake.bytes.clear();
                match poll_fn(|cx| reader.poll_fill(cx)).await {
                    Ok(more @ 1..) => read += more,
                    _ => return,
                }
            }
        };
        // It ends in any case.
        drop(timeout(LINGER, close).await);
    }

    /// Breaks it off, so that what was sent cannot pass for whole.
    pub(super) async fn reset(mut self) {
        // A body that is given up comes back soon.
        if let Some(lent) = self.lent.take() {
            let back = timeout(LINGER, lent).await;
            self.take_back(back.ok().and_then(Result::ok));
        }
        if let Some(reader) = self.reader {
            reader.read.unsplit(self.writer).reset();
        }
    }

    /// Its two halves, with what was read and not taken; nothing while a body has one.
    pub(super) fn into_parts(self) -> Option<(Reader<T>, WriteHalf<T>)> {
        Some((self.reader?, self.writer))
    }
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Bytes that are read ahead of their turn.
const AHEAD: usize = 16 << 10;
