//! A request that is on its way: its heads as they come back, then its response or the raw bytes of
//! a switch.

use std::future::Future;
use std::io;

use adit_shared::body::recv::declared_length;
use adit_shared::pump::{QuicSource, Watched};
use adit_shared::stream::SendHalf;
use adit_shared::wire::code::Reset;
use adit_shared::wire::frame::{FrameError, is_interim};
use adit_shared::wire::head;
use adit_shared::wire::varint::Malformed;
use futures_util::future::{AbortHandle, Abortable};
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};

use super::body::{Access, ResponseBody};
use super::upload::Upload;
use super::{Failure, headers};
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
}

/// A request that is on its way.
#[derive(Debug)]
pub struct Pending {
    begun: Box<Begun>,
    access: Box<Access>,
}

/// What comes back next.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is made and taken apart once per head"
)]
pub enum Next {
    /// An interim response; more comes.
    Interim(Response<()>, Pending),
    /// The response.
    Response(Response<ResponseBody>),
    /// The origin switches protocols: raw bytes both ways.
    Switch(Response<()>, Raw),
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
    /// ended.
    pub async fn carry<F>(mut self, pump: impl FnOnce((Watched<QuicSource>, SendHalf)) -> F)
    where
        F: Future<Output = io::Result<(u64, u64)>>,
    {
        let (cut, registration) = AbortHandle::new_pair();
        let source = Watched::new(self.source, self.slot.watch(None, &cut));
        match Abortable::new(pump((source, self.sink)), registration).await {
            Ok(Ok((_, sent))) => {
                self.access.sent = sent;
                self.access.outcome = Outcome::Done;
            }
            Ok(Err(error)) => tracing::debug!(%error, "switched exchange was cut"),
            Err(_) => self.access.over_budget(),
        }
        drop(self.slot);
    }
}

impl Pending {
    pub(super) fn new(begun: Begun, access: Box<Access>) -> Self {
        Self {
            begun: Box::new(begun),
            access,
        }
    }

    /// Waits for the next head. Safe to drop: the exchange is cancelled.
    ///
    /// # Errors
    ///
    /// [`Failure`], with the request's id.
    pub async fn next(mut self) -> Result<Next, Box<Failure>> {
        let mut head = match self.begun.response.head().await {
            Ok(head) => head,
            Err(error) => return Err(Box::new(self.access.fail(error.into()))),
        };
        headers::strip_response(&mut head.fields);
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        if is_interim(head.status) {
            if head.status == StatusCode::CONTINUE {
                self.begin_upload();
            }
            // An interim response has no body to declare (RFC 9110 section 8.6).
            head.fields.remove(CONTENT_LENGTH);
            *response.headers_mut() = head.fields;
            return Ok(Next::Interim(response, self));
        }
        if !headers::settle_length(&mut head.fields) || self.lacks_body(&head) {
            let what = Malformed::Invalid("a declared length that cannot be");
            let error = ExchangeError::Protocol(FrameError::Head(what));
            return Err(Box::new(self.access.fail(error.into())));
        }
        self.access.status(head.status);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(sink) = self.begun.send else {
                let error = ExchangeError::Reset(Reset::OriginInvalid);
                return Err(Box::new(self.access.fail(error.into())));
            };
            *response.headers_mut() = head.fields;
            let (source, slot) = self.begun.response.raw();
            return Ok(Next::Switch(
                response,
                Raw {
                    source,
                    sink,
                    slot,
                    access: self.access,
                },
            ));
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
            ..
        } = *self.begun;
        let body = rest.body(&head, &method);
        *response.headers_mut() = head.fields;
        Ok(Next::Response(
            response.map(|()| ResponseBody::new(body, upload, self.access)),
        ))
    }

    /// Whether a head that says to be all declares a body nevertheless.
    fn lacks_body(&self, head: &head::Response) -> bool {
        let bodiless = self.begun.method == Method::HEAD
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        let declared = declared_length(&head.fields);
        head.end && !bodiless && declared.is_some_and(|length| length > 0)
    }

    fn begin_upload(&mut self) {
        if let Some(upload) = &mut self.begun.upload {
            upload.go();
        }
    }
}
