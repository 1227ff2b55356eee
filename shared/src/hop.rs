//! Header fields that are for one hop only (RFC 9110 section 7.6.1): each end removes those of its
//! own HTTP connection before it passes a head on.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

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
    // Few messages have any of them, and looking is cheaper than removing.
    for name in &HOP_BY_HOP {
        if fields.keys().any(|field| field == name) {
            fields.remove(name);
        }
    }
}

static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
];
