//! One exchange at the agent: read the request's head, ask the origin, send the answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use adit_shared::body::recv::{BodyError, FromStream, declared_length};
use adit_shared::body::send::{self, SendError};
use adit_shared::chunks::SMALL;
use adit_shared::pump::{QuicSource, Watched};
use adit_shared::quic::tuning::IDLE;
use adit_shared::quic::{Connection, RecvStream, SendStream, WriteError};
use adit_shared::stall::Account;
use adit_shared::stream::{PartError, Parts, RecvHalf, SendHalf};
use adit_shared::webhook::Seen;
use adit_shared::wire::code::Reset;
use adit_shared::wire::fields::HeadTooLarge;
use adit_shared::wire::frame::{self, FrameError, Part, Side};
use adit_shared::wire::head;
use bytes::{Bytes, BytesMut};
use futures_util::future::{AbortHandle, Abortable, FutureExt as _};
use http::StatusCode;
use http_body::Body;
use thiserror::Error;
use tokio::time::timeout;
use tracing::debug;

use super::Agent;
use super::hook::{self, Concern};
use super::progress::{Progress, Taken, stalled};
use super::simulate::{Fate, Noted, Twin};
use crate::capture::tap::{Tapped, TappedSource};
use crate::capture::{Open, Side as Of, Tap};
use crate::config::Tunnel;
use crate::origin::upgrade::Answer;
use crate::origin::{Next, OriginError, Response, Upstream};
use crate::status::{Event, Outcome, Request};
use crate::webhook::Desk;

/// Serves one stream that the relay opened. Ends at once when the visitor is gone.
pub(super) async fn exchange(
    agent: &Agent,
    account: &Arc<Account>,
    send: SendStream,
    recv: RecvStream,
) -> Ended {
    let mut send = SendHalf::new(send);
    let mut parts = Parts::new(RecvHalf::new(recv), Side::Request);
    // A head that is small came together with its stream, and needs no timer.
    let head = match parts.next().now_or_never() {
        Some(head) => Ok(head),
        None => timeout(HEAD, parts.next()).await,
    };
    let head = match head {
        Ok(Ok(Some(Part::Request(head)))) => head,
        Ok(Ok(_)) => {
            send.reset(Reset::Protocol);
            return Ended::Failed;
        }
        Ok(Err(error)) => {
            debug!(side = "relay", %error, "no request head");
            send.reset(match error {
                PartError::Frame(FrameError::HeadTooLarge(_)) => Reset::HeadTooLarge,
                PartError::Frame(_) => Reset::Protocol,
                PartError::Read(_) => Reset::Cancelled,
            });
            return Ended::Failed;
        }
        Err(_) => {
            debug!(side = "relay", "the request head did not come in time");
            send.reset(Reset::Protocol);
            return Ended::Late;
        }
    };
    let Some((tunnel, upstream)) = agent.tunnel_of(&head) else {
        send.reset(Reset::Internal);
        return Ended::Failed;
    };
    let mut record = Record::start(agent, tunnel, &head);
    if let Some(simulator) = &agent.simulator {
        record.fate = simulator.next();
    }
    let to = To {
        tunnel,
        upstream,
        account,
        desk: &agent.desk,
    };
    // What comes behind the head is boxed, so that the future of a request without a body is small: it is
    // moved before it runs.
    let rest = (!head.end || head.protocol.is_some()).then(|| Box::new(parts));
    let gone = send.stopped();
    let result = tokio::select! {
        biased;
        result = served(&mut send, rest, head, to, &mut record) => result,
        _ = gone => Err(ServeError::VisitorLeft),
    };
    if result.is_ok() && agent.tasks.is_stopped() {
        // The connection is closed when the last exchange has ended: not before the relay has it.
        drop(timeout(ARRIVAL, send.stopped()).await);
    }
    if let Err(error) = &result {
        debug!(side = error.side(), error = %chain(error), "exchange not served to its end");
        send.reset(error.code());
    }
    let ended = if result.is_ok() {
        Ended::Whole
    } else {
        Ended::Failed
    };
    let twin = record.fate.twin.take();
    record.end(result.map_err(|error| error.outcome()));
    if let Some(twin) = twin {
        twin.send(upstream).await;
    }
    ended
}

/// As [`answer`], after a wait if one is simulated.
async fn served(
    send: &mut SendHalf,
    rest: Option<Box<Parts>>,
    head: Box<head::Request>,
    to: To<'_>,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    if !record.fate.wait.is_zero() {
        tokio::time::sleep(record.fate.wait).await;
    }
    answer(send, rest, head, to, record).await
}

/// How an exchange ended, as far as the tunnel is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// The relay has, or will have, all of the answer.
    Whole,
    /// The rest of the head never came.
    Late,
    /// Somebody gave it up.
    Failed,
}

impl Ended {
    /// Whether it was lost on the way to the relay, which was that of `connection`.
    pub(super) fn is_cut(self, connection: &Connection) -> bool {
        match self {
            Self::Whole => false,
            Self::Late => true,
            Self::Failed => connection.close_reason().is_some(),
        }
    }
}

/// Tells the relay that nobody begins with what it has just opened: it may send that elsewhere.
pub(super) fn refuse(send: SendStream, recv: RecvStream) {
    RecvHalf::new(recv).stop(Reset::Overload);
    SendHalf::new(send).reset(Reset::Overload);
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub(super) struct To<'a> {
    pub(super) tunnel: &'a Tunnel,
    pub(super) upstream: &'a Upstream,
    pub(super) desk: &'a Desk,
    account: &'a Arc<Account>,
}

async fn answer(
    send: &mut SendHalf,
    rest: Option<Box<Parts>>,
    head: Box<head::Request>,
    to: To<'_>,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    if let Some(concern) = Concern::with(&to.tunnel.webhooks, &head, rest.is_some()) {
        return Box::pin(hook::serve(send, rest, head, to, record, concern)).await;
    }
    let Some(parts) = rest else {
        return ask(send, head, None, to, record).await;
    };
    if head.protocol.is_some() {
        return Box::pin(switch(send, *parts, head, to, record)).await;
    }
    Box::pin(ask_with_body(send, parts, head, to, record)).await
}

/// As [`ask`], for a request with a body: an origin that takes no more of it is given up when what it holds up
/// is needed for others.
pub(super) async fn ask_with_body(
    send: &mut SendHalf,
    parts: Box<Parts>,
    head: Box<head::Request>,
    to: To<'_>,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    let body = FromStream::new(parts, false, declared_length(&head.fields));
    let (cut, registration) = AbortHandle::new_pair();
    let reader = to.account.watch(body.left(), &cut);
    let body = Progress::of(body, reader, record.tap());
    let asked = ask(send, head, Some(body), to, record);
    let asked = Abortable::new(pin!(asked), registration).await;
    asked.unwrap_or(Err(ServeError::Stalled))
}

/// Sends the request to the origin, and the response back.
async fn ask(
    send: &mut SendHalf,
    head: Box<head::Request>,
    body: Option<(Box<Progress>, Taken)>,
    to: To<'_>,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    let (body, taken) = body.unzip();
    let response = {
        let begun = begin(send, head, body, to.upstream, record.twin());
        let late = stalled(taken, to.tunnel.origin_timeout);
        tokio::pin!(begun, late);
        tokio::select! {
            biased;
            response = &mut begun => response?,
            () = &mut late => return Err(OriginError::Timeout.into()),
        }
    };
    respond(send, response.head, response.body, record).await
}

/// Sends the request to the origin, and its interim heads back, until the response has begun.
pub(super) async fn begin<B>(
    send: &mut SendHalf,
    head: Box<head::Request>,
    body: Option<B>,
    upstream: &Upstream,
    twin: Option<Twin>,
) -> Result<Response, ServeError>
where
    B: Body<Data = Bytes, Error = BodyError> + Send + Unpin + 'static,
{
    if let Some(twin) = &twin {
        twin.begin(&head, body.is_some());
    }
    let body = body.map(|body| Noted { body, twin });
    let mut pending = upstream.request(head, body).await?;
    loop {
        match pending.next().await? {
            Next::Response(response) => return Ok(response),
            Next::Interim(head) => {
                let mut bytes = BytesMut::new();
                frame::put_response(&mut bytes, &head)?;
                send.write(&mut [bytes.freeze()]).await?;
            }
        }
    }
}

/// Sends a response that is not a switch.
pub(super) async fn respond(
    send: &mut SendHalf,
    head: head::Response,
    body: impl Body<Data = Bytes, Error = OriginError>,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(OriginError::Invalid("the origin switches protocols unasked").into());
    }
    if record.fate.loses_response {
        return Err(ServeError::Simulated);
    }
    record.status(head.status);
    if let Some(tap) = record.tap() {
        tap.response(&head);
    }
    // A small body goes behind the head.
    let small = body.size_hint().exact().filter(|len| *len < SMALL as u64);
    let mut bytes = BytesMut::with_capacity(512 + small.unwrap_or_default() as usize);
    frame::put_response(&mut bytes, &head)?;
    if head.end {
        send.write(&mut [bytes.freeze()]).await?;
        send.finish();
        return Ok(());
    }
    let sent = match record.tap() {
        None => send::send(bytes, pin!(body), send).await,
        Some(tap) => {
            let body = Tapped::new(Box::pin(body), tap.clone(), Of::Origin);
            Box::pin(send::send(bytes, pin!(body), send)).await
        }
    };
    record.sent = sent.map_err(|error| match error {
        SendError::Body(error) => ServeError::Origin(error),
        SendError::Write(error) => error.into(),
        SendError::Trailers(error) => error.into(),
    })?;
    Ok(())
}

/// Serves a request that wants to switch protocols.
pub(super) async fn switch(
    send: &mut SendHalf,
    parts: Parts,
    head: Box<head::Request>,
    to: To<'_>,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    let answer = timeout(to.tunnel.origin_timeout, to.upstream.upgrade(head)).await;
    let (fields, raw) = match answer.map_err(|_| OriginError::Timeout)?? {
        Answer::Response(Response { head, body }) => {
            return respond(send, head, body, record).await;
        }
        Answer::Switched(fields, raw) => (fields, raw),
    };
    record.status(StatusCode::SWITCHING_PROTOCOLS);
    let head = head::Response {
        status: StatusCode::SWITCHING_PROTOCOLS,
        fields,
        end: false,
    };
    if let Some(tap) = record.tap() {
        tap.switched(&head);
    }
    let mut bytes = BytesMut::new();
    frame::put_response(&mut bytes, &head)?;
    send.write(&mut [bytes.freeze()]).await?;
    let (cut, registration) = AbortHandle::new_pair();
    let source = QuicSource::new(parts.into_raw());
    let source = Watched::new(source, to.account.watch(None, &cut));
    let source = TappedSource::new(source, record.tap(), Of::Visitor);
    let carried = raw.carry((source, send), record.tap());
    let carried = Abortable::new(carried, registration).await;
    let (received, sent) = carried
        .map_err(|_| ServeError::Stalled)?
        .map_err(ServeError::Raw)?;
    (record.received, record.sent) = (received, sent);
    Ok(())
}

impl Agent {
    fn tunnel_of(&self, head: &head::Request) -> Option<(&Tunnel, &Upstream)> {
        let tunnels = self.config.tunnels.iter().zip(self.upstreams.iter());
        tunnels
            .into_iter()
            .find(|(tunnel, _)| tunnel.id == head.tunnel)
    }
}

/// Why an exchange was not served to its end.
#[derive(Debug, Error)]
pub(super) enum ServeError {
    #[error("the visitor left")]
    VisitorLeft,
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error("the response cannot be sent")]
    Write(#[from] WriteError),
    #[error("the origin's head is too large for the tunnel")]
    Head(#[from] HeadTooLarge),
    #[error("the origin stopped reading, and held up too much")]
    Stalled,
    #[error("the switched connection was cut")]
    Raw(#[source] std::io::Error),
    #[error("the response is lost, as --simulate wants it")]
    Simulated,
}

impl ServeError {
    fn code(&self) -> Reset {
        match self {
            Self::VisitorLeft | Self::Write(_) | Self::Raw(_) => Reset::Cancelled,
            Self::Origin(error) => error.code(),
            Self::Head(_) => Reset::OriginInvalid,
            Self::Stalled => Reset::OriginTimeout,
            Self::Simulated => Reset::OriginReset,
        }
    }

    /// Whose fault it is, for the log.
    fn side(&self) -> &'static str {
        match self {
            Self::VisitorLeft | Self::Origin(OriginError::Request) => "visitor",
            Self::Origin(_) | Self::Head(_) | Self::Stalled => "origin",
            Self::Write(_) | Self::Raw(_) => "relay",
            Self::Simulated => "agent",
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::VisitorLeft | Self::Write(_) | Self::Raw(_) => Outcome::VisitorLeft,
            Self::Origin(error) => Outcome::Failed(error.word()),
            Self::Head(_) => Outcome::Failed("origin-invalid"),
            Self::Stalled => Outcome::Failed("origin-timeout"),
            Self::Simulated => Outcome::Failed("simulated"),
        }
    }
}

/// An error with all its causes, for one log line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What is told of one request, if anybody listens.
pub(super) struct Record<'a> {
    agent: &'a Agent,
    request: Option<Box<Request>>,
    /// What is kept of the whole exchange.
    open: Option<Open>,
    since: Instant,
    received: u64,
    sent: u64,
    /// The code of the error that the agent answers itself.
    answered: Option<&'static str>,
    /// What is simulated of it.
    fate: Fate,
}

impl<'a> Record<'a> {
    fn start(agent: &'a Agent, tunnel: &Tunnel, head: &head::Request) -> Self {
        let since = Instant::now();
        let wanted = agent.status.wants_request(since);
        let request = wanted.then(|| {
            let id = head.fields.get("x-request-id");
            let id = id.and_then(|id| str::from_utf8(id).ok());
            Box::new(Request {
                id: id.unwrap_or_default().to_owned(),
                tunnel: tunnel.label.clone(),
                at: SystemTime::now(),
                method: head.method.clone(),
                path: head.target.path().to_owned(),
                status: None,
                took: Duration::ZERO,
                received: declared_length(&head.fields).unwrap_or_default(),
                sent: 0,
                outcome: Outcome::Done,
                webhook: None,
            })
        });
        let capture = agent.status.capture();
        let open =
            capture.and_then(|capture| capture.begin(head, &tunnel.label, || agent.status.rtt()));
        Self {
            agent,
            request,
            open,
            since,
            received: 0,
            sent: 0,
            answered: None,
            fate: Fate::default(),
        }
    }

    /// Where it is noted for the origin to get it twice, if it does.
    pub(super) fn twin(&self) -> Option<Twin> {
        self.fate.twin.clone()
    }

    pub(super) fn tap(&self) -> Option<&Tap> {
        self.open.as_ref().map(Open::tap)
    }

    /// What is known of it as a webhook.
    pub(super) fn webhook(&mut self, seen: Option<Seen>) {
        if let (Some(tap), Some(seen)) = (self.tap(), &seen) {
            tap.webhook(seen);
        }
        if let Some(request) = &mut self.request {
            request.webhook = seen;
        }
    }

    /// The response is an error of the agent's own.
    pub(super) fn answered(&mut self, code: &'static str) {
        self.answered = Some(code);
    }

    fn status(&mut self, status: StatusCode) {
        if let Some(request) = &mut self.request {
            request.status = Some(status.as_u16());
        }
    }

    fn end(self, result: Result<(), Outcome>) {
        let whole = self.answered.map_or(Outcome::Done, Outcome::Answered);
        let outcome = result.err().unwrap_or(whole);
        if let Some(open) = &self.open {
            open.end(outcome.word());
        }
        let Some(mut request) = self.request else {
            let failed = matches!(outcome, Outcome::Failed(_));
            return self.agent.status.count(failed);
        };
        request.took = self.since.elapsed();
        request.received = request.received.max(self.received);
        request.sent = self.sent;
        request.outcome = outcome;
        self.agent.status.emit(Event::Request(*request));
    }
}

/// How long the relay may take to a whole request head: as long as a silent way is taken for alive. A later
/// stream opens those before it, so a cut may have swallowed the head, which comes when the way is well again.
const HEAD: Duration = IDLE;
/// How long the end of an exchange may take to arrive while the agent stops.
const ARRIVAL: Duration = Duration::from_secs(1);
