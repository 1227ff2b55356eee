//! The control stream as both ends use it: whole messages in, whole messages out.

use std::future::poll_fn;

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use crate::quic::{ReadError, WriteError};
use crate::stream::{RecvHalf, SendHalf};
use crate::turn;
use crate::wire::control::{Message, TooLong};
use crate::wire::varint::Malformed;

/// Reads messages.
#[derive(Debug)]
pub struct Receiver {
    stream: RecvHalf,
    bytes: BytesMut,
}

impl Receiver {
    /// Reads from the start of `stream`.
    pub fn new(stream: RecvHalf) -> Self {
        Self {
            stream,
            bytes: BytesMut::new(),
        }
    }

    /// The next message; `None` when the peer finished the stream. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn next(&mut self) -> Result<Option<Message>, ControlError> {
        loop {
            poll_fn(turn::poll_begin).await;
            match Message::decode(&mut self.bytes) {
                Ok(message) => return Ok(Some(message)),
                Err(Malformed::Incomplete) => {}
                Err(Malformed::Invalid(what)) => return Err(ControlError::Malformed(what)),
            }
            let mut chunk = [Bytes::new()];
            if poll_fn(|cx| self.stream.poll_chunks(cx, &mut chunk))
                .await?
                .is_none()
            {
                return if self.bytes.is_empty() {
                    Ok(None)
                } else {
                    Err(ControlError::Malformed("the stream ended within a message"))
                };
            }
            let [chunk] = chunk;
            self.bytes.extend_from_slice(&chunk);
        }
    }
}

/// Writes messages.
#[derive(Debug)]
pub struct Sender {
    stream: SendHalf,
}

impl Sender {
    /// Writes to the start of `stream`, before anything that exchanges have to say.
    pub fn new(stream: SendHalf) -> Self {
        stream.set_priority(1);
        Self { stream }
    }

    /// Sends one message. Not safe to drop: give up the connection then.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn send(&mut self, message: &Message) -> Result<(), ControlError> {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes)?;
        Ok(self.stream.write(&mut [bytes.freeze()]).await?)
    }
}

/// Why the control stream is useless from now on.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Nothing more can be read.
    #[error("cannot read the control stream")]
    Read(#[from] ReadError),
    /// Nothing more can be written.
    #[error("cannot write the control stream")]
    Write(#[from] WriteError),
    /// The peer broke the protocol.
    #[error("malformed control message: {0}")]
    Malformed(&'static str),
    /// A message of ours is above the protocol's limits.
    #[error("cannot send a control message")]
    TooLong(#[from] TooLong),
}
