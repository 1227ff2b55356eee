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
    while let Some(name) = fields.keys().find(|name| is_hop_by_hop(name)).cloned() {
        fields.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

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
        strip(&mut fields);
        let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "te", "x-yours"]);
    }
}
