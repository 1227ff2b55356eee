//! One order from its beginning to a certificate (RFC 8555 section 7.4).
//!
//! Nothing of an order is kept but that there was one: after a crash a new order is made, and the
//! authority still knows what it has verified.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::CertificateDer;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::certificate::{Certificate, identifier, purpose, seconds};
use super::challenge::{Given, Kind};
use super::dns::Dns;
use super::http::Client;
use super::lead::Lead;
use super::{AcmeError, account};
use crate::config::Acme as Config;
use crate::edge::tls::issued::Issued;
use crate::store::certificates::Record;
use crate::store::seal::Seal;
use crate::store::{Store, accounts};

/// Does it once more when the authority did not like the nonce, which says nothing about the request
/// (RFC 8555 section 6.5). The library itself gives up early.
macro_rules! patiently {
    ($ask:expr) => {{
        let mut tries = 0;
        loop {
            match $ask.await {
                Err(error) if tries < NONCES && $crate::acme::error::is_bad_nonce(&error) => {
                    tries += 1;
                }
                answer => break answer,
            }
        }
    }};
}
pub(super) use patiently;

/// How many nonces in a row may be bad, thrice each.
pub(super) const NONCES: u32 = 5;

/// Whoever makes orders. Shared by all that are under way.
pub(super) struct Orders {
    pub(super) config: Config,
    pub(super) client: Client,
    pub(super) store: Store,
    pub(super) seal: Seal,
    pub(super) issued: Arc<Issued>,
    pub(super) dns: Option<Dns>,
    /// Looks whether DNS leads hosts here, unless it is not to.
    pub(super) lead: Option<Lead>,
    /// How the authority can ask when it is not by DNS, best first.
    pub(super) kinds: Vec<Kind>,
    pub(super) account: Mutex<Option<Account>>,
}

impl Orders {
    /// Has a certificate issued for these names and keeps it in the database. `failures` is how often
    /// that was tried in vain, `old` a certificate to be replaced. Dropped, the order is abandoned.
    pub(super) async fn obtain(
        &self,
        name: &str,
        names: &[String],
        failures: u32,
        old: Option<&CertificateDer<'static>>,
    ) -> Result<Certificate, AcmeError> {
        let _turn = match (self.by_dns(names), &self.lead) {
            (Some(dns), _) => Some(dns.turn().await),
            (None, Some(lead)) => {
                lead.check(name).await?;
                None
            }
            (None, None) => None,
        };
        self.issued.orders.inc();
        tracing::info!(name, directory = %self.config.directory, "certificate ordered");
        let work = self.attempt(names, failures, old);
        let result = match timeout(PATIENCE, work).await {
            Ok(result) => result,
            Err(_) => Err(AcmeError::Late(PATIENCE)),
        };
        let (chain, key) = match result {
            Err(error) if error.is_unknown_account() => {
                // The next order makes another.
                *self.account.lock().await = None;
                let directory = self.config.directory.clone();
                self.store
                    .call(move |db| accounts::remove(db, &directory))
                    .await?;
                return Err(error);
            }
            result => result?,
        };
        let sealed = self.seal.seal(&purpose(name), key.serialized_der())?;
        let certificate = Certificate::read(&chain, key.serialize_der())?;
        let record = Record {
            name: name.to_owned(),
            directory: self.config.directory.clone(),
            chain,
            key: sealed,
            not_before: seconds(certificate.since),
            not_after: seconds(certificate.until),
            revoked_at: None,
        };
        self.store
            .call(move |db| crate::store::certificates::put(db, &record))
            .await?;
        Ok(certificate)
    }

    /// What is in the database.
    pub(super) fn open(&self, record: &Record) -> Result<Certificate, AcmeError> {
        let key = self.seal.open(&purpose(&record.name), &record.key)?;
        Certificate::read(&record.chain, key)
    }

    /// When the authority suggests to renew (RFC 9773), and when to ask again; nothing when it makes
    /// no suggestions.
    pub(super) async fn suggestion(
        &self,
        leaf: &CertificateDer<'_>,
    ) -> Result<Option<(SystemTime, SystemTime, Duration)>, AcmeError> {
        let account = self.account().await?;
        let Some(id) = identifier(leaf) else {
            return Ok(None);
        };
        match account.renewal_info(&id).await {
            Ok((info, again)) => {
                let window = info.suggested_window;
                let (start, end) = (window.start.into(), window.end.into());
                Ok(Some((start, end, again)))
            }
            Err(instant_acme::Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(AcmeError::of("cannot ask when to renew")(error)),
        }
    }

    async fn account(&self) -> Result<Account, AcmeError> {
        let mut account = self.account.lock().await;
        if let Some(account) = &*account {
            return Ok(account.clone());
        }
        let opened = account::open(&self.config, &self.client, &self.store, &self.seal).await?;
        Ok(account.insert(opened).clone())
    }

    async fn attempt(
        &self,
        names: &[String],
        failures: u32,
        old: Option<&CertificateDer<'static>>,
    ) -> Result<(String, KeyPair), AcmeError> {
        let account = self.account().await?;
        let kinds = match self.by_dns(names) {
            Some(_) => vec![Kind::Dns],
            None => kinds(&self.kinds, failures),
        };
        let mut last = AcmeError::Nonsense("no way to be asked");
        for kind in kinds {
            match self.one(&account, names, kind, old).await {
                Err(error) if error.is_about_challenge() => {
                    tracing::debug!(%error, "challenge failed");
                    last = error;
                }
                result => return result,
            }
        }
        Err(last)
    }

    /// How DNS records are set, if the authority has to ask by DNS, as it does about wildcards.
    fn by_dns(&self, names: &[String]) -> Option<&Dns> {
        let has_wildcard = names.iter().any(|name| name.starts_with("*."));
        self.dns.as_ref().filter(|_| has_wildcard)
    }

    async fn one(
        &self,
        account: &Account,
        names: &[String],
        kind: Kind,
        old: Option<&CertificateDer<'static>>,
    ) -> Result<(String, KeyPair), AcmeError> {
        let mut order = begin(account, names, old).await?;
        let mut given = Given::default();
        let verified = self.verify(&mut order, kind, &mut given).await;
        let issued = match verified {
            Ok(()) => finish(&mut order, names).await,
            Err(error) => Err(error),
        };
        given.end(self.dns.as_ref()).await;
        issued
    }

    /// Answers what the authority asks, until it is content.
    async fn verify(
        &self,
        order: &mut Order,
        kind: Kind,
        given: &mut Given,
    ) -> Result<(), AcmeError> {
        patiently!(look(order)).map_err(AcmeError::of("cannot see what is to be verified"))?;
        let ways = (&self.issued.challenges, self.dns.as_ref());
        let mut open = 0;
        // All answers first: records take time until they can be seen.
        for is_ready in [false, true] {
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization =
                    authorization.map_err(AcmeError::of("cannot see what is to be verified"))?;
                if authorization.status != AuthorizationStatus::Pending {
                    continue;
                }
                let host = match authorization.identifier().identifier {
                    Identifier::Dns(host) => host.clone(),
                    _ => return Err(AcmeError::Nonsense("a question about no host")),
                };
                let Some(mut challenge) = authorization.challenge(kind.of_acme()) else {
                    return Err(AcmeError::NotOffered { host, kind });
                };
                if is_ready {
                    let begun = patiently!(challenge.set_ready());
                    begun.map_err(AcmeError::of("cannot begin to be verified"))?;
                } else {
                    let key = challenge.key_authorization();
                    let token = challenge.token.clone();
                    given.give(kind, &host, &token, &key, ways).await?;
                    open += 1;
                }
            }
            if let (false, true, Some(dns)) = (is_ready, given.has_records(), &self.dns) {
                dns.settle().await;
            }
        }
        if open == 0 {
            return Ok(());
        }
        let status = patiently!(order.poll_ready(&polling()));
        match status {
            Ok(OrderStatus::Ready) => Ok(()),
            Ok(_) => Err(why_not(order, kind).await),
            Err(instant_acme::Error::Api(problem)) => Err(match why_not(order, kind).await {
                AcmeError::Nonsense(_) => {
                    AcmeError::of("the order failed")(instant_acme::Error::Api(problem))
                }
                error => error,
            }),
            Err(error) => Err(AcmeError::of("cannot wait to be verified")(error)),
        }
    }
}

/// Fetches everything that is to be verified.
async fn look(order: &mut Order) -> Result<(), instant_acme::Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        authorization?;
    }
    Ok(())
}

/// Tries all ways at first; later one at a time, since authorities count each failure.
fn kinds(all: &[Kind], failures: u32) -> Vec<Kind> {
    match failures as usize {
        0 => all.to_vec(),
        failures => all.iter().copied().cycle().skip(failures).take(1).collect(),
    }
}

async fn begin(
    account: &Account,
    names: &[String],
    old: Option<&CertificateDer<'static>>,
) -> Result<Order, AcmeError> {
    let identifiers: Vec<_> = names.iter().cloned().map(Identifier::Dns).collect();
    if let Some(id) = old.and_then(identifier) {
        let replacing = NewOrder::new(&identifiers).replaces(id);
        // An authority may refuse to see it as a replacement, and still take the order
        // (RFC 9773 section 5).
        match patiently!(account.new_order(&replacing)) {
            Ok(order) => return Ok(order),
            Err(error) => tracing::debug!(%error, "order as a replacement refused"),
        }
    }
    let order = patiently!(account.new_order(&NewOrder::new(&identifiers)));
    order.map_err(AcmeError::of("the authority does not take the order"))
}

/// What the authority was not content with.
async fn why_not(order: &mut Order, kind: Kind) -> AcmeError {
    // What cannot be seen has no reason to give.
    let _ = patiently!(look(order));
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if patiently!(authorization.refresh()).is_err() {
            continue;
        }
        let host = authorization.identifier().to_string();
        let failed = authorization
            .challenges
            .iter()
            .find(|challenge| challenge.status == ChallengeStatus::Invalid);
        if let Some(challenge) = failed {
            let problem = challenge.error.as_ref();
            let detail = problem.and_then(|problem| problem.detail.clone());
            return AcmeError::Unverified {
                host,
                kind,
                detail: detail.unwrap_or_else(|| "it does not say why".into()),
            };
        }
    }
    AcmeError::Nonsense("an order that is neither good nor bad")
}

/// Sends the request for a certificate with a key of its own, and takes the certificate.
async fn finish(order: &mut Order, names: &[String]) -> Result<(String, KeyPair), AcmeError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    let sent = patiently!(order.finalize_csr(request.der()));
    sent.map_err(AcmeError::of("the authority does not take the request"))?;
    let chain = patiently!(order.poll_certificate(&polling()));
    let chain = chain.map_err(AcmeError::of("the certificate does not come"))?;
    Ok((chain, key))
}

fn polling() -> RetryPolicy {
    RetryPolicy::new()
        .initial_delay(Duration::from_millis(250))
        .backoff(1.6)
        .timeout(POLLING)
}

/// For a whole order, with records that take long.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// For the authority to ask, and to issue. They look from several places, one after the other.
const POLLING: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_are_tried_once_and_then_in_turn() {
        let all = [Kind::TlsAlpn, Kind::Http];
        assert_eq!(kinds(&all, 0), all);
        assert_eq!(kinds(&all, 1), [Kind::Http]);
        assert_eq!(kinds(&all, 2), [Kind::TlsAlpn]);
        assert_eq!(kinds(&all[..1], 3), [Kind::TlsAlpn]);
    }
}
