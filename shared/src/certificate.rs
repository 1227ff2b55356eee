//! Who issued a certificate, and when it is valid.
//!
//! The TLS library checks both but does not tell them, so this reads these fields, and nothing else,
//! of a certificate (RFC 5280 section 4.1). It is for telling people, not for trust.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::pki_types::CertificateDer;

/// From when until when the certificate is valid; none when it is not understood.
pub fn validity(certificate: &CertificateDer<'_>) -> Option<RangeInclusive<SystemTime>> {
    let (_, dates, _) = element(element(from_issuer(certificate)?)?.2)?;
    let (tag, since, rest) = element(dates)?;
    let since = time(tag, since)?;
    let (tag, until, _) = element(rest)?;
    Some(since..=time(tag, until)?)
}

/// What the certificate calls its issuer: the common name, or else the organisation. Whoever made
/// the certificate chose the text. None when it has neither.
pub fn issuer(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, mut names, _) = element(from_issuer(certificate)?)?;
    let mut organisation = None;
    while !names.is_empty() {
        let (_, name, rest) = element(names)?;
        names = rest;
        // Hardly ever does a set hold more than one.
        let (_, name, _) = element(name)?;
        let (_, kind, text) = element(name)?;
        let (tag, text, _) = element(text)?;
        if !matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING) {
            continue;
        }
        let text = String::from_utf8_lossy(text).into_owned();
        match kind {
            COMMON_NAME => return Some(text),
            ORGANISATION => organisation = Some(text),
            _ => {}
        }
    }
    organisation
}

/// What names a certificate towards who issued it (RFC 9773 section 4.1): the key identifier of its
/// authority, and its serial number as the bytes of an INTEGER. None when it has no such identifier.
pub fn identifier<'a>(certificate: &'a CertificateDer<'_>) -> Option<(&'a [u8], &'a [u8])> {
    let (_, fields, _) = element(element(certificate)?.1)?;
    let (tag, first, rest) = element(fields)?;
    // An explicit version comes first, if it is not version 1.
    let serial = if tag == VERSION {
        element(rest)?.1
    } else {
        first
    };
    // Issuer, dates, subject, key, then what is optional.
    let mut rest = from_issuer(certificate)?;
    while !rest.is_empty() {
        let (tag, extensions, after) = element(rest)?;
        rest = after;
        if tag == EXTENSIONS {
            return Some((authority(element(extensions)?.1)?, serial));
        }
    }
    None
}

/// The key identifier among these extensions (RFC 5280 section 4.2.1.1).
fn authority(mut extensions: &[u8]) -> Option<&[u8]> {
    while !extensions.is_empty() {
        let (_, extension, rest) = element(extensions)?;
        extensions = rest;
        let (_, kind, mut value) = element(extension)?;
        if kind != AUTHORITY_KEY {
            continue;
        }
        if let (BOOLEAN, _, after) = element(value)? {
            value = after;
        }
        let (_, fields, _) = element(element(value)?.1)?;
        let (tag, key, _) = element(fields)?;
        return (tag == KEY_IDENTIFIER).then_some(key);
    }
    None
}

/// The fields from the issuer on.
fn from_issuer<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // An explicit version comes first, if it is not version 1.
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number and algorithm stand before the issuer.
    for _ in 0..2 {
        rest = element(rest)?.2;
    }
    Some(rest)
}

fn time(tag: u8, text: &[u8]) -> Option<SystemTime> {
    let text = str::from_utf8(text).ok()?;
    let full = match tag {
        // Two digits of the year, from 1950 to 2049.
        UTC_TIME if text < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", &full).ok()?;
    TimeZone::UTC.to_timestamp(time).ok().map(SystemTime::from)
}

/// Tag and contents of the first element, and what follows it (X.690 section 8.1).
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut len = usize::from(first & 0x7f);
    if first & 0x80 != 0 {
        let (digits, after) = rest.split_at_checked(len)?;
        // Four bytes of length are more than any certificate has.
        if digits.len() > 4 {
            return None;
        }
        len = digits.iter().fold(0, |len, b| (len << 8) | usize::from(*b));
        rest = after;
    }
    let (contents, after) = rest.split_at_checked(len)?;
    Some((tag, contents, after))
}

const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const KEY_IDENTIFIER: u8 = 0x80;
const BOOLEAN: u8 = 0x01;
/// 2.5.29.35.
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// 2.5.4.3 and 2.5.4.10 (X.520).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];

#[cfg(test)]
mod tests {
    use super::*;

    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyIdMethod,
        KeyPair, SerialNumber,
    };

    fn certificate(year: i32, names: &[(DnType, &str)]) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1998, 1, 2);
        params.not_after = rcgen::date_time_ymd(year, 3, 4);
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn both_ways_to_write_a_date_are_read() {
        for year in [1999, 2030, 2049, 2050, 2100] {
            let time = |text: &str| SystemTime::from(text.parse::<jiff::Timestamp>().unwrap());
            let expected = time("1998-01-02T00:00:00Z")..=time(&format!("{year}-03-04T00:00:00Z"));
            let certificate = certificate(year, &[]);
            assert_eq!(validity(&certificate), Some(expected), "{year}");
        }
    }

    #[test]
    fn an_issuer_is_called_by_its_common_name_or_else_its_organisation() {
        let (name, organisation) = (DnType::CommonName, DnType::OrganizationName);
        let of = |names: &[_]| issuer(&certificate(2030, names));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(organisation.clone(), "Proxy")]), Some("Proxy".into()));
        let both = [(organisation, "Proxy"), (name, "Proxy CA 1")];
        assert_eq!(of(&both), Some("Proxy CA 1".into()));
    }

    /// The numbers of RFC 9773 section 4.1.
    #[test]
    fn a_certificate_is_named_by_its_authority_and_number() {
        let authority = [
            0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0,
            0xae, 0x2c, 0xde, 0x01, 0xc8, 0xd4,
        ];
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_identifier_method = KeyIdMethod::PreSpecified(authority.to_vec());
        let issuer = Issuer::new(ca, KeyPair::generate().unwrap());
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.serial_number = Some(SerialNumber::from_slice(&[0x87, 0x65, 0x43, 0x21]));
        assert_eq!(
            identifier(params.signed_by(&key, &issuer).unwrap().der()),
            None
        );
        params.use_authority_key_identifier_extension = true;
        let named = params.signed_by(&key, &issuer).unwrap();
        let serial: &[u8] = &[0x00, 0x87, 0x65, 0x43, 0x21];
        assert_eq!(identifier(named.der()), Some((&authority[..], serial)));
        for at in 0..named.der().len() {
            let mut bytes = named.der().to_vec();
            assert_eq!(identifier(&CertificateDer::from(&bytes[..at])), None);
            for value in [0, 1, 0x7f, 0x80, 0x84, 0xff] {
                bytes[at] = value;
                identifier(&CertificateDer::from(&bytes[..]));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let der = certificate(2030, &[(DnType::CommonName, "A")]);
        for at in 0..der.len() {
            let cut = CertificateDer::from(&der[..at]);
            assert_eq!(validity(&cut), None);
            issuer(&cut);
            for value in [0, 1, 0x7f, 0x80, 0x84, 0xff] {
                let mut bytes = der.to_vec();
                bytes[at] = value;
                let bytes = CertificateDer::from(bytes);
                validity(&bytes);
                issuer(&bytes);
            }
        }
    }
}
