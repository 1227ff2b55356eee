//! Signatures whose key is in a certificate that the request names: where that may lie, and the key in it.
//!
//! Whoever sends a request chooses the URL, so it must lie at the provider's own host, over HTTPS, and the host
//! proves itself by the certificate of its TLS. Nothing is fetched here: that is
//! [`fetch`](super::fetch)'s.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::ParsedCertificate;

use crate::certificate::validity;

/// Where a provider's documents lie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The host; a label `*` stands for any.
    pub host: &'static str,
    /// What the path begins with.
    pub path: &'static str,
}

impl Place {
    /// Whether `url` is such a place, without a port, a user, or anything that two readers could read in two ways.
    pub fn has(&self, url: &str) -> bool {
        let Some(rest) = url
            .strip_prefix("https://")
            .filter(|_| url.len() <= MAX_URL)
        else {
            return false;
        };
        let Some(slash) = rest.find('/') else {
            return false;
        };
        let (host, path) = rest.split_at(slash);
        let is_label = |label: &str| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !label.is_empty() && label.bytes().all(plain)
        };
        let (mut labels, mut wanted) = (host.split('.'), self.host.split('.'));
        let is_host = loop {
            match (labels.next(), wanted.next()) {
                (None, None) => break true,
                (Some(label), Some("*")) if is_label(label) => {}
                (Some(label), Some(want)) if label == want => {}
                _ => break false,
            }
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~?&=:%+".contains(&byte);
        is_host && path.starts_with(self.path) && path.bytes().all(is_plain) && !path.contains("..")
    }
}

/// The first certificate in a PEM text.
pub fn certificate(pem: &[u8]) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem).ok()
}

/// The public key of a certificate that is valid at `now`, as a `SubjectPublicKeyInfo`.
pub(super) fn key(certificate: &CertificateDer<'_>, now: SystemTime) -> Option<Vec<u8>> {
    if !validity(certificate)?.contains(&now) {
        return None;
    }
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    Some(parsed.subject_public_key_info().to_vec())
}

/// In bytes; Amazon's confirmations have some hundreds.
const MAX_URL: usize = 2048;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::webhook::challenge::confirmation;
    use crate::webhook::verify::certificate_url;
    use crate::webhook::{Message, Secret, Unverified, provider, verify};
    use crate::wire::fields::Fields;

    /// Made with OpenSSL's programs and Python, from what Amazon and PayPal document.
    const PEM: &[u8] = include_bytes!("samples/certificate.pem");
    const SNS: [&str; 2] = [
        include_str!("samples/sns-1.json"),
        include_str!("samples/sns-2.json"),
    ];
    const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:orders";

    fn secret(text: &str) -> Vec<Secret> {
        vec![Secret::new("another").unwrap(), Secret::new(text).unwrap()]
    }

    fn at(year: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_556_952)
    }

    fn sns(body: &str, topic: &str, pem: Option<&[u8]>, year: u64) -> Result<(), Unverified> {
        let fields = Fields::new();
        let mut message = Message::new("POST", "", &fields, body.as_bytes());
        message.certificate = pem.and_then(certificate);
        let sns = provider("sns").unwrap();
        verify(sns, &secret(topic), &message, at(year), None)
    }

    #[test]
    fn a_message_of_sns_is_for_one_topic_and_signed_by_amazons_certificate() {
        for body in SNS {
            assert_eq!(sns(body, TOPIC, Some(PEM), 2026), Ok(()));
            assert_eq!(sns(body, TOPIC, None, 2026), Err(Unverified::NoCertificate));
            let topic = TOPIC.replace("orders", "order");
            let mismatch = Err(Unverified::Mismatch);
            assert_eq!(sns(body, &topic, Some(PEM), 2026), mismatch);
            assert_eq!(sns(body, TOPIC, Some(PEM), 2019), mismatch, "not yet valid");
            for (part, other) in [
                ("order", "ordre"),
                ("22b80b92", "22b80b93"),
                ("sns.eu-central-1.amazonaws.com/Simple", "evil.test/Simple"),
                ("\"Timestamp\"", "\"Token\": \"x\", \"Timestamp\""),
                ("Notification", "SubscriptionConfirmation"),
            ] {
                let changed = body.replacen(part, other, 1);
                assert_ne!(changed, body, "{part}");
                assert_eq!(sns(&changed, TOPIC, Some(PEM), 2026), mismatch, "{part}");
            }
        }
        // Version 1 is SHA-1, and what was made by one is nothing to the other.
        let other = SNS[1].replace("\"SignatureVersion\": \"2\"", "\"SignatureVersion\": \"1\"");
        assert_eq!(
            sns(&other, TOPIC, Some(PEM), 2026),
            Err(Unverified::Mismatch)
        );
        assert_eq!(sns("{}", TOPIC, Some(PEM), 2026), Err(Unverified::Unsigned));
    }

    #[test]
    fn nothing_is_fetched_for_a_message_to_others() {
        let fields = Fields::new();
        let url = |body: &str, topic: &str| {
            let message = Message::new("POST", "", &fields, body.as_bytes());
            certificate_url(provider("sns").unwrap(), &secret(topic), &message)
        };
        let found = url(SNS[0], TOPIC).unwrap();
        assert!(found.starts_with("https://sns.eu-central-1.amazonaws.com/"));
        assert_eq!(url(SNS[0], "arn:aws:sns:eu-central-1:1:mine"), None);
        let elsewhere = SNS[0].replace("https://sns.", "https://s3.");
        assert_eq!(url(&elsewhere, TOPIC), None);
        let unsigned = SNS[0].replace("\"Signature\"", "\"Other\"");
        assert_eq!(url(&unsigned, TOPIC), None);
    }

    #[test]
    fn only_amazon_is_asked_to_confirm() {
        let fields = Fields::new();
        let url = |body: &str| {
            assert_eq!(sns(body, TOPIC, Some(PEM), 2026), Ok(()));
            let message = Message::new("POST", "", &fields, body.as_bytes());
            confirmation(provider("sns").unwrap(), &message)
        };
        let found = url(include_str!("samples/sns-confirm.json")).unwrap();
        assert!(
            found
                .starts_with("https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&")
        );
        assert_eq!(url(include_str!("samples/sns-evil.json")), None);
        assert_eq!(url(SNS[1]), None);
    }

    #[test]
    fn a_message_of_paypal_is_for_one_webhook() {
        let sample: Value = serde_json::from_str(include_str!("samples/paypal.json")).unwrap();
        let pairs = sample["fields"].as_object().unwrap().iter();
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
        let pairs: Vec<_> = pairs.collect();
        let webhook = sample["webhook"].as_str().unwrap();
        let body = sample["body"].as_str().unwrap();
        let check = |pairs: &[(&str, &str)], webhook: &str, body: &str| {
            let fields = Fields::from_pairs(pairs.iter().copied()).unwrap();
            let mut message = Message::new("POST", "", &fields, body.as_bytes());
            let paypal = provider("paypal").unwrap();
            let url = certificate_url(paypal, &secret(webhook), &message);
            message.certificate = url.and_then(|_| certificate(PEM));
            verify(paypal, &secret(webhook), &message, at(2026), None)
        };
        let mismatch = Err(Unverified::Mismatch);
        assert_eq!(check(&pairs, webhook, body), Ok(()));
        assert_eq!(check(&pairs, "1JE4291016473214D", body), mismatch);
        assert_eq!(check(&pairs, webhook, &format!("{body} ")), mismatch);
        for (name, other, expected) in [
            ("paypal-transmission-id", "69cd13f0", mismatch),
            ("paypal-transmission-time", "2026-11-30T22:00:13Z", mismatch),
            (
                "paypal-cert-url",
                "https://evil.test/v1/notifications/certs/CERT-1",
                mismatch,
            ),
            (
                "paypal-cert-url",
                "https://www.paypal.com/redirect?to=https://evil.test/",
                mismatch,
            ),
            ("paypal-auth-algo", "SHA1withRSA", Err(Unverified::Unsigned)),
        ] {
            let changed = pairs.iter().map(|(one, value)| match *one == name {
                true => (*one, other),
                false => (*one, *value),
            });
            let changed: Vec<_> = changed.collect();
            assert_eq!(check(&changed, webhook, body), expected, "{name}");
        }
    }

    #[test]
    fn a_certificate_lies_at_its_providers_host_and_nowhere_else() {
        let place = Place {
            host: "sns.*.amazonaws.com",
            path: "/SimpleNotificationService-",
        };
        let good = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem";
        assert!(place.has(good));
        for bad in [
            "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem",
            "https://sns.eu-central-1.amazonaws.com.evil.test/SimpleNotificationService-0a.pem",
            "https://sns.evil.test/SimpleNotificationService-0a.pem",
            "https://sns.a.b.amazonaws.com/SimpleNotificationService-0a.pem",
            "https://sns..amazonaws.com/SimpleNotificationService-0a.pem",
            "https://sns.amazonaws.com/SimpleNotificationService-0a.pem",
            "https://s3.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem",
            "https://sns.eu-central-1.amazonaws.com:8443/SimpleNotificationService-0a.pem",
            "https://sns.eu-central-1.amazonaws.com@evil.test/SimpleNotificationService-0a.pem",
            "https://evil.test\\@sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem",
            "https://evil.test#sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem",
            "https://sns.eu-central-1.amazonaws.com/bucket/SimpleNotificationService-0a.pem",
            "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-/../x.pem",
            "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem\r\nx: y",
            "https://SNS.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem",
            "https://sns.eu-central-1.amazonaws.com",
            "",
        ] {
            assert!(!place.has(bad), "{bad}");
        }
        let long = format!("{good}{}", "x".repeat(MAX_URL));
        assert!(!place.has(&long));
    }
}
