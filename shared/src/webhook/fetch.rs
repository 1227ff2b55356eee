//! What has to be fetched for webhooks: certificates that requests name, and the URL that confirms a
//! subscription. The only I/O of the engine.
//!
//! Strangers can make it fetch, so everything is bounded: where from ([`issued`](super::issued)), how much, for how
//! long, how many at once and in a minute. What was fetched is kept for a day, what could not be for a minute.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::issued::certificate;
use crate::https::{Client, HttpError};
use crate::quic::tls::Trust;

/// Fetches. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Fetch(Arc<Shared>);

/// How the servers are found and believed from which something is fetched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Way {
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Where all servers are, whatever DNS says: for tests that have them on loopback.
    pub at: Option<SocketAddr>,
}

impl Default for Way {
    /// As this machine does.
    fn default() -> Self {
        Self {
            trust: Trust::Platform,
            at: None,
        }
    }
}

#[derive(Debug)]
struct Shared {
    way: Way,
    /// Made when it is first needed.
    client: OnceLock<Option<Client>>,
    known: Mutex<Known>,
    at_once: Semaphore,
}

#[derive(Debug, Default)]
struct Known {
    certificates: HashMap<String, Entry>,
    /// When the minute began in which fetches are counted.
    since: Option<Instant>,
    fetched: u32,
}

#[derive(Clone, Debug)]
struct Entry {
    at: Instant,
    /// Nothing when it could not be fetched.
    certificate: Option<CertificateDer<'static>>,
}

impl Fetch {
    /// Nothing is fetched yet.
    pub fn new(way: Way) -> Self {
        Self(Arc::new(Shared {
            way,
            client: OnceLock::new(),
            known: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
        }))
    }

    /// The certificate at `url`, which must be of a [`Place`](super::issued::Place); nothing when it cannot be had.
    /// Safe to drop.
    pub async fn certificate(&self, url: &str) -> Option<CertificateDer<'static>> {
        let known = || self.known().certificate(url, Instant::now());
        if let Some(entry) = known() {
            return entry.certificate;
        }
        let room = timeout(PATIENCE, self.0.at_once.acquire()).await;
        let _room = room.ok()?.ok()?;
        // Somebody may have had it fetched meanwhile.
        if let Some(entry) = known() {
            return entry.certificate;
        }
        let certificate = match self.get(url).await {
            Ok(body) => certificate(&body),
            Err(why) => {
                tracing::warn!(url, %why, "the certificate of a webhook cannot be had");
                None
            }
        };
        self.known().keep(url, certificate.clone(), Instant::now());
        certificate
    }

    /// Asks for `url`, which must be of a [`Place`](super::issued::Place), by which a subscription is confirmed. Safe
    /// to drop.
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub async fn confirm(&self, url: &str) -> Result<(), FetchError> {
        let room = timeout(PATIENCE, self.0.at_once.acquire()).await;
        let _room = room.map_err(|_| FetchError::TooMany)?;
        self.get(url).await.map(drop)
    }

    async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        if !self.known().may_fetch(Instant::now()) {
            return Err(FetchError::TooMany);
        }
        let shared = &self.0;
        let client = shared.client.get_or_init(|| {
            let made = Client::new(&shared.way.trust, PATIENCE, LARGEST);
            made.map(|client| client.at(shared.way.at)).ok()
        });
        let client = client.as_ref().ok_or(FetchError::Trust)?;
        let request = Request::get(url).header("accept", "*/*");
        let request = request.body(Bytes::new()).map_err(|_| FetchError::Url)?;
        let (head, body) = client.send(request).await?.into_parts();
        if head.status != StatusCode::OK {
            return Err(FetchError::Status(head.status.as_u16()));
        }
        Ok(body)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change is whole.
        let known = self.0.known.lock();
        known.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn certificate(&self, url: &str, now: Instant) -> Option<Entry> {
        let entry = self.certificates.get(url)?;
        let lasts = if entry.certificate.is_some() {
            DAY
        } else {
            MINUTE
        };
        (now.duration_since(entry.at) < lasts).then(|| entry.clone())
    }

    /// Forgets the oldest when there are too many, and first those that there are none of.
    fn keep(&mut self, url: &str, certificate: Option<CertificateDer<'static>>, now: Instant) {
        let entry = Entry {
            at: now,
            certificate,
        };
        self.certificates.insert(url.to_owned(), entry);
        if self.certificates.len() > MOST {
            let entries = self.certificates.iter();
            let oldest = entries.min_by_key(|(_, entry)| (entry.certificate.is_some(), entry.at));
            if let Some(oldest) = oldest.map(|(url, _)| url.clone()) {
                self.certificates.remove(&oldest);
            }
        }
    }

    fn may_fetch(&mut self, now: Instant) -> bool {
        if self
            .since
            .is_none_or(|since| now.duration_since(since) >= MINUTE)
        {
            (self.since, self.fetched) = (Some(now), 0);
        }
        self.fetched += 1;
        self.fetched <= IN_A_MINUTE
    }
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// So that nobody has others flooded through us.
    #[error("too much was fetched within a minute, or is being fetched")]
    TooMany,
    /// That is no URL.
    #[error("this is no URL")]
    Url,
    /// There are no roots to believe a server by.
    #[error("this machine's trusted certificates cannot be used")]
    Trust,
    /// It is not there.
    #[error("the answer has status {0}")]
    Status(u16),
    /// There was no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// Amazon waits 15 s for an answer, and it has to be checked and handled then.
const PATIENCE: Duration = Duration::from_secs(5);
/// A chain of certificates has some kilobytes.
const LARGEST: usize = 64 << 10;
const AT_ONCE: usize = 4;
/// More than any provider has in use.
const MOST: usize = 64;
const IN_A_MINUTE: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// Certificates are changed about once a year, and their URL with them.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_have_fetched_is_bounded() {
        let (mut known, now) = (Known::default(), Instant::now());
        known.keep("good", Some(vec![1].into()), now);
        for at in 0..MOST + 9 {
            let now = now + Duration::from_millis(at as u64);
            known.keep(&format!("bad {at}"), None, now);
        }
        assert_eq!(known.certificates.len(), MOST);
        let good = known.certificate("good", now + MINUTE).unwrap();
        assert!(good.certificate.is_some());
        assert!(known.certificate("good", now + DAY).is_none());
        let last = format!("bad {}", MOST + 8);
        assert!(known.certificate(&last, now).unwrap().certificate.is_none());
        assert!(
            known.certificate(&last, now + 2 * MINUTE).is_none(),
            "tried again"
        );
        for _ in 0..IN_A_MINUTE {
            assert!(known.may_fetch(now));
        }
        assert!(!known.may_fetch(now));
        assert!(known.may_fetch(now + MINUTE));
    }
}
