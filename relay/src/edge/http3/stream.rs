//! One request of a connection, from its first byte to the last of its response.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use adit_shared::hop::Options;
use adit_shared::pace::Pace;
use adit_shared::pump::pump;
use adit_shared::quic::{RecvStream, SendStream};
use adit_shared::stream::SendHalf;
use adit_shared::wire::arrival::Version;
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_VERSION};
use http::{Method, StatusCode};
use thiserror::Error;
use tokio::time::timeout;

use super::super::http1::BadRequest;
use super::super::serve::{Asker as _, Reply, Told, tell};
use super::code::{Code, Violation};
use super::frame::Piece;
use super::incoming::Incoming;
use super::inflow::{Fault, Inflow};
use super::link::{Fate, Link};
use super::outgoing::{Cut, Outgoing};
use super::qpack::{self, BadSection, Section};
use super::request::{BadHead, Head};
use super::switch::{FromVisitor, ToVisitor};
use crate::forward::{Inbound, Raw};

/// Serves one stream. Dropped, the stream is reset.
pub(super) async fn serve(link: &Arc<Link>, send: SendStream, recv: RecvStream) {
    let mut send = SendHalf::of_protocol(send, Code::InternalError.number());
    let mut inflow = Some(Inflow::new(recv, link));
    let mut gone = pin!(send.stopped());
    let mut outgoing = Outgoing {
        send: &mut send,
        gone: gone.as_mut(),
        link,
        pace: Pace::new(link.service.patience.download),
    };
    let fate = Fate::default();
    let ended = exchange(&mut inflow, &mut outgoing, &fate).await;
    match ended {
        Ok(End::Whole) => {}
        Ok(End::Switch(switched)) => {
            let (inflow, raw) = *switched;
            let left = (FromVisitor::new(inflow, link), ToVisitor::new(send));
            return raw.carry(|right| pump(left, right)).await;
        }
        Err(Broken::Answer(error)) => {
            tracing::debug!(side = "visitor", %error, "request refused");
            let Reply { head, body } = link.service.refuse(&error);
            if outgoing.send(&head, body, false).await.is_err() {
                return;
            }
        }
        Err(Broken::Stream(code, error)) => {
            tracing::debug!(side = "visitor", error, "request refused");
            if let Some(inflow) = &mut inflow {
                inflow.stop(code);
            }
            // The origin's fault is not the visitor's.
            if code != Code::InternalError {
                link.given_up(&fate, code);
            }
            return send.reset_as(code.number());
        }
        Err(Broken::Connection(violation)) => return link.close(&violation),
        Err(Broken::Cut(error)) => {
            tracing::debug!(%error, "response not sent to its end");
            match error {
                Cut::Left | Cut::Write(_) => {
                    send.reset_as(Code::RequestCancelled.number());
                    link.given_up(&fate, Code::RequestCancelled);
                }
                Cut::Slow => link.service.metrics.limited("download-timeout"),
                Cut::Body(_) | Cut::Stalled => {}
            }
            return;
        }
    }
    drop(inflow);
    // The stream counts until the visitor has all of it: a connection that drains is not closed before.
    gone.await;
}

/// How a request ended well.
enum End {
    /// With a response.
    Whole,
    /// Raw bytes follow.
    Switch(Box<(Inflow, Raw)>),
}

/// How it ended otherwise.
#[derive(Debug, Error)]
enum Broken {
    /// It is answered.
    #[error("{0}")]
    Answer(BadRequest),
    /// Its stream is reset.
    #[error("{1}")]
    Stream(Code, &'static str),
    /// Its connection is closed.
    #[error(transparent)]
    Connection(#[from] Violation),
    /// Its response did not arrive.
    #[error(transparent)]
    Cut(#[from] Cut),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Violation(violation) => Self::Connection(violation),
            Fault::Left(_) => Self::Cut(Cut::Left),
        }
    }
}

impl From<BadHead> for Broken {
    fn from(bad: BadHead) -> Self {
        match bad {
            BadHead::Malformed(what) => Self::Stream(Code::MessageError, what),
            BadHead::Refused(error) => Self::Answer(error),
        }
    }
}

/// Reads a request, forwards it, and sends what comes back.
async fn exchange<G: Future + Send>(
    from: &mut Option<Inflow>,
    outgoing: &mut Outgoing<'_, G>,
    fate: &Fate,
) -> Result<End, Broken> {
    let link = outgoing.link;
    let Some(inflow) = from else {
        return Ok(End::Whole);
    };
    let reading = async {
        let section = read(inflow, link).await?;
        let is_end = ends(inflow, Head::of(&section)?).await?;
        Ok::<_, Broken>((section, is_end))
    };
    let read = outgoing.unless_gone(reading).await;
    let (section, is_end) = read.ok_or(Cut::Left)??;
    let head = Head::of(&section)?;
    if is_end && head.length.is_some_and(|length| length > 0) {
        let what = "a request without a body declares one";
        return Err(Broken::Stream(Code::MessageError, what));
    }
    let is_head = head.method == Method::HEAD;
    let (body, raw) = match (head.protocol.is_some(), from.take()) {
        (true, inflow) => (Incoming::none(link), inflow),
        (false, Some(inflow)) => (Incoming::new(inflow, head.length, link, fate), None),
        (false, None) => (Incoming::none(link), None),
    };
    let form = head.form;
    let inbound = Inbound {
        method: head.method.clone(),
        target: head.target.clone(),
        authority: head.authority,
        is_http1: false,
        version: Version::Http3,
        // HTTP/3 has no such field (RFC 9114 section 4.2).
        options: Options::default(),
        fields: head.fields(),
        protocol: head.protocol.clone(),
        expects: head.expects,
        end: is_end,
        window: link.connection.window(),
    };
    let prepared = link.service.forward.prepare(&link.visitor, inbound);
    drop(head);
    drop(section);
    let told = tell(&link.service, prepared, form, body, outgoing).await;
    let told = told.ok_or(Cut::Left)?;
    // What was answered to a request whose body is malformed is no answer to it.
    if let Some(code) = fate.get().filter(|code| **code != Code::RequestCancelled) {
        return Err(Broken::Stream(*code, "the body is not as it should be"));
    }
    match (told, raw) {
        (Told::Response(Reply { head, body }), _) => {
            outgoing.send(&head, body, is_head).await?;
            Ok(End::Whole)
        }
        (Told::Switch(head, switched), Some(inflow)) => {
            // Success is 200, and there is no accept key (RFC 8441 section 5).
            let keep = |name: &[u8]| {
                name != SEC_WEBSOCKET_ACCEPT.as_str().as_bytes()
                    && name != SEC_WEBSOCKET_VERSION.as_str().as_bytes()
            };
            outgoing.send_head(StatusCode::OK, &head, keep).await?;
            Ok(End::Switch(Box::new((inflow, switched))))
        }
        (Told::Switch(..), None) => {
            let what = "the origin switches protocols, which nobody asked for";
            Err(Broken::Stream(Code::InternalError, what))
        }
    }
}

/// Reads the field section of a request.
async fn read(inflow: &mut Inflow, link: &Link) -> Result<Section, Broken> {
    let first = timeout(link.service.patience.head, inflow.piece()).await;
    let block = match first.map_err(|_| Broken::Answer(BadRequest::Late))?? {
        Some(Piece::Headers(block)) => block,
        Some(Piece::TooLarge) => return Err(Broken::Answer(BadRequest::TooLarge)),
        Some(_) => {
            let what = "a request does not begin with HEADERS";
            return Err(Violation::new(Code::FrameUnexpected, what).into());
        }
        None => {
            let what = "a request ended before its HEADERS";
            return Err(Broken::Stream(Code::RequestIncomplete, what));
        }
    };
    qpack::decode(&block, link.limit).map_err(|error| match error {
        BadSection::TooLarge => Broken::Answer(BadRequest::TooLarge),
        BadSection::TooMany => Broken::Answer(BadRequest::TooMany),
        BadSection::Malformed(error) => {
            Violation::new(Code::QpackDecompressionFailed, error.0).into()
        }
    })
}

/// Whether there is no body. The end of the stream may come a moment after the head, and only few requests of
/// some methods have a body: for those it is waited, or their origins would be told of a body that never is.
async fn ends(inflow: &mut Inflow, head: Head<'_>) -> Result<bool, Fault> {
    let is_usual = matches!(
        head.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE | Method::TRACE
    );
    if is_usual && head.protocol.is_none() && head.length.is_none() {
        let end = timeout(END, poll_fn(|cx| inflow.poll_is_end(cx))).await;
        return end.unwrap_or(Ok(false));
    }
    poll_fn(|cx| match inflow.poll_is_end(cx) {
        Poll::Ready(end) => Poll::Ready(end),
        Poll::Pending => Poll::Ready(Ok(false)),
    })
    .await
}

/// How long the end of a stream is waited for behind a head.
const END: Duration = Duration::from_millis(500);
