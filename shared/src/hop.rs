//! Header fields that are for one hop only (RFC 9110 section 7.6.1): each end removes those of its
//! own HTTP connection before it passes a head on.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, TE};

/// Removes a fixed list of fields and whatever `Connection` names, except what says what the
/// message is rather than how it travels. `TE` stays: what may be kept of it depends on the
/// direction.
pub fn strip(fields: &mut HeaderMap) {
    if fields.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = fields
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            // What nearly every message says names no field that the fixed list lacks.
            .filter(|name| !is_usual(name))
            .filter_map(|name| name.parse().ok())
            .filter(|name| *name != HOST && *name != CONTENT_LENGTH && *name != TE)
            .collect();
        for name in named {
            fields.remove(name);
        }
    }
    strip_fixed(fields);
}

fn is_usual(option: &str) -> bool {
    option.eq_ignore_ascii_case("keep-alive") || option.eq_ignore_ascii_case("close")
}

/// Removes the fixed list alone.
pub fn strip_fixed(fields: &mut HeaderMap) {
    // Most messages have none or one of them.
    while let Some(name) = fields
        .keys()
        .find(|name| is_hop_by_hop(name.as_str().as_bytes()))
        .cloned()
    {
        fields.remove(name);
    }
}

/// Whether a field, its name in upper or lower case, is on the fixed list.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    let known: &[&str] = match name.len() {
        7 => &["upgrade"],
        10 => &["connection", "keep-alive"],
        14 => &["http2-settings"],
        16 => &["proxy-connection"],
        17 => &["transfer-encoding"],
        18 => &["proxy-authenticate"],
        19 => &["proxy-authorization"],
        _ => return false,
    };
    known
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// What the `Connection` fields of a message say (RFC 9110 section 7.6.1, RFC 9112 section 9.6).
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Options<'a> {
    /// The connection ends after the message.
    pub close: bool,
    /// The connection goes on, even in HTTP/1.0.
    pub keep_alive: bool,
    /// `Upgrade` is meant for us.
    pub upgrade: bool,
    /// All other options, which may name fields, in order.
    named: Vec<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// What these values of `Connection` say together.
    pub fn of(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut options = Self::default();
        let all = values
            .into_iter()
            .flat_map(|value| value.split(|byte| *byte == b','));
        for option in all.map(<[u8]>::trim_ascii) {
            let is = |known: &str| option.eq_ignore_ascii_case(known.as_bytes());
            if is("close") {
                options.close = true;
            } else if is("keep-alive") {
                options.keep_alive = true;
            } else if is("upgrade") {
                options.upgrade = true;
            } else if !(option.is_empty() || STAY.iter().any(|name| is(name))) {
                options.named.push(option);
            }
        }
        // There may be more of them than fields, so each field must be looked up quickly.
        options
            .named
            .sort_unstable_by(|one, other| lower(one).cmp(lower(other)));
        options
    }

    /// Whether a field, its name in upper or lower case, is for this hop only: on the fixed list, or named
    /// here.
    pub fn strip(&self, name: &[u8]) -> bool {
        is_hop_by_hop(name) || self.names(name)
    }

    fn names(&self, name: &[u8]) -> bool {
        let found = |option: &&[u8]| lower(option).cmp(lower(name));
        !self.named.is_empty() && self.named.binary_search_by(found).is_ok()
    }
}

fn lower(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().map(u8::to_ascii_lowercase)
}

/// What says what the message is rather than how it travels stays, even when `Connection` names it. So does `TE`: what may be kept of it depends on the direction.
const STAY: [&str; 3] = ["host", "content-length", "te"];

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;
    use crate::wire::fields::Fields;

    #[test]
    fn what_is_for_this_hop_goes_and_all_else_stays() {
        let field = |(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        let mut fields = HeaderMap::from_iter(
            [
                ("connection", "Keep-Alive, x-mine, HOST, te, content-length"),
                ("keep-alive", "timeout=5"),
                ("x-mine", "1"),
                ("host", "a"),
                ("te", "trailers"),
                ("content-length", "1"),
                ("proxy-authorization", "secret"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("x-yours", "2"),
            ]
            .map(field),
        );
        fields.append("transfer-encoding", HeaderValue::from_static("gzip"));
        let sent = Fields::try_from(&fields).unwrap();
        let options = Options::of(sent.get_all("connection"));
        assert!(options.keep_alive && !options.close && !options.upgrade);
        let mut stripped = sent.clone();
        stripped.retain(|name, _| !options.strip(name));

        strip(&mut fields);
        assert_eq!(stripped.to_map(), fields);
        let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "te", "x-yours"]);
    }

    #[test]
    fn options_are_read_in_any_case_and_from_all_values() {
        let options = Options::of([&b"X-b, close"[..], b" , x-A ,Upgrade,X-c"]);
        assert!(options.close && options.upgrade && !options.keep_alive);
        for name in ["x-a", "X-B", "x-c", "Keep-Alive", "TRANSFER-ENCODING"] {
            assert!(options.strip(name.as_bytes()), "{name}");
        }
        for name in ["x-d", "close", "", "host", "content-length"] {
            assert!(!options.strip(name.as_bytes()), "{name}");
        }
        let many = "x-a,".repeat(10_000) + "x-mine";
        assert!(Options::of([many.as_bytes()]).strip(b"x-mine"));
    }
}
