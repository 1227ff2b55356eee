//! Why there is no certificate, in words for the operator.

use std::path::PathBuf;
use std::time::Duration;

use adit_shared::quic::tls::TlsError;
use thiserror::Error;

use super::challenge::Kind;
use super::dns::DnsError;
use super::http::HttpError;
use super::lead::Astray;
use super::timing::Cause;
use crate::edge::tls::CertificateError;
use crate::store::StoreError;
use crate::store::seal::SealError;

/// Why an order failed.
#[derive(Debug, Error)]
pub enum AcmeError {
    /// The authority refused, or there was no answer.
    #[error("{doing}: {error}")]
    Authority {
        /// What was being done.
        doing: &'static str,
        /// What the authority or the network said.
        error: instant_acme::Error,
    },
    /// The authority asked and got no good answer.
    #[error("the authority could not verify {host} by {kind}: {detail}")]
    Unverified {
        /// What it asked about.
        host: String,
        /// How it asked.
        kind: Kind,
        /// What it says.
        detail: String,
    },
    /// The authority does not ask in any way that can be answered.
    #[error("the authority offers no {kind} challenge for {host}")]
    NotOffered {
        /// What it would have to ask about.
        host: String,
        /// How it should have asked.
        kind: Kind,
    },
    /// The order or what came of it makes no sense.
    #[error("the authority answered nonsense: {0}")]
    Nonsense(&'static str),
    /// It took too long.
    #[error("it did not come in {0:?}")]
    Late(Duration),
    /// The authority was not asked, because DNS does not lead the host here.
    #[error(transparent)]
    Astray(#[from] Astray),
    /// A DNS record could not be set.
    #[error("cannot set a DNS record")]
    Dns(#[from] DnsError),
    /// A file cannot be used.
    #[error("cannot use {0}: {1}")]
    File(PathBuf, &'static str),
    /// TLS towards the authority cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate library refused.
    #[error("cannot make a request for a certificate")]
    Make(#[from] rcgen::Error),
    /// The database cannot be used.
    #[error("cannot use the state database")]
    Store(#[from] StoreError),
    /// A secret cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl AcmeError {
    /// As an error of `map_err`.
    pub(super) fn of(doing: &'static str) -> impl FnOnce(instant_acme::Error) -> Self {
        move |error| Self::Authority { doing, error }
    }

    /// What that means for the next order.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Astray(_) => Cause::Astray,
            Self::Authority {
                error: instant_acme::Error::Other(error),
                ..
            } if error.is::<HttpError>() => Cause::Unreached,
            Self::Store(_) => Cause::Unreached,
            _ => Cause::Refused,
        }
    }

    /// Whether the authority says that it was asked too much.
    pub(super) fn is_rate_limit(&self) -> bool {
        self.has_type("urn:ietf:params:acme:error:rateLimited")
    }

    /// Whether the authority does not know the account.
    pub(super) fn is_unknown_account(&self) -> bool {
        self.has_type("urn:ietf:params:acme:error:accountDoesNotExist")
    }

    /// Whether another way to be asked might do better.
    pub(super) fn is_about_challenge(&self) -> bool {
        matches!(self, Self::Unverified { .. } | Self::NotOffered { .. })
    }

    /// What the operator can do.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Unverified {
                kind: Kind::TlsAlpn | Kind::Http,
                ..
            } => {
                "DNS must lead this host here, and ports 80 and 443 must reach the relay from \
                 everywhere"
            }
            Self::Unverified {
                kind: Kind::Dns, ..
            } => "the TXT record was not seen: does it appear, and in time? see --acme-dns-wait",
            Self::Astray(_) => {
                "let an A, AAAA or CNAME record lead the host to the relay's domain; where something \
                 stands before the relay, see --acme-resolver"
            }
            Self::Dns(_) => "run the hook by hand, or look at the token's permissions",
            Self::Authority { .. } if self.is_rate_limit() => {
                "the authority limits orders; a wildcard (--acme-dns-hook) needs but one"
            }
            Self::Authority { .. } if self.cause() == Cause::Unreached => {
                "this machine must reach the authority over HTTPS"
            }
            _ => "see docs/certificates.md",
        }
    }

    fn has_type(&self, wanted: &str) -> bool {
        match self {
            Self::Authority {
                error: instant_acme::Error::Api(problem),
                ..
            } => problem.r#type.as_deref() == Some(wanted),
            _ => false,
        }
    }
}

/// Whether the authority only wants the same request again with another nonce.
pub(super) fn is_bad_nonce(error: &instant_acme::Error) -> bool {
    match error {
        instant_acme::Error::Api(problem) => {
            problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:badNonce")
        }
        _ => false,
    }
}
