//! Certificates that an authority issued to this relay, by the name they are for, and the names that
//! wait for their first one.
//!
//! While the first certificate of a name is on its way, handshakes for it wait a few seconds rather
//! than see one that they cannot trust: the URL that an agent has just printed works from the start.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use adit_shared::name::Host;
use adit_shared::quic::tls;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tokio::time::timeout;

use super::CertificateError;
use super::challenge::Challenges;
use crate::metrics::Counter;

/// What was issued. Shared by all shards.
pub struct Issued {
    domain: Host,
    by_name: RwLock<HashMap<String, Entry>>,
    awaited: RwLock<HashMap<String, watch::Sender<()>>>,
    /// What an authority that asks is answered.
    pub challenges: Challenges,
    /// Orders that were begun.
    pub orders: Counter,
    /// Orders that failed.
    pub failures: Counter,
    /// Orders that were not made, because DNS led the host elsewhere.
    pub astray: Counter,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.list().keys()).finish()
    }
}

struct Entry {
    shown: Arc<CertifiedKey>,
    until: SystemTime,
}

impl Issued {
    pub(crate) fn new(domain: Host) -> Self {
        Self {
            domain,
            by_name: RwLock::default(),
            awaited: RwLock::default(),
            challenges: Challenges::default(),
            orders: Counter::default(),
            failures: Counter::default(),
            astray: Counter::default(),
        }
    }

    /// Shows this certificate for `name` from now on; connections that are open go on.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Key`] when the key cannot be used with the certificate.
    pub fn install(
        &self,
        name: &str,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        until: SystemTime,
    ) -> Result<(), CertificateError> {
        let shown = CertifiedKey::from_der(chain, key, &tls::provider());
        let shown = Arc::new(shown.map_err(CertificateError::Key)?);
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(name.to_owned(), Entry { shown, until });
        drop(by_name);
        self.stop_waiting(name);
        Ok(())
    }

    /// Shows the certificate for `name` no more.
    pub fn remove(&self, name: &str) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.remove(name);
    }

    /// Whether a certificate that is still valid names this host.
    pub fn covers(&self, host: &str) -> bool {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        self.find(&by_name, host)
            .is_some_and(|entry| entry.until > now)
    }

    /// Names and until when their certificates are valid.
    pub fn list(&self) -> BTreeMap<String, SystemTime> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let all = by_name.iter();
        all.map(|(name, entry)| (name.clone(), entry.until))
            .collect()
    }

    /// From now on handshakes for `name` wait for its first certificate, if it has none.
    pub fn wait_for(&self, name: &str) {
        if !self.covers(name) {
            let mut awaited = self.awaited.write().unwrap_or_else(PoisonError::into_inner);
            awaited
                .entry(name.to_owned())
                .or_insert_with(|| watch::channel(()).0);
        }
    }

    /// Nothing comes soon: handshakes see what there is.
    pub fn stop_waiting(&self, name: &str) {
        let mut awaited = self.awaited.write().unwrap_or_else(PoisonError::into_inner);
        awaited.remove(name);
    }

    /// Waits while the first certificate for `host` is on its way, for a few seconds at most. Safe
    /// to drop.
    pub async fn arrived(&self, host: &str) {
        let coming = {
            let awaited = self.awaited.read().unwrap_or_else(PoisonError::into_inner);
            let coming = awaited
                .get(host)
                .or_else(|| awaited.get(&self.wildcard(host)?));
            coming.map(watch::Sender::subscribe)
        };
        if let Some(mut coming) = coming {
            // Nothing is ever sent: what is heard is that nobody waits any more.
            drop(timeout(PATIENCE, coming.changed()).await);
        }
    }

    pub(super) fn shown(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let entry = match name {
            Some(name) => self.find(&by_name, name),
            // An agent of an operator who dials an address.
            None => self.find(&by_name, self.domain.as_str()),
        };
        entry.map(|entry| Arc::clone(&entry.shown))
    }

    fn find<'a>(&self, by_name: &'a HashMap<String, Entry>, host: &str) -> Option<&'a Entry> {
        let own = by_name.get(host);
        let now = SystemTime::now();
        // One of its own may be left from before there was a wildcard, and end.
        own.filter(|entry| entry.until > now)
            .or_else(|| by_name.get(&self.wildcard(host)?))
            .or(own)
    }

    /// The name of the certificate for the domain and all names below it, if this is one of them.
    fn wildcard(&self, host: &str) -> Option<String> {
        let domain = self.domain.as_str();
        let is_below = || {
            let label = host.strip_suffix(domain)?.strip_suffix('.')?;
            (!label.is_empty() && !label.contains('.')).then_some(())
        };
        (host == domain || is_below().is_some()).then(|| wildcard(&self.domain))
    }
}

/// The name of the certificate for a domain and all names below it.
pub fn wildcard(domain: &Host) -> String {
    format!("*.{domain}")
}

/// An order takes some seconds; most visitors wait longer than this for a handshake.
const PATIENCE: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use adit_shared::task::Tasks;
    use tokio::time::Instant;
    use tracing::Span;

    use super::*;

    fn install(issued: &Issued, name: &str, until: SystemTime) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let chain = vec![made.cert.der().clone()];
        let key = made.signing_key.serialize_der().try_into().unwrap();
        issued.install(name, chain, key, until).unwrap();
    }

    fn issued() -> Issued {
        Issued::new("relay.example.com".parse().unwrap())
    }

    #[test]
    fn the_wildcard_covers_the_domain_and_one_label_below_it() {
        let issued = issued();
        let later = SystemTime::now() + Duration::from_secs(60);
        install(&issued, "*.relay.example.com", later);
        for (host, covered) in [
            ("relay.example.com", true),
            ("app.relay.example.com", true),
            ("a.b.relay.example.com", false),
            ("example.com", false),
            ("xrelay.example.com", false),
            ("app.customer.com", false),
        ] {
            assert_eq!(issued.covers(host), covered, "{host}");
            assert_eq!(issued.shown(Some(host)).is_some(), covered, "{host}");
        }
        assert!(issued.shown(None).is_some());
        // One that has ended does not stand in the way of another.
        install(&issued, "app.relay.example.com", SystemTime::now());
        assert!(issued.covers("app.relay.example.com"));
        // A certificate that has ended is better than one that nobody trusts, but it must be ordered.
        install(&issued, "*.relay.example.com", SystemTime::now());
        assert!(!issued.covers("relay.example.com"));
        assert!(issued.shown(Some("relay.example.com")).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_waits_for_a_first_certificate_and_not_for_ever() {
        let issued = Arc::new(issued());
        let start = Instant::now();
        issued.arrived("app.customer.com").await;
        assert_eq!(start.elapsed(), Duration::ZERO);

        issued.wait_for("app.customer.com");
        issued.arrived("app.customer.com").await;
        assert_eq!(start.elapsed(), PATIENCE);

        let tasks = Tasks::default();
        let waiting = issued.clone();
        tasks.spawn(Span::none(), async move {
            waiting.arrived("app.customer.com").await;
        });
        tokio::task::yield_now().await;
        assert!(!tasks.is_empty());
        let later = SystemTime::now() + Duration::from_secs(60);
        install(&issued, "app.customer.com", later);
        tasks.ended().await;
        assert_eq!(start.elapsed(), PATIENCE);
        // Once it is there nobody waits for the next one.
        issued.wait_for("app.customer.com");
        issued.arrived("app.customer.com").await;
        assert_eq!(start.elapsed(), PATIENCE);
    }
}
