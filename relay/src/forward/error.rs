//! Why a request got no response from its origin.

use adit_shared::webhook::{Unverified, challenge};
use adit_shared::wire::fields::BadField;
use thiserror::Error;

use super::headers::BadAuthority;
use super::inbox::Receipt;
use super::notice;
use super::paced::Fault;
use crate::addresses;
use crate::exchange::ExchangeError;
use crate::queue;
use crate::route::Away;

/// Why a request got no response from the origin.
#[derive(Debug, Error)]
pub enum ForwardError {
    /// It does not say for whom it is.
    #[error(transparent)]
    Authority(#[from] BadAuthority),
    /// It is for another host than the connection.
    #[error("the request is for another host than its connection")]
    Misdirected,
    /// The visitor is told first what it is about to see.
    #[error("the visitor has not seen the notice")]
    Notice(Box<notice::Step>),
    /// Its head is too large.
    #[error("the request's head is too large")]
    HeadTooLarge,
    /// Its head has too many fields.
    #[error("the request's head has too many fields")]
    TooManyFields,
    /// Its target is not for its method.
    #[error("the request's target is not for its method")]
    Target,
    /// A field of it cannot be passed on.
    #[error("a field of the request is none")]
    Field,
    /// It wants the relay to be a forward proxy.
    #[error("CONNECT is not for a reverse proxy")]
    Connect,
    /// Nobody has ever served its host here.
    #[error("no agent serves this host")]
    Unknown,
    /// The agent of its host is away.
    #[error(transparent)]
    Away(#[from] Away),
    /// Its address has or asks for too much.
    #[error("too much from one address: {}", .0.name())]
    Asks(addresses::Bound),
    /// Its tunnel has as many requests in flight as it may.
    #[error("the tunnel has as many requests in flight as it may")]
    Busy,
    /// The relay has as many requests in flight as it may.
    #[error("the relay has as many requests in flight as it may")]
    Full,
    /// Its body is not as it may be.
    #[error(transparent)]
    Body(#[from] Fault),
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// It is kept, and will be delivered: no failure, but no response from the origin either.
    #[error("the request is kept")]
    Kept(Receipt),
    /// It is no genuine webhook, and had to be one.
    #[error("the webhook is not genuine")]
    Unverified(#[from] Unverified),
    /// It had to wait too long to be verified.
    #[error("too many webhooks wait to be verified")]
    Crowded,
    /// A provider asks whether this is the right endpoint.
    #[error("a provider checks the endpoint")]
    Challenge(Box<challenge::Answer>),
    /// It should have been kept, and is not.
    #[error(transparent)]
    Refused(queue::Refusal),
}

impl ForwardError {
    /// Whether it is about how the request is written. Who wrote that may see another end of it than we do,
    /// so nothing that follows on its connection is to be trusted.
    pub fn is_malformed(&self) -> bool {
        matches!(
            self,
            Self::Authority(_)
                | Self::HeadTooLarge
                | Self::TooManyFields
                | Self::Target
                | Self::Field
                | Self::Connect
        )
    }

    /// The name of the limit that was met, if one was.
    pub(super) const fn limit(&self) -> Option<&'static str> {
        match self {
            Self::HeadTooLarge => Some("head-bytes"),
            Self::TooManyFields => Some("head-fields"),
            Self::Asks(bound) => Some(bound.name()),
            Self::Busy => Some("exchanges-per-tunnel"),
            Self::Full => Some("exchanges"),
            Self::Body(fault) => Some(fault.limit()),
            Self::Exchange(ExchangeError::Overload) => Some("exchanges-per-agent"),
            Self::Away(Away::Crowded) => Some("held"),
            Self::Away(Away::Heavy) => Some("held-bytes"),
            Self::Away(Away::CrowdedHere) => Some("held-per-name"),
            _ => None,
        }
    }
}

impl From<BadField> for ForwardError {
    fn from(error: BadField) -> Self {
        match error {
            BadField::TooLarge(_) => Self::HeadTooLarge,
            BadField::Invalid => Self::Field,
        }
    }
}
