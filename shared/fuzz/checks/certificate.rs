//! What is read of a certificate is a part of it, whether it comes alone or in a chain of PEM.

use adit_relay::acme::certificate::Certificate;
use adit_shared::certificate::{identifier, issuer, validity};
use adit_shared::quic::tls::Pin;
use rustls::pki_types::CertificateDer;

pub(crate) fn check(data: &[u8]) {
    read(data);
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Ok(certificate) = Certificate::read(text, Vec::new()) else {
        return;
    };
    let leaf = certificate.chain.first().expect("a chain has a leaf");
    let dates = validity(leaf).expect("a leaf says how long it is valid");
    assert_eq!(
        (*dates.start(), *dates.end()),
        (certificate.since, certificate.until)
    );
    for one in &certificate.chain {
        read(one);
    }
}

fn read(bytes: &[u8]) {
    let certificate = CertificateDer::from(bytes);
    if let Some(name) = issuer(&certificate) {
        // What is not UTF-8 grows by at most this.
        assert!(name.len() <= 3 * bytes.len());
    }
    if let Some((authority, serial)) = identifier(&certificate) {
        for part in [authority, serial] {
            let inside = bytes.windows(part.len().max(1)).any(|at| at == part);
            assert!(part.is_empty() || inside);
        }
    }
    // The pin is of the key alone.
    if let (Ok(pin), Ok(again)) = (
        Pin::of(&certificate),
        Pin::of(&certificate.clone().into_owned()),
    ) {
        assert_eq!(pin, again);
    }
    let _ = validity(&certificate);
}
