//! Whether the relay's certificate is good enough, and what is wrong when it is not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use adit_shared::certificate::{issuer, validity};
use adit_shared::checkup::Row;
use adit_shared::quic::tls::{self, Pin, TlsError, Trust};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::TRUST as NAME;

/// Decides about certificates as an agent would, and remembers the last that it was shown.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    inner: Arc<dyn ServerCertVerifier>,
    shown: Arc<Mutex<Option<Shown>>>,
    now: fn() -> SystemTime,
}

/// A certificate, and what was decided about it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    leaf: CertificateDer<'static>,
    refused: Option<rustls::Error>,
}

impl Witness {
    pub(super) fn new(trust: &Trust, now: fn() -> SystemTime) -> Result<Self, TlsError> {
        Ok(Self {
            inner: tls::verifier(trust)?,
            shown: Arc::default(),
            now,
        })
    }

    /// One that decides alike, and has not seen anything.
    pub(super) fn another(&self) -> Self {
        Self {
            shown: Arc::default(),
            ..self.clone()
        }
    }

    /// What to make a handshake with.
    pub(super) fn client(&self, alpn: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
        let mut config = tls::client_by(Arc::new(self.clone()), &[alpn])?;
        config.time_provider = Arc::new(Clock(self.now));
        Ok(Arc::new(config))
    }

    pub(super) fn shown(&self) -> Option<Shown> {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the certificate is why a handshake failed.
    pub(super) fn has_refused(&self) -> bool {
        self.shown().is_some_and(|shown| shown.refused.is_some())
    }
}

impl Shown {
    /// One of several; if one was good enough, that.
    pub(super) fn best(all: impl Iterator<Item = Option<Self>>) -> Option<Self> {
        all.flatten().min_by_key(|shown| shown.refused.is_some())
    }

    pub(super) fn leaf(&self) -> &CertificateDer<'static> {
        &self.leaf
    }

    fn pin(&self) -> Option<Pin> {
        Pin::of(&self.leaf).ok()
    }

    fn issuer(&self) -> String {
        issuer(&self.leaf).map_or_else(|| "nobody".to_owned(), |name| format!("\"{name}\""))
    }
}

/// What the relay has to show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) host: &'a str,
    pub(super) trust: &'a Trust,
    /// Whether somebody chose how to trust it.
    pub(super) is_given: bool,
}

/// `by_quic` counts, since that is the way of the agent; `by_tcp` is compared with it.
pub(super) fn row(
    expected: Expected<'_>,
    by_quic: Option<&Shown>,
    by_tcp: Option<&Shown>,
    now: SystemTime,
) -> Row {
    let is_reached = by_quic.is_some();
    let other_key = match (by_quic, by_tcp) {
        (Some(quic), Some(tcp)) => quic.pin() != tcp.pin(),
        _ => false,
    };
    let Some(shown) = by_quic.or(by_tcp) else {
        return Row::skipped(NAME, "no certificate was shown");
    };
    if let Some(error) = &shown.refused {
        let (seen, fix) = explain(shown, error, expected, now);
        return Row::fail(NAME, seen, fix);
    }
    if other_key && let Some(tcp) = by_tcp {
        let issuer = tcp.issuer();
        return Row::warn(
            NAME,
            format!(
                "over udp it is the relay's; over tcp another key is shown, issued by {issuer}"
            ),
            "a proxy on the way opens what visitors say over tcp, or another program has that port; \
             agents are safe: they take only the relay's own",
        );
    }
    let until = validity(&shown.leaf).map_or_else(String::new, |range| {
        format!(", valid until {}", day(*range.end()))
    });
    let how = match (expected.trust, expected.is_given) {
        (Trust::Platform, _) => "trusted by this machine",
        (Trust::Roots(_), true) => "trusted by --relay-ca",
        (Trust::Roots(_), false) => "the CA of this machine's own relay",
        (Trust::Pin(_), _) => "with the pinned key",
    };
    let way = if is_reached { "" } else { " (over tcp)" };
    Row::ok(
        NAME,
        format!("issued by {}, {how}{until}{way}", shown.issuer()),
    )
}

/// What is wrong with a certificate, and what to do.
fn explain(
    shown: &Shown,
    error: &rustls::Error,
    expected: Expected<'_>,
    now: SystemTime,
) -> (String, String) {
    let Expected { host, trust, .. } = expected;
    use CertificateError as E;
    let by = shown.issuer();
    if let (Trust::Pin(pin), Some(own)) = (trust, shown.pin()) {
        return (
            format!("its key is {own}, issued by {by}, and not the pinned {pin}"),
            "compare with the --pin that the relay prints when it starts; if that is another than \
             here, a proxy on the way intercepts TLS"
                .to_owned(),
        );
    }
    let rustls::Error::InvalidCertificate(error) = error else {
        return (error.to_string(), super::TRUST_FIX.to_owned());
    };
    match error {
        E::Expired | E::ExpiredContext { .. } => (
            format!(
                "the certificate, issued by {by}, has expired{}",
                since(shown, true)
            ),
            format!(
                "have the relay's certificate renewed; or set the clock here, if {} is wrong",
                day(now)
            ),
        ),
        E::NotValidYet | E::NotValidYetContext { .. } => (
            format!(
                "the certificate, issued by {by}, is not valid yet{}",
                since(shown, false)
            ),
            format!("set the clock here, if {} is wrong", day(now)),
        ),
        E::NotValidForName => (
            format!("the certificate, issued by {by}, is not for {host}"),
            OTHER_NAME.to_owned(),
        ),
        E::NotValidForNameContext { presented, .. } => (
            format!(
                "the certificate, issued by {by}, is not for {host}, but for {}",
                if presented.is_empty() {
                    "no name".to_owned()
                } else {
                    presented.join(", ")
                }
            ),
            OTHER_NAME.to_owned(),
        ),
        // A stranger may bear the name of a CA, too.
        E::UnknownIssuer | E::BadSignature => {
            let who = match trust {
                Trust::Roots(_) => "the CA of the relay does not vouch for",
                Trust::Platform | Trust::Pin(_) => "this machine does not trust",
            };
            (
                format!("issued by {by}, whom {who}"),
                "if the relay has a certificate of its own, give the --pin that it prints when it \
                 starts; if that is the CA of a proxy of your network, it intercepts TLS: have it \
                 let this host through"
                    .to_owned(),
            )
        }
        other => (
            format!("the certificate, issued by {by}: {other}"),
            "have the relay's certificate issued anew, or give its --pin".to_owned(),
        ),
    }
}

fn since(shown: &Shown, is_over: bool) -> String {
    validity(&shown.leaf).map_or_else(String::new, |range| {
        if is_over {
            format!(" on {}", day(*range.end()))
        } else {
            format!(", only from {}", day(*range.start()))
        }
    })
}

fn day(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(
        |_| "?".to_owned(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let inner = &self.inner;
        let decided =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let shown = Shown {
            leaf: end_entity.clone().into_owned(),
            refused: decided.as_ref().err().cloned(),
        };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        decided
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[derive(Debug)]
struct Clock(fn() -> SystemTime);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = (self.0)().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

const OTHER_NAME: &str = "call the relay by a name of its certificate; if it is another server's, check host and port; \
                          for a relay called by its address give --pin or --relay-ca";
