//! A connection to the origin.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::quic::tls::{self, Trust};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::OriginError;
use super::addresses::Addresses;
use crate::config::{Origin, Scheme};

/// Opens connections to one origin.
#[derive(Debug)]
pub struct Dialer {
    target: Target,
    tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
}

#[derive(Debug)]
enum Target {
    Tcp(Box<Addresses>),
    Unix(PathBuf),
}

/// The bytes of a connection, whatever carries them.
pub trait Io: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Io for T {}

/// A connection, and what it speaks.
#[derive(Debug)]
pub struct Fresh {
    /// The bytes.
    pub io: Box<dyn Io>,
    /// Whether HTTP/2 was agreed on.
    pub is_h2: bool,
}

impl Dialer {
    /// For an origin that is a server.
    ///
    /// # Errors
    ///
    /// [`OriginError::Tls`] when TLS cannot be set up.
    pub fn new(origin: &Origin) -> Result<Self, OriginError> {
        let (host, port, https) = match origin {
            Origin::Tcp {
                host,
                port,
                scheme,
                insecure,
            } => {
                let https = (*scheme == Scheme::Https).then_some(*insecure);
                (host.clone(), *port, https)
            }
            Origin::Unix { path } => {
                return Ok(Self {
                    target: Target::Unix(path.clone()),
                    tls: None,
                });
            }
            Origin::Echo => return Err(OriginError::Invalid("the built-in origin is not dialled")),
        };
        let tls = match https {
            Some(insecure) => {
                let mut config = tls::client(&Trust::Platform, ALPN).map_err(tls_error)?;
                if insecure {
                    config
                        .dangerous()
                        .set_certificate_verifier(Arc::new(AnyCertificate));
                }
                let name = ServerName::try_from(host.clone()).map_err(tls_error)?;
                Some((Arc::new(config), name))
            }
            None => None,
        };
        Ok(Self {
            target: Target::Tcp(Box::new(Addresses::new(host, port))),
            tls,
        })
    }

    /// Whether connections are made over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Opens a connection. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`OriginError::Connect`] or [`OriginError::Tls`].
    pub async fn dial(&self) -> Result<Fresh, OriginError> {
        self.dial_with(ALPN).await
    }

    /// Opens a connection that speaks HTTP/1.1. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`OriginError::Connect`] or [`OriginError::Tls`].
    pub async fn dial_http1(&self) -> Result<Box<dyn Io>, OriginError> {
        Ok(self.dial_with(&ALPN[1..]).await?.io)
    }

    async fn dial_with(&self, alpn: &[&[u8]]) -> Result<Fresh, OriginError> {
        let late = |_| OriginError::Connect(io::ErrorKind::TimedOut.into());
        match &self.target {
            Target::Unix(path) => {
                let connect = timeout(CONNECT, UnixStream::connect(path))
                    .await
                    .map_err(late)?;
                let io = Box::new(connect.map_err(OriginError::Connect)?);
                Ok(Fresh { io, is_h2: false })
            }
            Target::Tcp(addresses) => {
                let connect = timeout(CONNECT, addresses.connect()).await.map_err(late)?;
                let stream = connect.map_err(OriginError::Connect)?;
                let Some((config, name)) = &self.tls else {
                    return Ok(Fresh {
                        io: Box::new(stream),
                        is_h2: false,
                    });
                };
                let alpn = alpn.iter().map(|protocol| protocol.to_vec()).collect();
                let connector = TlsConnector::from(config.clone());
                let handshake = connector.with_alpn(alpn).connect(name.clone(), stream);
                let stream = timeout(CONNECT, handshake)
                    .await
                    .map_err(late)?
                    .map_err(tls_error)?;
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Ok(Fresh {
                    io: Box::new(stream),
                    is_h2,
                })
            }
        }
    }

    /// Whether a connection can be opened now, without saying anything on it; one that
    /// takes longer than requests wait for is none. Safe to drop.
    pub async fn probe(&self) -> bool {
        let probe = async {
            match &self.target {
                Target::Unix(path) => UnixStream::connect(path).await.is_ok(),
                Target::Tcp(addresses) => addresses.connect().await.is_ok(),
            }
        };
        timeout(CONNECT, probe).await.unwrap_or(false)
    }
}

fn tls_error(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OriginError {
    OriginError::Tls(error.into())
}

/// For `--origin-insecure`: a self-signed origin on the user's own machine.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];
/// How long connecting may take, and a TLS handshake again.
const CONNECT: Duration = Duration::from_secs(5);
