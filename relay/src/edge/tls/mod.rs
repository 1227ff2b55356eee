//! The certificates that the relay shows to visitors and agents.
//!
//! They come from files that the operator brings, from an authority that issues them by ACME
//! (`issued`), or from a development CA of the relay's own. All are in memory before a handshake
//! begins: a stranger's handshake never makes the relay sign or order a certificate or read a file.

pub mod challenge;
mod development;
pub mod issued;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use adit_shared::name::Host;
use adit_shared::quic::tls::{self, Pin, TlsError};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use self::development::Development;
use self::issued::Issued;
use crate::config::{Certificate, Config};

/// What the relay shows, by the name that a client asks for.
pub struct Certificates(Source);

enum Source {
    Files {
        cert: PathBuf,
        key: PathBuf,
        shown: RwLock<Shown>,
    },
    /// Where nothing was issued yet, the development CA's are shown.
    Acme(Arc<Issued>, Box<Development>),
    Development(Box<Development>),
}

/// A certificate with its chain and key, and the pin of that key.
#[derive(Clone)]
struct Shown {
    certificate: Arc<CertifiedKey>,
    pin: Pin,
}

impl Certificates {
    /// What `config` says to show.
    ///
    /// # Errors
    ///
    /// [`CertificateError`].
    pub fn load(config: &Config) -> Result<Self, CertificateError> {
        match &config.certificate {
            Certificate::Files { cert, key } => Self::from_files(cert, key),
            Certificate::Acme(_) => {
                let development = Development::open(&config.state_dir, &config.domain)?;
                let issued = Arc::new(Issued::new(config.domain.clone()));
                Ok(Self(Source::Acme(issued, Box::new(development))))
            }
            Certificate::Development => Self::development(&config.state_dir, &config.domain),
        }
    }

    /// The certificate of a PEM file, with its chain and the key of another, for all names.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] when they cannot be read or do not belong together.
    pub fn from_files(cert: &Path, key: &Path) -> Result<Self, CertificateError> {
        Ok(Self(Source::Files {
            cert: cert.to_owned(),
            key: key.to_owned(),
            shown: RwLock::new(Shown::read(cert, key)?),
        }))
    }

    /// Certificates of the development CA in `state_dir`, which is made when there is none.
    ///
    /// # Errors
    ///
    /// [`CertificateError`].
    pub fn development(state_dir: &Path, domain: &Host) -> Result<Self, CertificateError> {
        let development = Development::open(state_dir, domain)?;
        Ok(Self(Source::Development(Box::new(development))))
    }

    /// Reads the files again.
    ///
    /// # Errors
    ///
    /// [`CertificateError`]; then what was shown goes on being shown.
    pub fn reload(&self) -> Result<(), CertificateError> {
        if let Source::Files { cert, key, shown } = &self.0 {
            let fresh = Shown::read(cert, key)?;
            *shown.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        Ok(())
    }

    /// Makes certificates of the development CA anew that have less than a third of their time
    /// left. Call it every hour or so.
    ///
    /// # Errors
    ///
    /// [`CertificateError`]; then those that were not made yet go on being shown.
    pub fn renew(&self) -> Result<(), CertificateError> {
        match &self.0 {
            Source::Files { .. } => Ok(()),
            Source::Acme(_, development) | Source::Development(development) => development.renew(),
        }
    }

    /// Makes a certificate for exactly this host, if the development CA is in use. The wildcard is
    /// not enough: some clients do not accept `*.localhost`, and an own domain is not below it.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Make`] when no certificate can name this host.
    pub fn issue(&self, host: &Host) -> Result<(), CertificateError> {
        match &self.0 {
            Source::Files { .. } => Ok(()),
            Source::Acme(_, development) | Source::Development(development) => {
                development.issue(host)
            }
        }
    }

    /// Drops what [`issue`](Self::issue) made.
    pub fn forget(&self, host: &Host) {
        if let Source::Acme(_, development) | Source::Development(development) = &self.0 {
            development.forget(host);
        }
    }

    /// What an authority issued, if the relay gets its certificates by ACME.
    pub fn issued(&self) -> Option<&Arc<Issued>> {
        match &self.0 {
            Source::Acme(issued, _) => Some(issued),
            Source::Files { .. } | Source::Development(_) => None,
        }
    }

    /// The pin of the key that agents see. Those of the development CA share one key, which
    /// outlives restarts. None with ACME: agents trust its authority, and each renewal has a new key, which
    /// would lock those out that had pinned the one before.
    pub fn pin(&self) -> Option<Pin> {
        match &self.0 {
            Source::Files { shown, .. } => {
                let shown = shown.read().unwrap_or_else(PoisonError::into_inner);
                Some(shown.pin)
            }
            Source::Acme(..) => None,
            Source::Development(development) => Some(development.pin()),
        }
    }

    /// The file of the development CA, if that is in use: whoever trusts it trusts the relay.
    pub fn ca_path(&self) -> Option<&Path> {
        match &self.0 {
            Source::Files { .. } | Source::Acme(..) => None,
            Source::Development(development) => Some(development.ca_path()),
        }
    }

    fn shown(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        match &self.0 {
            Source::Files { shown, .. } => {
                let shown = shown.read().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(&shown.certificate)
            }
            Source::Acme(issued, development) => issued
                .shown(name)
                .unwrap_or_else(|| development.shown(name)),
            Source::Development(development) => development.shown(name),
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Source::Acme(issued, _) = &self.0
            && challenge::only_asks(&hello)
        {
            return issued.challenges.in_handshake(hello.server_name());
        }
        Some(self.shown(hello.server_name()))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pin() {
            Some(pin) => write!(f, "Certificates({pin})"),
            None => f.write_str("Certificates(issued)"),
        }
    }
}

impl Shown {
    fn read(cert: &Path, key: &Path) -> Result<Self, CertificateError> {
        let chain = tls::read_certificates(cert)?;
        let pin = Pin::of(&chain[0])?;
        let key_der = tls::read_key(key)?;
        let certificate =
            CertifiedKey::from_der(chain, key_der, &tls::provider()).map_err(|error| {
                CertificateError::Mismatch {
                    cert: cert.to_owned(),
                    key: key.to_owned(),
                    error,
                }
            })?;
        Ok(Self {
            certificate: Arc::new(certificate),
            pin,
        })
    }
}

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read, or holds something else.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The key is not that of the certificate.
    #[error("the key in {key} cannot be used with the certificate in {cert}")]
    Mismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What the TLS library says.
        #[source]
        error: rustls::Error,
    },
    /// A file of the development CA cannot be read or made.
    #[error("cannot keep {0}")]
    Keep(PathBuf, #[source] io::Error),
    /// A file of the development CA is something else.
    #[error("{0} does not belong to the development CA here; move it away to have a new one made")]
    Spoiled(PathBuf),
    /// The certificate library refused.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The TLS library refused our own key.
    #[error("cannot use the development key")]
    Key(#[source] rustls::Error),
}

#[cfg(test)]
mod tests;
