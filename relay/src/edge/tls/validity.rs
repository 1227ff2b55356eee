//! Until when a certificate is valid.
//!
//! The TLS library checks dates but does not tell them, so this reads the one field, and nothing
//! else, of a certificate (RFC 5280 section 4.1). It is for telling operators, not for trust.

use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::pki_types::CertificateDer;

/// The last instant at which the certificate is valid; none when it is not understood.
pub fn until(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // An explicit version comes first, if it is not version 1.
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, algorithm and issuer stand before the dates.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, dates, _) = element(rest)?;
    let (_, _, not_after) = element(dates)?;
    let (tag, text, _) = element(not_after)?;
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
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 3, 4);
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn both_ways_to_write_a_date_are_read() {
        for year in [1999, 2030, 2049, 2050, 2100] {
            let expected: jiff::Timestamp = format!("{year}-03-04T00:00:00Z").parse().unwrap();
            assert_eq!(until(&certificate(year)), Some(expected.into()), "{year}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let der = certificate(2030);
        for at in 0..der.len() {
            let cut = CertificateDer::from(&der[..at]);
            assert_eq!(until(&cut), None);
            for value in [0, 1, 0x7f, 0x80, 0x84, 0xff] {
                let mut bytes = der.to_vec();
                bytes[at] = value;
                until(&CertificateDer::from(bytes));
            }
        }
    }
}
