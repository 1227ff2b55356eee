//! Whether the relay lets us in.

use std::time::Duration;

use adit_shared::checkup::{Row, chain};
use adit_shared::control::{ControlError, Receiver, Sender};
use adit_shared::identity::Identity;
use adit_shared::quic::{Connection, Lost, ReadError, WriteError};
use adit_shared::stream::{RecvHalf, SendHalf};
use adit_shared::wire::code::Close;
use adit_shared::wire::control::{EXPORTER_LABEL, Hello, Message};
use thiserror::Error;
use tokio::time::timeout;

use super::super::keeping;
use super::bad_config;
use crate::config::{BadConfig, Given, Token, identity_in};

/// Says hello and claims nothing: names change hands by claims alone, so an agent of the same
/// identity that serves at this moment goes on. Safe to drop.
pub(super) async fn row(
    given: &Given,
    token: &Result<Option<Token>, BadConfig>,
    connection: &Connection,
) -> Row {
    let token = match token {
        Ok(token) => token,
        Err(error) => return bad_config(NAME, error),
    };
    let asked = timeout(PATIENCE, hello(given, token.as_ref(), connection)).await;
    let error = match asked.unwrap_or(Err(HelloError::Silent)) {
        Ok(Welcomed { relay, .. }) => {
            return match token {
                Some(_) => Row::ok(NAME, format!("accepted by {relay}")),
                None => Row::ok(NAME, format!("none is given, and {relay} asks for none")),
            };
        }
        Err(error) => error,
    };
    match error {
        HelloError::Refused(Close::Refused, why) => Row::fail(
            NAME,
            format!("refused: {why}"),
            match token {
                Some(_) => {
                    "have the relay's operator run `relay token create`, and give what it prints with --token-file"
                }
                None => "give one with --token-file FILE or in ADIT_TOKEN",
            },
        ),
        HelloError::Refused(Close::Overload, why) => Row::fail(
            NAME,
            format!("not looked at: {why}"),
            "have the relay's operator raise its limit of sessions",
        ),
        HelloError::Draining => Row::warn(
            NAME,
            "accepted, and the relay is about to stop",
            "wait until it is back",
        ),
        other => Row::fail(
            NAME,
            format!("the relay gave no answer to it: {}", chain(&other)),
            "see what the relay's log says",
        ),
    }
}

/// Without a connection.
pub(super) fn unknown(token: &Result<Option<Token>, BadConfig>) -> Row {
    match token {
        Ok(_) => Row::skipped(NAME, "no connection to the relay"),
        Err(error) => bad_config(NAME, error),
    }
}

/// What a relay gave that welcomes us.
pub(super) struct Welcomed {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    /// Its version.
    pub(super) relay: String,
}

/// Says hello. Safe to drop.
pub(super) async fn hello(
    given: &Given,
    token: Option<&Token>,
    connection: &Connection,
) -> Result<Welcomed, HelloError> {
    let kept = given
        .state_dir()
        .ok()
        .and_then(|dir| keeping::kept(&identity_in(&dir)));
    let identity = match kept {
        Some(Ok(identity)) => identity,
        // Any will do: it is the token that is asked about.
        Some(Err(_)) | None => Identity::generate().map_err(|_| HelloError::NoProof)?,
    };
    let material = connection
        .export(EXPORTER_LABEL)
        .ok_or(HelloError::NoProof)?;
    let mut instance = [0; 16];
    // Only the order of two sessions of one agent would depend on it.
    let _ = aws_lc_rs::rand::fill(&mut instance);
    let (send, recv) = connection.open().await?;
    let mut sender = Sender::new(SendHalf::new(send));
    let mut receiver = Receiver::new(RecvHalf::new(recv));
    let hello = Hello {
        key: identity.public_key(),
        signature: identity.sign(&material),
        instance,
        token: token.map_or_else(String::new, |token| token.reveal().to_owned()),
        version: concat!("doctor/", env!("CARGO_PKG_VERSION")).into(),
        exchanges: 0,
    };
    sender.send(&Message::Hello(hello)).await?;
    let welcome = match receiver.next().await? {
        Some(Message::Welcome(welcome)) => welcome,
        Some(Message::Drain { .. }) => return Err(HelloError::Draining),
        Some(_) | None => return Err(HelloError::Protocol),
    };
    Ok(Welcomed {
        sender,
        receiver,
        relay: welcome.version,
    })
}

/// Why no relay welcomes us.
#[derive(Debug, Error)]
pub(super) enum HelloError {
    #[error("{1}")]
    Refused(Close, String),
    #[error(transparent)]
    Lost(Lost),
    #[error(transparent)]
    Control(ControlError),
    #[error("TLS gives nothing to prove the identity with")]
    NoProof,
    #[error("the relay is draining")]
    Draining,
    #[error("it broke the protocol")]
    Protocol,
    #[error("it said nothing in time")]
    Silent,
}

impl From<Lost> for HelloError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Closed { code, reason } => Self::Refused(code, reason),
            lost => Self::Lost(lost),
        }
    }
}

impl From<ControlError> for HelloError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Read(ReadError::Lost(lost))
            | ControlError::Write(WriteError::Lost(lost)) => lost.into(),
            other => Self::Control(other),
        }
    }
}

const NAME: &str = "token";
const PATIENCE: Duration = Duration::from_millis(1000);
