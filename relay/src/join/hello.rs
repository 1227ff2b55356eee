//! The first message of an agent: who it is, and whether it may come in.

use adit_shared::control::{ControlError, Receiver};
use adit_shared::identity::{self, Fingerprint};
use adit_shared::quic::Connection;
use adit_shared::wire::code::Close;
use adit_shared::wire::control::{EXPORTER_LABEL, Message};
use thiserror::Error;

use crate::auth::{Auth, Denied, Grant};
use crate::session::Newcomer;

/// Reads the hello and checks proof and token. Safe to drop.
///
/// # Errors
///
/// [`Refusal`], whose text the agent may see.
pub(super) async fn read(
    receiver: &mut Receiver,
    connection: &Connection,
    auth: &Auth,
) -> Result<(Newcomer, Grant), Refusal> {
    let Some(Message::Hello(hello)) = receiver.next().await? else {
        return Err(Refusal::NotAHello);
    };
    // The proof comes before the token: a stranger learns nothing about tokens.
    let proved = connection
        .export(EXPORTER_LABEL)
        .is_some_and(|material| identity::verify(&hello.key, &material, &hello.signature));
    if !proved {
        return Err(Refusal::Signature);
    }
    let grant = match auth.check(&hello.token) {
        // It may have been made a moment ago, by another process.
        Err(Denied::Unknown) if auth.refresh().await.is_ok() => auth.check(&hello.token)?,
        checked => checked?,
    };
    let newcomer = Newcomer {
        owner: Fingerprint::of(&hello.key),
        token: grant.token,
        instance: hello.instance,
        version: printable(&hello.version),
        exchanges: usize::try_from(hello.exchanges).unwrap_or(usize::MAX),
    };
    Ok((newcomer, grant))
}

/// What an agent says about itself goes to logs and pages.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Why an agent is not let in.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    /// It said something else, or nothing.
    #[error("the first message was not a hello")]
    NotAHello,
    /// It does not own the identity it claims.
    #[error("the signature does not belong to the identity")]
    Signature,
    /// Its token does not allow it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The control stream failed.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl Refusal {
    pub(super) fn code(&self) -> Close {
        match self {
            Self::NotAHello | Self::Control(_) => Close::Protocol,
            Self::Signature | Self::Denied(_) => Close::Refused,
        }
    }
}
