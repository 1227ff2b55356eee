//! A request that is on its way: its heads as they come back, then its response or the raw bytes of
//! a switch.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use adit_shared::name::Host;
use adit_shared::pump::{QuicSource, Watched};
use adit_shared::stall::{Over, Reader};
use adit_shared::stream::SendHalf;
use adit_shared::wire::code::Reset;
use adit_shared::wire::frame::{FrameError, is_interim};
use adit_shared::wire::head;
use adit_shared::wire::varint::Malformed;
use futures_util::future::{AbortHandle, Abortable};
use http::{Method, StatusCode};
use tokio::sync::oneshot;

use super::again::Again;
use super::body::{Access, ResponseBody};
use super::inbox::Keep;
use super::paced::Fault;
use super::upload::Upload;
use super::{Failure, ForwardError, cookies, headers};
use crate::exchange::{self, ExchangeError, Slot};
use crate::metrics::Outcome;

/// A request that was sent, or is being sent.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) response: exchange::Response,
    pub(super) upload: Option<Upload>,
    /// Kept for raw bytes, if the origin switches protocols.
    pub(super) send: Option<SendHalf>,
    pub(super) method: Method,
    /// While it may be sent once more.
    pub(super) again: Option<Box<Again>>,
    /// Tells that something is wrong with the request's body.
    pub(super) fault: Option<oneshot::Receiver<Fault>>,
}

/// A request that is on its way.
#[derive(Debug)]
pub struct Pending {
    begun: Begun,
    access: Box<Access>,
    /// What is kept of it unless it is served.
    pub(super) keep: Option<Box<Keep>>,
    /// Interim responses so far.
    interim: u8,
}

/// What comes back next.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is made and taken apart once per head"
)]
pub enum Next {
    /// An interim response; more comes.
    Interim(Box<head::Response>, Pending),
    /// The response.
    Response(Box<head::Response>, ResponseBody),
    /// The origin switches protocols: raw bytes both ways.
    Switch(Box<head::Response>, Raw),
}

/// The agent's end of a switched exchange.
#[derive(Debug)]
pub struct Raw {
    /// From the origin.
    pub source: QuicSource,
    /// To the origin.
    pub sink: SendHalf,
    /// Held while it lasts.
    pub slot: Slot,
    /// Logs the end.
    pub access: Box<Access>,
}

impl Raw {
    /// Carries raw bytes between the agent and the visitor with `pump` until both directions have
    /// ended. Dropping it cuts both.
    pub async fn carry<F>(mut self, pump: impl FnOnce((Watched<QuicSource>, SendHalf)) -> F)
    where
        F: Future<Output = io::Result<(u64, u64)>>,
    {
        let (cut, registration) = AbortHandle::new_pair();
        let reader = self.slot.watch(None, &cut);
        let witness = reader.as_ref().map(Reader::witness);
        let source = Watched::new(self.source, reader);
        match Abortable::new(pump((source, self.sink)), registration).await {
            Ok(Ok((_, sent))) => {
                self.access.sent = sent;
                self.access.outcome = Outcome::Done;
            }
            Ok(Err(error)) => tracing::debug!(%error, "switched exchange was cut"),
            Err(_) => {
                let over = witness.and_then(|witness| witness.is_over());
                self.access.over_budget(over.unwrap_or(Over::All));
            }
        }
        drop(self.slot);
    }
}

impl Pending {
    pub(super) fn new(begun: Begun, access: Box<Access>) -> Self {
        Self {
            begun,
            access,
            keep: None,
            interim: 0,
        }
    }

    /// Waits for the next head. Safe to drop.
    pub(super) async fn head(&mut self) -> Result<Box<head::Response>, ForwardError> {
        let Begun {
            response, fault, ..
        } = &mut self.begun;
        let mut head = pin!(response.head());
        poll_fn(|cx| {
            if let Some(told) = fault
                && let Poll::Ready(told) = Pin::new(told).poll(cx)
            {
                *fault = None;
                // Without a word its body was whole.
                if let Ok(wrong) = told {
                    return Poll::Ready(Err(wrong.into()));
                }
            }
            head.as_mut().poll(cx).map_err(ForwardError::from)
        })
        .await
    }

    /// What it takes to send the request once more; it is given once.
    pub(super) fn take_again(&mut self) -> Option<Box<Again>> {
        self.begun.again.take()
    }

    /// The request was sent once more.
    pub(super) fn replace(&mut self, begun: Begun) {
        let fault = self.begun.fault.take();
        self.begun = begun;
        self.begun.fault = self.begun.fault.take().or(fault);
    }

    /// What the visitor is told while the request goes on.
    pub(super) fn early(&mut self, error: ForwardError) -> Box<Failure> {
        Box::new(self.access.fail(error))
    }

    /// The response, whose head was read, and the method that it answers.
    pub(super) fn into_rest(self) -> (exchange::Response, Method) {
        (self.begun.response, self.begun.method)
    }

    pub(super) fn fail(mut self, error: ForwardError) -> Box<Failure> {
        Box::new(self.access.fail(error))
    }

    /// Takes the next head, for a host that may be under this domain.
    ///
    /// # Errors
    ///
    /// [`Failure`], with the request's id.
    pub(super) fn with(
        mut self,
        mut head: Box<head::Response>,
        domain: &Host,
    ) -> Result<Next, Box<Failure>> {
        let settled = headers::settle(&mut head.fields);
        if settled.as_ref().is_ok_and(|settled| settled.sets_cookies)
            && let Some(host) = self.access.named()
        {
            cookies::confine(&mut head.fields, host, domain);
        }
        let length = settled.map(|settled| settled.length);
        if is_interim(head.status) {
            self.interim += 1;
            if self.interim > INTERIM {
                let what = Malformed::Invalid("more interim responses than anybody needs");
                let error = ExchangeError::Protocol(FrameError::Head(what));
                return Err(self.fail(error.into()));
            }
            if head.status == StatusCode::CONTINUE {
                self.begin_upload();
            }
            // An interim response has no body to declare (RFC 9110 section 8.6).
            head.fields.remove("content-length");
            return Ok(Next::Interim(head, self));
        }
        let Some(length) = length
            .ok()
            .filter(|length| !self.lacks_body(&head, *length))
        else {
            let what = Malformed::Invalid("a declared length that cannot be");
            let error = ExchangeError::Protocol(FrameError::Head(what));
            return Err(self.fail(error.into()));
        };
        self.access.status(head.status);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(sink) = self.begun.send else {
                let error = ExchangeError::Reset(Reset::OriginInvalid);
                return Err(self.fail(error.into()));
            };
            let (source, slot) = self.begun.response.raw();
            let raw = Raw {
                source,
                sink,
                slot,
                access: self.access,
            };
            return Ok(Next::Switch(head, raw));
        }
        // An origin that takes the request without asking for its body may still read it.
        if head.status.is_success() {
            self.begin_upload();
        } else if let Some(upload) = &mut self.begun.upload {
            upload.decline();
        }
        let Begun {
            response: rest,
            upload,
            method,
            fault,
            ..
        } = self.begun;
        let body = rest.body(&head, length, &method);
        let body = ResponseBody::new(body, upload, fault, self.access);
        Ok(Next::Response(head, body))
    }

    /// Whether a head that says to be all declares a body of this `length` nevertheless.
    fn lacks_body(&self, head: &head::Response, length: Option<u64>) -> bool {
        let bodiless = self.begun.method == Method::HEAD
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        head.end && !bodiless && length.is_some_and(|length| length > 0)
    }

    fn begin_upload(&mut self) {
        if let Some(upload) = &mut self.begun.upload {
            upload.go();
        }
    }
}

/// Interim responses that a visitor may be sent before the response: HTTP/2 queues them for one that does
/// not read.
const INTERIM: u8 = 32;
