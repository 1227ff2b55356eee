//! What an origin is told of a visitor: `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239).

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

/// What is said of a visitor who asked for one authority. It is the same for all requests of nearly any
/// connection, so it is put into words once.
#[derive(Clone, Debug)]
pub struct Introduction {
    authority: HeaderValue,
    address: HeaderValue,
    element: HeaderValue,
    proto: HeaderValue,
}

impl Introduction {
    /// Of a visitor at `ip` who asked for `authority`, over TLS or not.
    pub fn new(ip: IpAddr, https: bool, authority: &HeaderValue) -> Self {
        let ip = ip.to_canonical();
        let proto = if https { "https" } else { "http" };
        let mut element = match ip {
            IpAddr::V4(ip) => format!("for={ip}"),
            IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
        };
        if let Ok(host) = authority.to_str() {
            // An authority has no character that would need escaping within quotes.
            // Writing to a string cannot fail.
            let _ = write!(element, ";host=\"{host}\";proto={proto}");
        }
        Self {
            authority: authority.clone(),
            address: value(ip.to_string()),
            element: value(element),
            proto: HeaderValue::from_static(proto),
        }
    }

    /// Whether it says what is to be said of a request for `authority`.
    pub fn is_for(&self, authority: &HeaderValue) -> bool {
        self.authority == *authority
    }

    /// Sets the fields. Values that the visitor sent are dropped, unless it is a `trusted` proxy; then
    /// this is added to them.
    pub fn write(&self, fields: &mut HeaderMap, trusted: bool) {
        let own = [
            (&X_FORWARDED_FOR, &self.address),
            (&FORWARDED, &self.element),
        ];
        for (name, own) in own {
            let value = if trusted && fields.contains_key(name) {
                added(fields, name, own)
            } else {
                own.clone()
            };
            fields.insert(name, value);
        }
        let own = [
            (&X_FORWARDED_PROTO, &self.proto),
            (&X_FORWARDED_HOST, &self.authority),
        ];
        for (name, own) in own {
            if !(trusted && fields.contains_key(name)) {
                fields.insert(name, own.clone());
            }
        }
    }
}

/// The values of a list field with one more behind them.
fn added(fields: &HeaderMap, name: &HeaderName, own: &HeaderValue) -> HeaderValue {
    let before = fields.get_all(name).iter();
    let all = before.chain([own]).filter_map(|value| value.to_str().ok());
    value(all.collect::<Vec<_>>().join(", "))
}

/// Text of visible characters as a value.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// De-facto fields that say who the visitor of a proxy is.
pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> HeaderMap {
        let field = |name: &'static str, value| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        HeaderMap::from_iter([
            field("x-forwarded-for", "6.6.6.6"),
            field("forwarded", "for=6.6.6.6"),
            field("x-forwarded-proto", "ftp"),
            field("x-forwarded-host", "evil"),
        ])
    }

    #[test]
    fn a_visitors_word_about_itself_is_dropped_unless_it_is_trusted() {
        let authority = HeaderValue::from_static("a.example:8443");
        let ip = "::ffff:192.0.2.7".parse().unwrap();
        let introduction = Introduction::new(ip, true, &authority);
        assert!(introduction.is_for(&authority));
        assert!(!introduction.is_for(&HeaderValue::from_static("a.example")));

        let mut fields = sent();
        introduction.write(&mut fields, false);
        assert_eq!(fields["x-forwarded-for"], "192.0.2.7");
        let element = "for=192.0.2.7;host=\"a.example:8443\";proto=https";
        assert_eq!(fields["forwarded"], element);
        assert_eq!(fields["x-forwarded-proto"], "https");
        assert_eq!(fields["x-forwarded-host"], "a.example:8443");
        assert_eq!(fields.len(), 4);

        let mut fields = sent();
        fields.append(&X_FORWARDED_FOR, HeaderValue::from_static("7.7.7.7"));
        introduction.write(&mut fields, true);
        assert_eq!(fields["x-forwarded-for"], "6.6.6.6, 7.7.7.7, 192.0.2.7");
        assert_eq!(fields["forwarded"], format!("for=6.6.6.6, {element}"));
        assert_eq!(fields["x-forwarded-proto"], "ftp");
        assert_eq!(fields["x-forwarded-host"], "evil");

        let mut fields = HeaderMap::new();
        introduction.write(&mut fields, true);
        assert_eq!(fields["x-forwarded-for"], "192.0.2.7");
        assert_eq!(fields["x-forwarded-host"], "a.example:8443");
    }

    #[test]
    fn ipv6_is_quoted_in_forwarded() {
        let authority = HeaderValue::from_static("a");
        let ip = "2001:db8::1".parse().unwrap();
        let mut fields = HeaderMap::new();
        Introduction::new(ip, false, &authority).write(&mut fields, false);
        assert_eq!(fields["x-forwarded-for"], "2001:db8::1");
        let element = "for=\"[2001:db8::1]\";host=\"a\";proto=http";
        assert_eq!(fields["forwarded"], element);
    }
}
