//! What the relay answers to a certificate authority that asks whether a host is served here.
//!
//! There are two ways to be asked: in a handshake with the protocol `acme-tls/1` (RFC 8737), and by
//! a request without TLS (RFC 8555 section 8.3). There is an answer only while an order waits for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use adit_shared::quic::tls;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{Accepted, ClientHello};
use rustls::sign::CertifiedKey;

use super::CertificateError;
use super::issued::Issued;

/// The protocol of a handshake that only asks (RFC 8737 section 6.2).
pub const PROTOCOL: &[u8] = b"acme-tls/1";

/// The path of a request that only asks, before its token (RFC 8555 section 8.3).
const PATH: &str = "/.well-known/acme-challenge/";

/// All answers that are to be given now. Cheap to clone.
#[derive(Clone, Default)]
pub struct Challenges(Arc<RwLock<Answers>>);

#[derive(Default)]
struct Answers {
    /// By host.
    tls: HashMap<String, Arc<CertifiedKey>>,
    /// By token.
    http: HashMap<String, String>,
}

impl Challenges {
    /// Answers handshakes for `host` with this digest, until the answer is dropped.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] when no certificate can be made for the host.
    pub fn answer_tls(&self, host: &str, digest: &[u8]) -> Result<Answer, CertificateError> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let der = PrivatePkcs8KeyDer::from(key.serialize_der());
        let chain = vec![certificate.der().clone()];
        let signing = tls::provider()
            .key_provider
            .load_private_key(der.into())
            .map_err(CertificateError::Key)?;
        // The extension must be critical, so the TLS library would not take it for a server's.
        let certificate = CertifiedKey::new(chain, signing);
        self.change(|answers| answers.tls.insert(host.to_owned(), Arc::new(certificate)));
        Ok(self.until_dropped(Way::Tls(host.to_owned())))
    }

    /// Answers requests for `token` with this text, until the answer is dropped.
    pub fn answer_http(&self, token: &str, text: &str) -> Answer {
        self.change(|answers| answers.http.insert(token.to_owned(), text.to_owned()));
        self.until_dropped(Way::Http(token.to_owned()))
    }

    /// The answer to a request for this path.
    pub fn at_path(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(PATH)?;
        let answers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        answers.http.get(token).cloned()
    }

    /// The answer to a handshake for this name.
    pub(super) fn in_handshake(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let answers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        answers.tls.get(name?).cloned()
    }

    fn until_dropped(&self, way: Way) -> Answer {
        Answer {
            challenges: self.clone(),
            way,
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Answers) -> T) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges")
    }
}

/// Waits while the first certificate for this handshake is on its way, for a few seconds at most,
/// unless it only asks. Safe to drop.
pub async fn wait(accepted: &Accepted, issued: Option<&Issued>) {
    if let Some(issued) = issued {
        let host = {
            let hello = accepted.client_hello();
            let host = hello.server_name().map(str::to_owned);
            host.filter(|_| !only_asks(&hello))
        };
        if let Some(host) = host {
            issued.arrived(&host).await;
        }
    }
}

/// Whether a handshake only asks: it must offer this protocol and no other (RFC 8737 section 3).
pub(super) fn only_asks(hello: &ClientHello<'_>) -> bool {
    let Some(mut offered) = hello.alpn() else {
        return false;
    };
    offered.next() == Some(PROTOCOL) && offered.next().is_none()
}

/// An answer that is given until this is dropped.
#[derive(Debug)]
pub struct Answer {
    challenges: Challenges,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Tls(String),
    Http(String),
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.challenges.change(|answers| match &self.way {
            Way::Tls(host) => drop(answers.tls.remove(host)),
            Way::Http(token) => drop(answers.http.remove(token)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_answer_only_until_it_is_dropped() {
        let challenges = Challenges::default();
        let tls = challenges.answer_tls("a.example.com", &[7; 32]).unwrap();
        let http = challenges.answer_http("token", "text");
        let path = "/.well-known/acme-challenge/token";
        assert_eq!(challenges.at_path(path).unwrap(), "text");
        assert_eq!(challenges.at_path(&format!("{path}/")), None);
        assert_eq!(challenges.at_path("token"), None);
        assert!(challenges.in_handshake(Some("a.example.com")).is_some());
        assert!(challenges.in_handshake(Some("b.example.com")).is_none());
        assert!(challenges.in_handshake(None).is_none());
        drop((tls, http));
        assert_eq!(challenges.at_path(path), None);
        assert!(challenges.in_handshake(Some("a.example.com")).is_none());
    }
}
