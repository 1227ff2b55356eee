//! Whatever an origin under the relay's domain sets, a browser keeps for that host alone, or for what is below it.
//!
//! The values of `Set-Cookie` are the lines of the input.

use adit_relay::forward::cookies::confine;
use adit_relay::forward::notice;
use adit_shared::name::Host;
use adit_shared::wire::fields::FieldsMut;

const HOST: &str = "app.relay.example";

pub(crate) fn check(data: &[u8]) {
    let host: Host = HOST.parse().expect("a host");
    let domain: Host = "relay.example".parse().expect("a host");
    let mut sent = FieldsMut::default();
    for line in data.split(|byte| *byte == b'\n') {
        // What is no value never comes so far.
        let _ = sent.push(b"set-cookie", line);
    }
    let _ = sent.push(b"etag", b"x");
    let mut fields = sent.take();
    let before = fields.clone();
    confine(&mut fields, &host, &domain);
    assert_eq!(fields.get("etag"), before.get("etag"));
    let mut all = before.get_all("set-cookie");
    for value in fields.get_all("set-cookie") {
        let kept = Cookie::read(value);
        assert!(!kept.is_for_others(), "{}", value.escape_ascii());
        assert!(!kept.pair.starts_with(notice::COOKIE.as_bytes()));
        // It is one of those that were set, in their order, and nothing else of it has changed.
        let origin = all.find(|sent| Cookie::read(sent).pair == kept.pair);
        let origin = Cookie::read(origin.expect("a cookie that was set"));
        assert!(value == origin.value || origin.has_domain());
    }
    let once = fields.clone();
    confine(&mut fields, &host, &domain);
    assert_eq!(fields, once);
    // Whose domain it is, that one may say what it likes.
    let mut own = before.clone();
    confine(
        &mut own,
        &"app.customer.example".parse().expect("a host"),
        &domain,
    );
    assert_eq!(own, before);
}

/// As browsers read it (RFC 6265 section 5.2).
struct Cookie<'a> {
    value: &'a [u8],
    pair: &'a [u8],
    domain: Option<&'a [u8]>,
}

impl<'a> Cookie<'a> {
    fn read(value: &'a [u8]) -> Self {
        let mut parts = value.split(|byte| *byte == b';');
        let pair = trim(parts.next().unwrap_or_default());
        // The last one counts (section 5.3).
        let mut domain = parts.filter_map(|part| {
            let equals = part.iter().position(|byte| *byte == b'=')?;
            let name = trim(&part[..equals]);
            name.eq_ignore_ascii_case(b"domain")
                .then(|| trim(&part[equals + 1..]))
        });
        Self {
            value,
            pair,
            domain: domain.next_back(),
        }
    }

    fn has_domain(&self) -> bool {
        self.domain.is_some()
    }

    fn is_for_others(&self) -> bool {
        let Some(domain) = self.domain else {
            return false;
        };
        let domain = domain.strip_prefix(b".").unwrap_or(domain);
        let Ok(text) = str::from_utf8(domain) else {
            return true;
        };
        // What browsers decode before they compare.
        if text.contains(['%', '"']) || !text.is_ascii() {
            return true;
        }
        let text = text.to_ascii_lowercase();
        let text = text.strip_suffix('.').unwrap_or(&text);
        HOST.strip_suffix(text)
            .is_some_and(|rest| rest.ends_with('.') && !text.is_empty())
    }
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
