//! Follows one exchange while it passes. Nothing here waits, and nothing is copied but what is small.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use adit_shared::pump::Source;
use adit_shared::webhook::Seen;
use adit_shared::wire::fields::Fields;
use adit_shared::wire::head;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::Capture;
use super::exchange::{Answer, End, Exchange, State};
use super::kept::Kept;
use super::messages::{Messages, events, websocket};

/// Whose bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The visitor's.
    Visitor,
    /// The origin's.
    Origin,
}

/// What writes into one exchange. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tap {
    capture: Capture,
    exchange: Arc<Exchange>,
}

impl Tap {
    pub(super) fn new(capture: Capture, exchange: Arc<Exchange>) -> Self {
        Self { capture, exchange }
    }

    /// The exchange that it writes into.
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// The response begins.
    pub fn response(&self, head: &head::Response) {
        let fields = head.fields.detached();
        let bytes = fields.encoded_len();
        let fields = if self.reserve(bytes) {
            fields
        } else {
            Fields::new()
        };
        let answer = Answer {
            status: head.status.as_u16(),
            fields,
            after: self.exchange.elapsed(),
        };
        let mut state = self.exchange.state();
        if is_events(&head.fields) {
            state.messages = Some(Box::new(Messages::events()));
        }
        state.response = Some(answer);
        drop(state);
        self.capture.changed(&self.exchange);
    }

    /// The response switches protocols.
    pub fn switched(&self, head: &head::Response) {
        self.response(head);
        let websocket = self.exchange.head.protocol.as_deref();
        if websocket.is_some_and(|name| name.eq_ignore_ascii_case("websocket")) {
            self.exchange.state().messages = Some(Box::new(Messages::websocket()));
        }
    }

    /// It is a webhook.
    pub fn webhook(&self, seen: &Seen) {
        self.exchange.state().webhook = Some(seen.into());
        self.capture.changed(&self.exchange);
    }

    fn data(&self, side: Side, data: &Bytes) {
        let limit = self.capture.limits().body;
        // Room is made before the exchange is locked: the exchanges that go for it may be dropped here.
        let wanted = body_of(&mut self.exchange.state(), side).wants(data, limit);
        let kept = if wanted > 0 && self.reserve(wanted) {
            wanted
        } else {
            0
        };
        body_of(&mut self.exchange.state(), side).add(data, kept);
    }

    fn trailers(&self, side: Side, trailers: &http::HeaderMap) {
        let Ok(fields) = Fields::try_from(trailers) else {
            return;
        };
        if !self.reserve(fields.encoded_len()) {
            return;
        }
        let mut state = self.exchange.state();
        match side {
            Side::Visitor => state.request_trailers = fields,
            Side::Origin => state.trailers = fields,
        }
    }

    fn body_ended(&self, side: Side) {
        if side == Side::Visitor {
            let after = self.exchange.elapsed();
            self.exchange.state().request_took.get_or_insert(after);
        }
    }

    fn message(&self, message: super::messages::Message) {
        let at = self.exchange.elapsed();
        let bytes = message.held();
        let is_kept = self.reserve(bytes);
        let freed = {
            let mut state = self.exchange.state();
            let limit = self.capture.limits().body;
            let Some(messages) = &mut state.messages else {
                return;
            };
            messages.add(message, at, is_kept, limit)
        };
        self.exchange.release(freed);
    }

    fn reserve(&self, bytes: usize) -> bool {
        let is_free = self.capture.reserve(bytes);
        if is_free {
            self.exchange.hold(bytes);
        }
        is_free
    }

    fn end(&self, outcome: Cow<'static, str>) {
        let mut state = self.exchange.state();
        if state.end.is_some() {
            return;
        }
        state.sent.settle();
        state.body.settle();
        let after = self.exchange.elapsed();
        state.end = Some(End { outcome, after });
        drop(state);
        self.exchange.set_ended();
        self.capture.changed(&self.exchange);
    }
}

fn body_of(state: &mut State, side: Side) -> &mut Kept {
    match side {
        Side::Visitor => &mut state.sent,
        Side::Origin => &mut state.body,
    }
}

fn is_events(fields: &Fields) -> bool {
    let kind = fields.get("content-type").unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// An exchange that has not ended. Dropped before it was told how, it was cut.
#[derive(Debug)]
pub struct Open(Tap);

impl Open {
    pub(super) fn new(tap: Tap) -> Self {
        Self(tap)
    }

    /// What writes into it.
    pub fn tap(&self) -> &Tap {
        &self.0
    }

    /// It ended: `done`, `visitor-left`, or the code of a failure.
    pub fn end(&self, outcome: &'static str) {
        self.0.end(Cow::Borrowed(outcome));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.end(Cow::Borrowed("cut"));
    }
}

/// A body that is followed.
#[derive(Debug)]
pub struct Tapped<B> {
    body: B,
    tap: Tap,
    side: Side,
    events: Option<events::Scanner>,
}

impl<B: Body> Tapped<B> {
    /// Follows `body`, which comes from `side`.
    pub fn new(body: B, tap: Tap, side: Side) -> Self {
        let has_events = side == Side::Origin && tap.exchange.state().messages.is_some();
        if body.is_end_stream() {
            tap.body_ended(side);
        }
        Self {
            body,
            tap,
            side,
            events: has_events.then(events::Scanner::default),
        }
    }
}

impl<B> Body for Tapped<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.tap.data(this.side, data);
                    if let Some(events) = &mut this.events {
                        events.scan(data, |message| this.tap.message(message));
                    }
                } else if let Some(trailers) = frame.trailers_ref() {
                    this.tap.trailers(this.side, trailers);
                }
                if this.body.is_end_stream() {
                    this.tap.body_ended(this.side);
                }
            }
            Poll::Ready(None) => this.tap.body_ended(this.side),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that is followed, or not.
#[derive(Debug)]
pub enum Maybe<B> {
    /// Nobody looks on.
    Plain(B),
    /// Somebody does.
    Tapped(Box<Tapped<B>>),
}

impl<B: Body> Maybe<B> {
    /// Follows `body`, which comes from `side`, if there is a tap.
    pub fn new(body: B, tap: Option<&Tap>, side: Side) -> Self {
        match tap {
            None => Self::Plain(body),
            Some(tap) => Self::Tapped(Box::new(Tapped::new(body, tap.clone(), side))),
        }
    }

    /// The body itself.
    pub fn body(&self) -> &B {
        match self {
            Self::Plain(body) => body,
            Self::Tapped(tapped) => &tapped.body,
        }
    }
}

impl<B> Body for Maybe<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut *self {
            Self::Plain(body) => Pin::new(body).poll_frame(cx),
            Self::Tapped(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

/// One direction of a switched connection, followed or not.
#[derive(Debug)]
pub struct TappedSource<S> {
    source: S,
    tap: Option<(Tap, Side, Option<websocket::Scanner>)>,
}

impl<S> TappedSource<S> {
    /// Follows `source`, which comes from `side`, if there is a tap.
    pub fn new(source: S, tap: Option<&Tap>, side: Side) -> Self {
        let tap = tap.map(|tap| {
            let is_websocket = tap.exchange.state().messages.is_some();
            let scanner = is_websocket.then(|| websocket::Scanner::new(side));
            (tap.clone(), side, scanner)
        });
        Self { source, tap }
    }
}

impl<S: Source> Source for TappedSource<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, to: &mut Vec<Bytes>) -> Poll<io::Result<()>> {
        let before = to.len();
        let read = self.source.poll_read(cx, to);
        let Some((tap, side, scanner)) = &mut self.tap else {
            return read;
        };
        for data in &to[before..] {
            match scanner {
                Some(scanner) => {
                    let len = data.len() as u64;
                    body_of(&mut tap.exchange.state(), *side).skip(len);
                    scanner.scan(data, |message| tap.message(message));
                }
                None => tap.data(*side, data),
            }
        }
        read
    }
}
