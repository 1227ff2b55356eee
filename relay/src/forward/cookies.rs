//! Cookies of one tunnel that would reach others: hosts under the relay's domain have it in common, and
//! browsers know only from the Public Suffix List whether hosts below one domain belong to strangers.

use adit_shared::name::Host;
use adit_shared::wire::fields::{Fields, FieldsMut};

use super::notice;

/// Leaves the cookies that `host` may set for itself alone: `Domain` is taken off those that would be for
/// the relay's `domain` as well, or for what is above it (RFC 6265 section 5.3). They stay cookies of the
/// host, so an origin that sets its domain by habit goes on to work. What only the relay may set is
/// removed.
pub fn confine(fields: &mut Fields, host: &Host, domain: &Host) {
    if host.label_under(domain).is_none() {
        return;
    }
    let is_harmless =
        |value: &[u8]| !is_ours(value) && domains(value).all(|of| !is_wider(of, host));
    let harmless = |(name, value): (&[u8], &[u8])| name != SET_COOKIE || is_harmless(value);
    if fields.iter().all(harmless) {
        return;
    }
    let mut to = FieldsMut::default();
    for (name, value) in fields.iter() {
        let fits = if name != SET_COOKIE {
            to.push(name, value)
        } else if is_ours(value) {
            Ok(())
        } else {
            to.push(name, &without_wider(value, host))
        };
        // It only becomes shorter, and a part of a value is a value.
        if fits.is_err() {
            return fields.remove("set-cookie");
        }
    }
    *fields = to.take();
}

/// A cookie by which a visitor says that it has seen the relay's own page.
fn is_ours(value: &[u8]) -> bool {
    let name = value.trim_ascii_start();
    // A cookie without a name is sent as one whose name is its value.
    let name = name.strip_prefix(b"=").unwrap_or(name);
    name.trim_ascii_start()
        .get(..notice::COOKIE.len())
        .is_some_and(|name| name.eq_ignore_ascii_case(notice::COOKIE.as_bytes()))
}

/// The values of all `Domain` attributes.
fn domains(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let attributes = value.split(|byte| *byte == b';').skip(1);
    attributes.filter_map(domain_of)
}

fn domain_of(attribute: &[u8]) -> Option<&[u8]> {
    let equals = attribute.iter().position(|byte| *byte == b'=')?;
    let (name, value) = attribute.split_at(equals);
    name.trim_ascii()
        .eq_ignore_ascii_case(b"domain")
        .then(|| value[1..].trim_ascii())
}

/// Whether a cookie for the domain `of` goes to other hosts too. What no host name is, browsers may read in
/// more than one way.
fn is_wider(of: &[u8], host: &Host) -> bool {
    let of = of.strip_prefix(b".").unwrap_or(of);
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if !of.iter().all(is_plain) {
        return true;
    }
    let of = of.strip_suffix(b".").unwrap_or(of);
    let host = host.as_str().as_bytes();
    let Some(start) = host.len().checked_sub(of.len() + 1) else {
        return false;
    };
    !of.is_empty() && host[start] == b'.' && host[start + 1..].eq_ignore_ascii_case(of)
}

fn without_wider(value: &[u8], host: &Host) -> Vec<u8> {
    let mut parts = value.split(|byte| *byte == b';');
    let first = parts.next();
    let keep = |part: &&[u8]| domain_of(part).is_none_or(|of| !is_wider(of, host));
    let kept: Vec<_> = first.into_iter().chain(parts.filter(keep)).collect();
    kept.join(&b';')
}

const SET_COOKIE: &[u8] = b"set-cookie";

#[cfg(test)]
mod tests {
    use super::*;

    fn set(host: &str, cookie: &str) -> Option<String> {
        let mut fields =
            Fields::from_pairs([("etag", "x"), ("set-cookie", cookie), ("via", "y")]).unwrap();
        let domain = "relay.example.com".parse().unwrap();
        confine(&mut fields, &host.parse().unwrap(), &domain);
        assert_eq!(fields.get("etag"), Some(&b"x"[..]));
        assert_eq!(fields.get("via"), Some(&b"y"[..]));
        let value = fields.get("set-cookie")?;
        Some(String::from_utf8(value.to_vec()).unwrap())
    }

    #[test]
    fn a_cookie_for_more_than_its_host_becomes_one_of_its_host() {
        for domain in [
            "relay.example.com",
            ".relay.example.com",
            " .RELAY.example.com ",
            "example.com",
            "com",
            "relay.example.com.",
            "\"relay.example.com\"",
            "relay%2eexample.com",
            "r\u{e9}lay.example.com",
        ] {
            let cookie = format!("a=1; Path=/; domain ={domain}; HttpOnly");
            let kept = set("app.relay.example.com", &cookie);
            assert_eq!(kept.as_deref(), Some("a=1; Path=/; HttpOnly"), "{domain}");
        }
        let both = "a=1;Domain=app.relay.example.com;Domain=example.com";
        let kept = set("app.relay.example.com", both);
        assert_eq!(kept.as_deref(), Some("a=1;Domain=app.relay.example.com"));
    }

    #[test]
    fn all_else_is_as_the_origin_said_it() {
        for cookie in [
            "a=1",
            "a=1; Domain=app.relay.example.com; Secure",
            "a=1; Domain=.app.relay.example.com",
            "a=1; domain",
            "a=1; Domain=",
            "a=1; Domain=.",
            "Domain=example.com",
            "a=b; Domain=elsewhere.org",
            "a=1; Domain=pp.relay.example.com",
            "a=\"x; Path=/\"",
        ] {
            let kept = set("app.relay.example.com", cookie);
            assert_eq!(kept.as_deref(), Some(cookie));
        }
        // Whose domain it is, that one may say.
        let own = "a=1; Domain=customer.org";
        assert_eq!(set("app.customer.org", own).as_deref(), Some(own));
    }

    #[test]
    fn only_the_relay_says_that_its_page_was_seen() {
        for cookie in [
            "__Host-adit-notice=1.2; Path=/; Secure",
            " __host-Adit-Notice=1.2",
            "=__Host-adit-notice=1.2",
        ] {
            assert_eq!(set("app.relay.example.com", cookie), None);
        }
    }
}
