//! From a connection to tunnels that are served: hello, welcome, claims.

use std::time::Duration;

use adit_shared::control::{ControlError, Receiver, Sender};
use adit_shared::quic::{Connection, Lost, ReadError, WriteError};
use adit_shared::stream::{RecvHalf, SendHalf};
use adit_shared::wire::code::Close;
use adit_shared::wire::control::{Claim, EXPORTER_LABEL, Hello, Message, Refusal};
use adit_shared::wire::inbox::{Inbox as Wish, InboxState};
use adit_shared::wire::mirror::Mirror;
use adit_shared::wire::varint;
use thiserror::Error;
use tokio::time::timeout;

use super::Agent;
use super::dial::{DialError, Dialled};
use crate::config::Inbox;
use crate::status::Event;

/// A session whose tunnels are served.
#[derive(Debug)]
pub(super) struct Registered {
    /// The connection.
    pub dialled: Dialled,
    /// To the relay.
    pub sender: Sender,
    /// From the relay.
    pub receiver: Receiver,
    /// The relay's number of the session.
    pub session: u64,
}

/// How an agent process comes to the relay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coming {
    /// It was never welcomed.
    First,
    /// It was: a name that is taken is most likely about to be freed.
    Again,
    /// It was, and its session of this number may still be alive: it goes on for what is in flight.
    Beside(u64),
}

/// Registers. Safe to drop.
///
/// # Errors
///
/// [`RegisterError`].
pub(super) async fn register(
    agent: &Agent,
    dialled: Dialled,
    coming: Coming,
) -> Result<Registered, RegisterError> {
    let connection = dialled.connection.clone();
    let registered = timeout(PATIENCE, converse(agent, dialled, &connection, coming)).await;
    registered
        .unwrap_or(Err(RegisterError::Silent))
        .inspect_err(|error| match error {
            RegisterError::Protocol(what) => connection.close(Close::Protocol, what),
            RegisterError::Silent => connection.close(Close::Timeout, "no answer to the hello"),
            _ => connection.close(Close::Goodbye, ""),
        })
}

async fn converse(
    agent: &Agent,
    dialled: Dialled,
    connection: &Connection,
    coming: Coming,
) -> Result<Registered, RegisterError> {
    let (send, recv) = connection.open().await?;
    let mut sender = Sender::new(SendHalf::new(send));
    let mut receiver = Receiver::new(RecvHalf::new(recv));
    let hello = hello(agent, connection).ok_or(RegisterError::NoProof)?;
    sender.send(&Message::Hello(hello)).await?;
    if let Coming::Beside(session) = coming {
        sender.send(&Message::Keep { session }).await?;
    }
    if agent.config.inspect.is_some() {
        sender.send(&Message::Visitors).await?;
    }
    // The claims go out before the welcome comes: that saves a round trip.
    for tunnel in &agent.config.tunnels {
        let text = |part: Option<String>| part.unwrap_or_default();
        let name = text(tunnel.name.as_ref().map(ToString::to_string));
        let host = text(tunnel.host.as_ref().map(ToString::to_string));
        if let Some(patterns) = &tunnel.mirror {
            let mirror = Mirror {
                tunnel: tunnel.id,
                name,
                host,
                patterns: patterns.iter().map(ToString::to_string).collect(),
            };
            sender.send(&Message::Mirror(mirror)).await?;
            continue;
        }
        if let Some(inbox) = &tunnel.inbox {
            sender.send(&Message::Inbox(wish(tunnel.id, inbox))).await?;
        }
        let claim = Claim {
            tunnel: tunnel.id,
            label: tunnel.label.clone(),
            name,
            host,
        };
        sender.send(&Message::Claim(claim)).await?;
    }
    agent.status.set_transport(dialled.way.kind());
    if let Some(remote) = dialled.way.remote {
        agent.status.set_path(remote, connection.rtt());
    }
    let mut session = 0;
    let mut granted = 0;
    let mut refusals = Vec::new();
    let mut inboxes = Vec::new();
    while granted + refusals.len() < agent.config.tunnels.len() {
        match receiver.next().await? {
            Some(Message::Welcome(welcome)) => session = welcome.session,
            Some(Message::InboxState(state)) => inboxes.push(state),
            Some(Message::Granted(grant)) => {
                granted += 1;
                let inbox = inboxes
                    .iter()
                    .position(|state| state.tunnel == grant.tunnel);
                let inbox = inbox.map(|at| inboxes.swap_remove(at));
                let (Some(url), Some(tunnel)) = (grant.urls.first(), label(agent, grant.tunnel))
                else {
                    return Err(RegisterError::Protocol("a grant without a URL"));
                };
                let wanted = agent
                    .config
                    .tunnels
                    .iter()
                    .any(|t| t.id == grant.tunnel && t.inbox.is_some());
                let about = wanted.then(|| about_inbox(tunnel.clone(), inbox));
                agent.status.emit(Event::Online {
                    tunnel,
                    url: url.clone(),
                    urls: grant.urls.clone(),
                    session: format!("s{session}"),
                });
                if let Some(event) = about {
                    agent.status.emit(event);
                }
            }
            Some(Message::Refused(refused)) => {
                let Some(tunnel) = label(agent, refused.tunnel) else {
                    return Err(RegisterError::Protocol("a refusal of what was not claimed"));
                };
                let (reason, message) = (refused.reason, refused.message);
                let event = Event::Refused {
                    tunnel,
                    reason: reason.word(),
                    message: message.clone(),
                };
                agent.status.emit(event);
                refusals.push((reason, message));
            }
            Some(Message::Drain { .. }) => return Err(RegisterError::Draining),
            Some(_) => return Err(RegisterError::Protocol("a message out of order")),
            None => return Err(RegisterError::Protocol("the control stream ended")),
        }
    }
    if granted == 0
        && let Some((reason, message)) = refusals.into_iter().next()
    {
        return Err(match reason {
            Refusal::Taken | Refusal::Full if coming != Coming::First => {
                RegisterError::Taken(message)
            }
            _ => RegisterError::Refused(message),
        });
    }
    Ok(Registered {
        dialled,
        sender,
        receiver,
        session,
    })
}

fn hello(agent: &Agent, connection: &Connection) -> Option<Hello> {
    let material = connection.export(EXPORTER_LABEL)?;
    let token = agent
        .config
        .token
        .as_ref()
        .map_or("", |token| token.reveal());
    Some(Hello {
        key: agent.identity.public_key(),
        signature: agent.identity.sign(&material),
        instance: agent.instance,
        token: token.to_owned(),
        version: concat!("agent/", env!("CARGO_PKG_VERSION")).into(),
        exchanges: adit_shared::quic::tuning::EXCHANGES.into(),
    })
}

fn wish(tunnel: u64, inbox: &Inbox) -> Wish {
    let early = inbox.ack_within.map_or(0, |time| time.as_millis().max(1));
    Wish {
        tunnel,
        causes: inbox.causes,
        status: inbox.status.into(),
        ack_within_ms: u64::try_from(early).unwrap_or(varint::MAX).min(varint::MAX),
        parallel: inbox.parallel.into(),
        patterns: inbox.patterns.iter().map(ToString::to_string).collect(),
    }
}

/// What is said about the inbox of a tunnel, of which the relay said this or nothing.
fn about_inbox(tunnel: String, state: Option<InboxState>) -> Event {
    let state = state.unwrap_or_else(|| InboxState {
        tunnel: 0,
        open: false,
        waiting: 0,
        dead: 0,
        message: "this relay knows no inboxes; it is older than this agent".into(),
    });
    Event::Inbox {
        tunnel,
        open: state.open,
        waiting: state.waiting,
        dead: state.dead,
        message: state.message,
    }
}

fn label(agent: &Agent, id: u64) -> Option<String> {
    let tunnel = agent.config.tunnels.iter().find(|tunnel| tunnel.id == id)?;
    Some(tunnel.label.clone())
}

/// Why there is no session.
#[derive(Debug, Error)]
pub(super) enum RegisterError {
    /// There is no connection.
    #[error(transparent)]
    Dial(DialError),
    /// The connection was lost.
    #[error(transparent)]
    Lost(Lost),
    /// The control stream failed.
    #[error(transparent)]
    Control(ControlError),
    /// TLS gives nothing to sign.
    #[error("the TLS connection gives nothing to prove the identity with")]
    NoProof,
    /// The relay said nothing.
    #[error("the relay did not answer the hello")]
    Silent,
    /// The relay is going away.
    #[error("the relay is draining")]
    Draining,
    /// The relay broke the protocol.
    #[error("the relay broke the protocol: {0}")]
    Protocol(&'static str),
    /// The name is with somebody else for the moment.
    #[error("{0}")]
    Taken(String),
    /// The relay does not want this agent; trying again does not help.
    #[error("{0}")]
    Refused(String),
}

impl From<Lost> for RegisterError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Closed { code, reason } if code.is_final() => Self::Refused(reason),
            lost => Self::Lost(lost),
        }
    }
}

impl From<ControlError> for RegisterError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Read(ReadError::Lost(lost))
            | ControlError::Write(WriteError::Lost(lost)) => lost.into(),
            other => Self::Control(other),
        }
    }
}

/// How long the relay may take to answer hello and claims.
const PATIENCE: Duration = Duration::from_secs(10);
