//! How the relay shows an authority that a host is its own, and the answers that are given meanwhile.

use std::fmt;

use instant_acme::{ChallengeType, KeyAuthorization};

use super::AcmeError;
use super::dns::{Dns, Record};
use crate::edge::tls::challenge::{Answer, Challenges};

/// How an authority asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// By a handshake on port 443 (RFC 8737).
    TlsAlpn,
    /// By a request on port 80 (RFC 8555 section 8.3).
    Http,
    /// By a DNS query (RFC 8555 section 8.4).
    Dns,
}

impl Kind {
    pub(super) fn of_acme(self) -> ChallengeType {
        match self {
            Self::TlsAlpn => ChallengeType::TlsAlpn01,
            Self::Http => ChallengeType::Http01,
            Self::Dns => ChallengeType::Dns01,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TlsAlpn => "tls-alpn-01",
            Self::Http => "http-01",
            Self::Dns => "dns-01",
        })
    }
}

/// The answers of one order. Dropped, those of handshakes and requests are not given any more; DNS
/// records stay until [`end`](Self::end), or until those that were left behind are removed.
#[derive(Default)]
pub(super) struct Given {
    answers: Vec<Answer>,
    records: Vec<Record>,
}

impl Given {
    /// Answers when the authority asks about `host`. Not safe to drop.
    pub(super) async fn give(
        &mut self,
        kind: Kind,
        host: &str,
        token: &str,
        key: &KeyAuthorization,
        (challenges, dns): (&Challenges, Option<&Dns>),
    ) -> Result<(), AcmeError> {
        match kind {
            Kind::TlsAlpn => {
                let answer = challenges.answer_tls(host, key.digest().as_ref())?;
                self.answers.push(answer);
            }
            Kind::Http => self
                .answers
                .push(challenges.answer_http(token, key.as_str())),
            Kind::Dns => {
                let record = Record::of_challenge(host, key.dns_value());
                if let Some(dns) = dns {
                    // What may have been set must be removed, though setting it seemed to fail.
                    self.records.push(record.clone());
                    dns.present(&record).await?;
                }
            }
        }
        Ok(())
    }

    /// Gives no answer any more.
    pub(super) async fn end(self, dns: Option<&Dns>) {
        if let Some(dns) = dns {
            for record in &self.records {
                dns.cleanup(record).await;
            }
        }
    }

    pub(super) fn has_records(&self) -> bool {
        !self.records.is_empty()
    }
}
