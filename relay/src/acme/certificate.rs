//! What comes of an order: a certificate with its key.

use std::time::SystemTime;

use adit_shared::certificate;
use instant_acme::CertificateIdentifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, Der, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::AcmeError;

/// A certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    /// It, and those that lead to a root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// From when on it is valid.
    pub since: SystemTime,
    /// Until when.
    pub until: SystemTime,
}

impl Certificate {
    /// Reads the chain that an authority issued, as PEM, for a key as PKCS #8.
    ///
    /// # Errors
    ///
    /// [`AcmeError::Nonsense`] when it holds no certificate, or none that says how long it is valid.
    pub fn read(chain: &str, key: Vec<u8>) -> Result<Self, AcmeError> {
        let nonsense = AcmeError::Nonsense;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let chain = chain.map_err(|_| nonsense("a chain that is no PEM"))?;
        let leaf = chain.first().ok_or_else(|| nonsense("an empty chain"))?;
        let dates =
            certificate::validity(leaf).ok_or_else(|| nonsense("dates that cannot be read"))?;
        let (since, until) = dates.into_inner();
        Ok(Self {
            chain,
            key: PrivatePkcs8KeyDer::from(key).into(),
            since,
            until,
        })
    }
}

/// What the key of a certificate is sealed for.
pub(super) fn purpose(name: &str) -> String {
    format!("certificate {name}")
}

/// As records have it.
pub(super) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// What it is called when its authority is asked about it (RFC 9773 section 4.1).
pub(super) fn identifier(leaf: &CertificateDer<'_>) -> Option<CertificateIdentifier<'static>> {
    let (authority, serial) = certificate::identifier(leaf)?;
    let id = CertificateIdentifier::new(Der::from_slice(authority), Der::from_slice(serial));
    Some(id.into_owned())
}
