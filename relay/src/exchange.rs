//! One visitor request and its response, over one stream of a session.

use std::sync::Arc;

use adit_shared::body::recv::FromStream;
use adit_shared::pump::QuicSource;
use adit_shared::quic::{Lost, ReadError, WriteError};
use adit_shared::stall::{Account, Reader};
use adit_shared::stream::{PartError, Parts, SendHalf};
use adit_shared::wire::code::Reset;
use adit_shared::wire::fields::HeadTooLarge;
use adit_shared::wire::frame::{self, FrameError, Part};
use adit_shared::wire::head;
use bytes::BytesMut;
use futures_util::future::AbortHandle;
use http::{Method, StatusCode};
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;

/// An open exchange. Dropped before its end, it is cancelled on both sides.
#[derive(Debug)]
pub struct Exchange {
    send: SendHalf,
    parts: Box<Parts>,
    slot: Slot,
}

impl Exchange {
    pub(crate) fn new(send: SendHalf, parts: Box<Parts>, slot: Slot) -> Self {
        Self { send, parts, slot }
    }

    /// The half that carries the request, and the half that carries the response.
    pub fn split(self) -> (SendHalf, Response) {
        let response = Response {
            parts: self.parts,
            slot: self.slot,
        };
        (self.send, response)
    }
}

/// One exchange of those that an agent takes at once. Gives it back when dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
    account: Arc<Account>,
}

impl Slot {
    pub(crate) fn new(permit: OwnedSemaphorePermit, account: Arc<Account>) -> Self {
        Self {
            _permit: permit,
            account,
        }
    }

    /// Watches whether the visitor takes what comes; `left` is how much does, if that is known.
    /// When visitors that stopped reading hold too much, `cut` is used.
    pub fn watch(&self, left: Option<u64>, cut: &AbortHandle) -> Option<Reader> {
        self.account.watch(left, cut)
    }

    /// Watches whether the agent takes what comes of a request's body; no more than `window` bytes of it
    /// can wait here. When what waits is too much, `cut` is used.
    pub fn watch_upload(&self, window: u32, cut: &AbortHandle) -> Option<Reader> {
        self.account.watch_within(window, None, cut)
    }
}

/// Encodes a request head.
///
/// # Errors
///
/// [`ExchangeError::HeadTooLarge`].
pub fn encode(head: &head::Request) -> Result<BytesMut, ExchangeError> {
    let mut bytes = BytesMut::with_capacity(512);
    frame::put_request(&mut bytes, head)?;
    Ok(bytes)
}

/// The half of an exchange that carries the response.
#[derive(Debug)]
pub struct Response {
    parts: Box<Parts>,
    slot: Slot,
}

impl Response {
    /// The next head, interim or final. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`ExchangeError`].
    pub async fn head(&mut self) -> Result<Box<head::Response>, ExchangeError> {
        match self.parts.next().await? {
            Some(Part::Interim(head) | Part::Response(head)) => Ok(head),
            // The reader lets nothing else come before the final head.
            _ => Err(ExchangeError::Protocol(FrameError::Truncated)),
        }
    }

    /// The exchange's place among those of its agent.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// What follows the final `head` of an answer to `method`, which declares a `length` or none.
    pub fn body(self, head: &head::Response, length: Option<u64>, method: &Method) -> Body {
        // A declared length says nothing where there is no body (RFC 9110 section 8.6).
        let bodiless = *method == Method::HEAD || head.status == StatusCode::NOT_MODIFIED;
        let declared = length.filter(|_| !bodiless);
        Body {
            stream: FromStream::new(self.parts, head.end, declared),
            slot: self.slot,
        }
    }

    /// What follows a 101: raw bytes.
    pub fn raw(self) -> (QuicSource, Slot) {
        (QuicSource::new(self.parts.into_raw()), self.slot)
    }
}

/// The body of a response. Dropped before its end, it tells the agent to stop.
#[derive(Debug)]
pub struct Body {
    /// The frames as an HTTP body.
    pub stream: FromStream,
    /// Held while it lasts.
    pub slot: Slot,
}

/// Why there is no response.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// The agent has as many exchanges as it takes.
    #[error("the agent takes no more exchanges at once")]
    Overload,
    /// The request's head is above the protocol's limits.
    #[error("the request's head is too large for the tunnel")]
    HeadTooLarge(#[from] HeadTooLarge),
    /// The agent gave the exchange up.
    #[error("the agent gave up: {0}")]
    Reset(Reset),
    /// The agent broke the protocol.
    #[error("the agent broke the protocol: {0}")]
    Protocol(FrameError),
    /// The session ended.
    #[error("the session was lost")]
    Lost(#[source] Lost),
}

impl From<PartError> for ExchangeError {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Read(ReadError::Reset(code)) => Self::Reset(code),
            PartError::Read(ReadError::Lost(lost)) => Self::Lost(lost),
            PartError::Frame(error) => Self::Protocol(error),
        }
    }
}

impl From<WriteError> for ExchangeError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::Reset(code),
            WriteError::Lost(lost) => Self::Lost(lost),
        }
    }
}

/// Which side an [`ExchangeError`] is the fault of, for the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The visitor's request.
    Visitor,
    /// The agent, or the way to it.
    Agent,
    /// The server behind the agent.
    Origin,
}

impl ExchangeError {
    /// Whose fault it is.
    pub const fn side(&self) -> Side {
        match self {
            Self::HeadTooLarge(_) | Self::Reset(Reset::VisitorReset) => Side::Visitor,
            Self::Reset(
                Reset::OriginRefused
                | Reset::OriginReset
                | Reset::OriginInvalid
                | Reset::OriginTimeout
                | Reset::HeadTooLarge,
            ) => Side::Origin,
            Self::Overload | Self::Reset(_) | Self::Protocol(_) | Self::Lost(_) => Side::Agent,
        }
    }
}
