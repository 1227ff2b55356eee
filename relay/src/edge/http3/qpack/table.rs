//! The static table (RFC 9204 appendix A).

/// The field with this number.
pub(super) fn entry(number: u64) -> Option<(&'static str, &'static str)> {
    ENTRIES.get(usize::try_from(number).ok()?).copied()
}

/// Where a field is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// Name and value.
    Whole(u8),
    /// The name alone.
    Name(u8),
    Nothing,
}

/// Looks for a field, whose name is in lower case.
pub(super) fn find(name: &[u8], value: &[u8]) -> Found {
    let first = BY_NAME.partition_point(|number| named(*number) < name);
    let same = BY_NAME[first..].iter().copied();
    let mut same = same.take_while(|number| named(*number) == name).peekable();
    let Some(one) = same.peek().copied() else {
        return Found::Nothing;
    };
    let whole = same.find(|number| ENTRIES[usize::from(*number)].1.as_bytes() == value);
    whole.map_or(Found::Name(one), Found::Whole)
}

fn named(number: u8) -> &'static [u8] {
    ENTRIES[usize::from(number)].0.as_bytes()
}

/// The numbers of all entries, in the order of their names.
static BY_NAME: [u8; ENTRIES.len()] = {
    let mut sorted = [0; ENTRIES.len()];
    let mut count = 0;
    while count < ENTRIES.len() {
        let mut at = count;
        while at > 0 && is_less(ENTRIES[count].0, ENTRIES[sorted[at - 1] as usize].0) {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = count as u8;
        count += 1;
    }
    sorted
};

const fn is_less(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() {
        if one[at] != other[at] {
            return one[at] < other[at];
        }
        at += 1;
    }
    one.len() < other.len()
}

#[rustfmt::skip]
const ENTRIES: [(&str, &str); 99] = [
    (":authority", ""),
    (":path", "/"),
    ("age", "0"),
    ("content-disposition", ""),
    ("content-length", "0"),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("referer", ""),
    ("set-cookie", ""),
    (":method", "CONNECT"),
    (":method", "DELETE"),
    (":method", "GET"),
    (":method", "HEAD"),
    (":method", "OPTIONS"),
    (":method", "POST"),
    (":method", "PUT"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "103"),
    (":status", "200"),
    (":status", "304"),
    (":status", "404"),
    (":status", "503"),
    ("accept", "*/*"),
    ("accept", "application/dns-message"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-ranges", "bytes"),
    ("access-control-allow-headers", "cache-control"),
    ("access-control-allow-headers", "content-type"),
    ("access-control-allow-origin", "*"),
    ("cache-control", "max-age=0"),
    ("cache-control", "max-age=2592000"),
    ("cache-control", "max-age=604800"),
    ("cache-control", "no-cache"),
    ("cache-control", "no-store"),
    ("cache-control", "public, max-age=31536000"),
    ("content-encoding", "br"),
    ("content-encoding", "gzip"),
    ("content-type", "application/dns-message"),
    ("content-type", "application/javascript"),
    ("content-type", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "image/gif"),
    ("content-type", "image/jpeg"),
    ("content-type", "image/png"),
    ("content-type", "text/css"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-type", "text/plain"),
    ("content-type", "text/plain;charset=utf-8"),
    ("range", "bytes=0-"),
    ("strict-transport-security", "max-age=31536000"),
    ("strict-transport-security", "max-age=31536000; includesubdomains"),
    ("strict-transport-security", "max-age=31536000; includesubdomains; preload"),
    ("vary", "accept-encoding"),
    ("vary", "origin"),
    ("x-content-type-options", "nosniff"),
    ("x-xss-protection", "1; mode=block"),
    (":status", "100"),
    (":status", "204"),
    (":status", "206"),
    (":status", "302"),
    (":status", "400"),
    (":status", "403"),
    (":status", "421"),
    (":status", "425"),
    (":status", "500"),
    ("accept-language", ""),
    ("access-control-allow-credentials", "FALSE"),
    ("access-control-allow-credentials", "TRUE"),
    ("access-control-allow-headers", "*"),
    ("access-control-allow-methods", "get"),
    ("access-control-allow-methods", "get, post, options"),
    ("access-control-allow-methods", "options"),
    ("access-control-expose-headers", "content-length"),
    ("access-control-request-headers", "content-type"),
    ("access-control-request-method", "get"),
    ("access-control-request-method", "post"),
    ("alt-svc", "clear"),
    ("authorization", ""),
    ("content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"),
    ("early-data", "1"),
    ("expect-ct", ""),
    ("forwarded", ""),
    ("if-range", ""),
    ("origin", ""),
    ("purpose", "prefetch"),
    ("server", ""),
    ("timing-allow-origin", "*"),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", ""),
    ("x-forwarded-for", ""),
    ("x-frame-options", "deny"),
    ("x-frame-options", "sameorigin"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_where_it_is() {
        for (number, (name, value)) in ENTRIES.iter().enumerate() {
            let found = find(name.as_bytes(), value.as_bytes());
            assert_eq!(found, Found::Whole(number as u8), "{name}: {value}");
            assert_eq!(entry(number as u64), Some((*name, *value)));
        }
        assert_eq!(entry(99), None);
        assert_eq!(find(b"x-frame-options", b"allow"), Found::Name(97));
        for other in [&b"x-other"[..], b"", b"ag", b"zz"] {
            assert_eq!(find(other, b""), Found::Nothing);
        }
    }
}
