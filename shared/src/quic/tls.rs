//! Certificates: how an agent trusts a relay, and what a relay shows.
//!
//! There is no way to trust without checking. Every function takes the crypto provider of
//! [`provider`], so nothing depends on a default of the process.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{
    CryptoProvider, aws_lc_rs as aws, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, ResolvesServerCert};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use rustls_platform_verifier::Verifier;
use thiserror::Error;

/// The cryptography of both programs: AES-128-GCM first, which costs least on common processors,
/// and post-quantum key exchange first.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws::default_provider();
    let fast = rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != fast);
    Arc::new(provider)
}

/// How an agent knows that a relay is the one it means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trust {
    /// A certificate that this machine trusts.
    Platform,
    /// A certificate issued by one of these.
    Roots(Vec<CertificateDer<'static>>),
    /// The certificate with this key, whoever issued it.
    Pin(Pin),
}

/// A TLS client configuration for `trust` that offers `alpn`.
///
/// # Errors
///
/// [`TlsError`] when the machine's trust store or the given roots are unusable.
pub fn client(trust: &Trust, alpn: &[&[u8]]) -> Result<ClientConfig, TlsError> {
    client_by(verifier(trust)?, alpn)
}

/// What decides by `trust` about the certificate that a peer shows.
///
/// # Errors
///
/// [`TlsError`] when the machine's trust store or the given roots are unusable.
pub fn verifier(trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    Ok(match trust {
        Trust::Platform => Arc::new(Verifier::new(provider())?),
        Trust::Roots(certificates) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                roots.add(certificate.clone())?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()?
        }
        Trust::Pin(pin) => Arc::new(PinVerifier::new(*pin)),
    })
}

/// A TLS client configuration that offers `alpn` and leaves trust to `verifier`.
///
/// # Errors
///
/// [`TlsError`] when the provider supports no protocol version.
pub fn client_by(
    verifier: Arc<dyn ServerCertVerifier>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// A TLS server configuration that shows what `certificates` resolves and accepts `alpn`.
///
/// # Errors
///
/// [`TlsError`] when the provider supports no protocol version.
pub fn server(
    certificates: Arc<dyn ResolvesServerCert>,
    alpn: &[&[u8]],
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    // Early data can be replayed, and neither a hello nor a request may be.
    config.max_early_data_size = 0;
    // The strongest that both know; a visitor's order would do as well, but scanners count it as a fault.
    config.ignore_client_order = true;
    Ok(config)
}

/// All certificates of a PEM file.
///
/// # Errors
///
/// [`TlsError`] when it cannot be read or has none.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = fs::read(path).map_err(|error| TlsError::Read(path.to_owned(), error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::NoCertificate(path.to_owned())),
    }
}

/// The private key of a PEM file.
///
/// # Errors
///
/// [`TlsError`] when it cannot be read or has none.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = fs::read(path).map_err(|error| TlsError::Read(path.to_owned(), error))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::NoKey(path.to_owned()))
}

/// SHA-256 over the DER SubjectPublicKeyInfo of a certificate, written `sha256:HEX`.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// The pin of a certificate.
    ///
    /// # Errors
    ///
    /// [`TlsError::Rustls`] when it does not parse.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        let spki = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let mut pin = [0; 32];
        pin.copy_from_slice(digest::digest(&digest::SHA256, &spki).as_ref());
        Ok(Self(pin))
    }
}

impl FromStr for Pin {
    type Err = BadPin;

    fn from_str(text: &str) -> Result<Self, BadPin> {
        let hex = text.strip_prefix("sha256:").ok_or(BadPin)?;
        let pin = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok();
        let pin = pin.and_then(|pin| pin.try_into().ok());
        pin.map(Self).ok_or(BadPin)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", HEXLOWER.encode_display(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a pin.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a pin is written sha256: and 64 hex digits, as the relay prints it")]
pub struct BadPin;

/// Why there is no TLS configuration.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// A file has no certificate.
    #[error("{0} holds no PEM certificate")]
    NoCertificate(PathBuf),
    /// A file has no private key.
    #[error("{0} holds no PEM private key")]
    NoKey(PathBuf),
    /// The TLS library refused a certificate or a setting.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
    /// The given roots cannot be used.
    #[error("the certificates to trust cannot be used")]
    Roots(#[from] VerifierBuilderError),
}

/// Accepts the one certificate with the pinned key. The handshake still proves that the peer owns
/// that key; name and dates of the certificate say nothing more and are not looked at.
#[derive(Debug)]
struct PinVerifier {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl PinVerifier {
    fn new(pin: Pin) -> Self {
        Self {
            pin,
            provider: provider(),
        }
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match Pin::of(end_entity) {
            Ok(pin) if pin == self.pin => Ok(ServerCertVerified::assertion()),
            Ok(pin) => Err(rustls::Error::General(format!(
                "the relay's key is {pin}, which is not the pinned one"
            ))),
            Err(_) => Err(rustls::CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_it_is_written() {
        let text = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(text.parse::<Pin>().unwrap().to_string(), text);
        for bad in [
            "",
            "sha256:",
            "0a0a",
            "sha256:zz",
            &format!("md5:{}", "0a".repeat(32)),
            // A number parser takes a sign for a digit.
            &format!("sha256:{}", "+a".repeat(32)),
        ] {
            assert_eq!(bad.parse::<Pin>(), Err(BadPin));
        }
    }

    #[test]
    fn the_cheapest_cipher_and_post_quantum_exchange_come_first() {
        let provider = provider();
        let first = provider.cipher_suites[0].suite();
        assert_eq!(first, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(
            provider.kx_groups[0].name(),
            rustls::NamedGroup::X25519MLKEM768
        );
    }
}
