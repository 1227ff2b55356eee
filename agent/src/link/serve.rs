//! One exchange at the agent: read the request's head, ask the origin, send the answer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use adit_shared::body::recv::{FromStream, declared_length};
use adit_shared::body::send::{self, SendError};
use adit_shared::chunks::SMALL;
use adit_shared::pump::{QuicSource, Watched};
use adit_shared::quic::{RecvStream, SendStream, WriteError};
use adit_shared::stall::{Account, Reader};
use adit_shared::stream::{PartError, Parts, RecvHalf, SendHalf};
use adit_shared::wire::code::Reset;
use adit_shared::wire::frame::{self, FrameError, HeadTooLarge, Part, Side};
use adit_shared::wire::head;
use bytes::BytesMut;
use futures_util::future::{AbortHandle, Abortable};
use http::{Response, StatusCode};
use http_body::Body as _;
use thiserror::Error;
use tokio::time::timeout;
use tracing::debug;

use super::Agent;
use super::progress::Progress;
use crate::config::Tunnel;
use crate::origin::upgrade::Answer;
use crate::origin::{Next, OriginBody, OriginError, Upstream};
use crate::status::{Event, Outcome, Request};

/// Serves one stream that the relay opened. Ends at once when the visitor is gone.
pub(super) async fn exchange(
    agent: &Agent,
    account: &Arc<Account>,
    send: SendStream,
    recv: RecvStream,
) {
    let mut send = SendHalf::new(send);
    let mut parts = Parts::new(RecvHalf::new(recv), Side::Request);
    let head = match timeout(HEAD, parts.next()).await {
        Ok(Ok(Some(Part::Request(head)))) => head,
        Ok(Ok(_)) => return send.reset(Reset::Protocol),
        Ok(Err(error)) => {
            debug!(side = "relay", %error, "no request head");
            return send.reset(match error {
                PartError::Frame(FrameError::HeadTooLarge(_)) => Reset::HeadTooLarge,
                PartError::Frame(_) => Reset::Protocol,
                PartError::Read(_) => Reset::Cancelled,
            });
        }
        Err(_) => {
            debug!(side = "relay", "the request head did not come in time");
            return send.reset(Reset::Protocol);
        }
    };
    let Some((tunnel, upstream)) = agent.tunnel_of(&head) else {
        return send.reset(Reset::Internal);
    };
    let mut record = Record::start(agent, tunnel, &head);
    let to = To {
        tunnel,
        upstream,
        account,
    };
    let gone = send.stopped();
    let result = tokio::select! {
        biased;
        result = answer(&mut send, parts, head, to, &mut record) => result,
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
    record.end(result.map_err(|error| error.outcome()));
}

/// Where a request goes.
#[derive(Clone, Copy)]
struct To<'a> {
    tunnel: &'a Tunnel,
    upstream: &'a Upstream,
    account: &'a Arc<Account>,
}

async fn answer(
    send: &mut SendHalf,
    parts: Parts,
    head: Box<head::Request>,
    to: To<'_>,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    if head.protocol.is_some() {
        // Rare, and large: not a part of every exchange.
        return Box::pin(switch(send, parts, head, to, record)).await;
    }
    let body = FromStream::new(parts, head.end, declared_length(&head.fields));
    let watched = if head.end {
        None
    } else {
        let (cut, registration) = AbortHandle::new_pair();
        let reader = to.account.watch(body.left(), &cut);
        reader.map(|reader| (reader, registration))
    };
    let Some((reader, registration)) = watched else {
        return ask(send, head, body, None, to, record).await;
    };
    let asked = Box::pin(ask(send, head, body, Some(reader), to, record));
    let asked = Abortable::new(asked, registration).await;
    asked.unwrap_or(Err(ServeError::Stalled))
}

/// Sends the request to the origin, and the response back.
async fn ask(
    send: &mut SendHalf,
    head: Box<head::Request>,
    body: FromStream,
    reader: Option<Reader>,
    to: To<'_>,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    let (body, progress) = Progress::of(body, reader);
    let response = {
        let begun = begin(send, head, body, to.upstream);
        let late = progress.stalled(to.tunnel.origin_timeout);
        tokio::pin!(begun, late);
        tokio::select! {
            biased;
            response = &mut begun => response?,
            () = &mut late => return Err(OriginError::Timeout.into()),
        }
    };
    respond(send, response, record).await
}

/// Sends the request to the origin, and its interim heads back, until the response has begun.
async fn begin(
    send: &mut SendHalf,
    head: Box<head::Request>,
    body: Progress,
    upstream: &Upstream,
) -> Result<Response<OriginBody>, ServeError> {
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
async fn respond(
    send: &mut SendHalf,
    response: Response<OriginBody>,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    let (parts, body) = response.into_parts();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(OriginError::Invalid("the origin switches protocols unasked").into());
    }
    record.status(parts.status);
    let head = head::Response {
        status: parts.status,
        fields: parts.headers,
        end: body.is_end_stream(),
    };
    // A small body goes behind the head.
    let small = body.size_hint().exact().filter(|len| *len < SMALL as u64);
    let mut bytes = BytesMut::with_capacity(512 + small.unwrap_or_default() as usize);
    frame::put_response(&mut bytes, &head)?;
    if head.end {
        send.write(&mut [bytes.freeze()]).await?;
        send.finish();
        return Ok(());
    }
    record.sent = send::send(bytes, body, send)
        .await
        .map_err(|error| match error {
            SendError::Body(error) => ServeError::Origin(error),
            SendError::Write(error) => error.into(),
            SendError::Trailers(error) => error.into(),
        })?;
    Ok(())
}

/// Serves a request that wants to switch protocols.
async fn switch(
    send: &mut SendHalf,
    parts: Parts,
    head: Box<head::Request>,
    to: To<'_>,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    let answer = timeout(to.tunnel.origin_timeout, to.upstream.upgrade(head)).await;
    let (fields, raw) = match answer.map_err(|_| OriginError::Timeout)?? {
        Answer::Response(response) => return respond(send, response, record).await,
        Answer::Switched(fields, raw) => (fields, raw),
    };
    record.status(StatusCode::SWITCHING_PROTOCOLS);
    let head = head::Response {
        status: StatusCode::SWITCHING_PROTOCOLS,
        fields,
        end: false,
    };
    let mut bytes = BytesMut::new();
    frame::put_response(&mut bytes, &head)?;
    send.write(&mut [bytes.freeze()]).await?;
    let (cut, registration) = AbortHandle::new_pair();
    let source = QuicSource::new(parts.into_raw());
    let source = Watched::new(source, to.account.watch(None, &cut));
    let carried = Abortable::new(raw.carry((source, send)), registration).await;
    let (received, sent) = carried
        .map_err(|_| ServeError::Stalled)?
        .map_err(ServeError::Raw)?;
    (record.received, record.sent) = (received, sent);
    Ok(())
}

impl Agent {
    fn tunnel_of(&self, head: &head::Request) -> Option<(&Tunnel, &Upstream)> {
        let tunnels = self.config.tunnels.iter().zip(&self.upstreams);
        tunnels
            .into_iter()
            .find(|(tunnel, _)| tunnel.id == head.tunnel)
    }
}

/// Why an exchange was not served to its end.
#[derive(Debug, Error)]
enum ServeError {
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
}

impl ServeError {
    fn code(&self) -> Reset {
        match self {
            Self::VisitorLeft | Self::Write(_) | Self::Raw(_) => Reset::Cancelled,
            Self::Origin(error) => error.code(),
            Self::Head(_) => Reset::OriginInvalid,
            Self::Stalled => Reset::OriginTimeout,
        }
    }

    /// Whose fault it is, for the log.
    fn side(&self) -> &'static str {
        match self {
            Self::VisitorLeft | Self::Origin(OriginError::Request) => "visitor",
            Self::Origin(_) | Self::Head(_) | Self::Stalled => "origin",
            Self::Write(_) | Self::Raw(_) => "relay",
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::VisitorLeft | Self::Write(_) | Self::Raw(_) => Outcome::VisitorLeft,
            Self::Origin(error) => Outcome::Failed(error.word()),
            Self::Head(_) => Outcome::Failed("origin-invalid"),
            Self::Stalled => Outcome::Failed("origin-timeout"),
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
struct Record<'a> {
    agent: &'a Agent,
    request: Option<Box<Request>>,
    since: Instant,
    received: u64,
    sent: u64,
}

impl<'a> Record<'a> {
    fn start(agent: &'a Agent, tunnel: &Tunnel, head: &head::Request) -> Self {
        let wanted = agent.status.wants_request();
        let request = wanted.then(|| {
            let id = head
                .fields
                .get("x-request-id")
                .and_then(|id| id.to_str().ok());
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
            })
        });
        Self {
            agent,
            request,
            since: Instant::now(),
            received: 0,
            sent: 0,
        }
    }

    fn status(&mut self, status: StatusCode) {
        if let Some(request) = &mut self.request {
            request.status = Some(status.as_u16());
        }
    }

    fn end(self, result: Result<(), Outcome>) {
        let Some(mut request) = self.request else {
            let failed = matches!(result, Err(Outcome::Failed(_)));
            return self.agent.status.count(failed);
        };
        request.took = self.since.elapsed();
        request.received = request.received.max(self.received);
        request.sent = self.sent;
        request.outcome = result.err().unwrap_or(Outcome::Done);
        self.agent.status.emit(Event::Request(*request));
    }
}

/// How long the relay may take to a whole request head.
const HEAD: Duration = Duration::from_secs(10);
/// How long the end of an exchange may take to arrive while the agent stops.
const ARRIVAL: Duration = Duration::from_secs(1);
