//! Header fields that travel as a number instead of text.
//!
//! The table is part of `adit/1`: its order never changes, and additions go to a new version.
//! Codes 1 to [`NAMES`]`.len()` stand for a name; the codes above stand for a name with a value,
//! in the order in which the values are listed. Code 0 announces a literal name.

use std::sync::LazyLock;

use http::header::{HeaderName, HeaderValue};

/// What a code stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    /// A name; the value follows as text.
    Name(&'static str),
    /// A whole field.
    Field(&'static str, &'static str),
}

/// What `code` stands for, if it is in the table.
pub fn entry(code: u64) -> Option<Entry> {
    let at = usize::try_from(code).ok()?.checked_sub(1)?;
    if let Some((name, _)) = NAMES.get(at) {
        return Some(Entry::Name(name));
    }
    let (name, value) = FIELDS.get(at - NAMES.len())?;
    Some(Entry::Field(name, value))
}

/// The code of a name, in upper or lower case; 0 if it has none.
pub fn name_code(name: &[u8]) -> u8 {
    let len = name.len();
    if !(2..=LONGEST).contains(&len) {
        return 0;
    }
    let code = CODES[slot(len, name[0], name[len - 2], name[len - 1])];
    if code == 0 || text(code).len() != len {
        return 0;
    }
    // All at a time, and of a length that the compiler knows.
    let mut given = [b' '; LONGEST];
    given[..len].copy_from_slice(name);
    let same = |(one, other): (&u8, &u8)| (one | 0x20) == *other && *one >= b' ';
    let pairs = given.iter().zip(&PADDED[usize::from(code) - 1]);
    if pairs.fold(true, |all, pair| all & same(pair)) {
        code
    } else {
        0
    }
}

/// The code of a name in lower case, for constants; 0 if it has none.
pub(super) const fn lower_name_code(name: &str) -> u8 {
    let name = name.as_bytes();
    let mut code = NAMES.len() as u8;
    while code > 0 {
        let known = text(code);
        let mut at = 0;
        while at < known.len() && at < name.len() && known[at] == name[at] {
            at += 1;
        }
        if at == known.len() && at == name.len() {
            break;
        }
        code -= 1;
    }
    code
}

/// The code of a whole field, whose name has the code `name`, if it has one.
pub fn whole(name: u8, value: &[u8]) -> Option<u8> {
    let at = usize::from(name).checked_sub(1)?;
    let mut values = NAMES[at].1.iter();
    let nth = values.position(|known| known.as_bytes() == value)?;
    Some(FIRST_FIELDS[at] + nth as u8)
}

/// What each code from 1 on stands for, for maps of fields. None of it has a count of references, which all
/// threads would write.
pub(super) static HEADERS: LazyLock<Vec<(HeaderName, Option<HeaderValue>)>> = LazyLock::new(|| {
    (1..)
        .map_while(entry)
        .map(|entry| match entry {
            Entry::Name(name) => (HeaderName::from_static(name), None),
            Entry::Field(name, value) => {
                let value = HeaderValue::from_static(value);
                (HeaderName::from_static(name), Some(value))
            }
        })
        .collect()
});

/// The name of a code that is one of a name.
const fn text(code: u8) -> &'static [u8] {
    NAMES[code as usize - 1].0.as_bytes()
}

/// Where in [`CODES`] a name is.
const fn slot(len: usize, first: u8, before: u8, last: u8) -> usize {
    // The bit is all in which upper and lower case differ.
    let key = u32::from_be_bytes([last | 0x20, before | 0x20, first | 0x20, len as u8]);
    (key.wrapping_mul(SPREAD) >> 24) as usize
}

/// The code of each name, where [`slot`] says.
static CODES: [u8; 256] = {
    let mut codes = [0; 256];
    let mut code = 1;
    while code <= NAMES.len() {
        let name = text(code as u8);
        let len = name.len();
        assert!(2 <= len && len <= LONGEST);
        let slot = slot(len, name[0], name[len - 2], name[len - 1]);
        assert!(codes[slot] == 0, "two names have one slot");
        codes[slot] = code as u8;
        code += 1;
    }
    codes
};

/// The names, filled up with spaces.
static PADDED: [[u8; LONGEST]; COUNT] = {
    let mut padded = [[b' '; LONGEST]; COUNT];
    let mut at = 0;
    while at < COUNT {
        let name = NAMES[at].0.as_bytes();
        let mut nth = 0;
        while nth < name.len() {
            padded[at][nth] = name[nth];
            nth += 1;
        }
        at += 1;
    }
    padded
};

/// For each name, the code of its first known value.
static FIRST_FIELDS: [u8; COUNT] = {
    let mut first = [0; COUNT];
    let (mut at, mut next) = (0, NAMES.len() + 1);
    while at < NAMES.len() {
        first[at] = next as u8;
        next += NAMES[at].1.len();
        at += 1;
    }
    first
};

/// The fields behind the codes above the names.
static FIELDS: [(&str, &str); WHOLE] = {
    let mut fields = [("", ""); WHOLE];
    let (mut at, mut next) = (0, 0);
    while at < NAMES.len() {
        let (name, values) = NAMES[at];
        let mut nth = 0;
        while nth < values.len() {
            fields[next] = (name, values[nth]);
            next += 1;
            nth += 1;
        }
        at += 1;
    }
    fields
};

/// How many values have codes of their own.
const WHOLE: usize = {
    let (mut at, mut sum) = (0, 0);
    while at < NAMES.len() {
        sum += NAMES[at].1.len();
        at += 1;
    }
    sum
};

/// How many names there are.
const COUNT: usize = 62;
/// With it no two names of the table have one slot.
const SPREAD: u32 = 0xb6d3_82f7;
/// No name of the table is longer.
const LONGEST: usize = 32;

/// Names in the order of their codes, from 1 on, each with the values that have codes of their own.
pub static NAMES: [(&str, &[&str]); COUNT] = [
    ("accept", &["*/*", "application/json"]),
    (
        "accept-encoding",
        &[
            "gzip, deflate, br",
            "gzip, deflate, br, zstd",
            "gzip, deflate",
            "gzip",
            "identity",
        ],
    ),
    ("accept-language", &["en-US,en;q=0.9"]),
    ("accept-ranges", &["bytes"]),
    ("access-control-allow-origin", &["*"]),
    ("age", &[]),
    ("authorization", &[]),
    ("cache-control", &["no-cache", "no-store", "max-age=0"]),
    ("content-disposition", &[]),
    ("content-encoding", &["gzip", "br"]),
    ("content-language", &[]),
    ("content-length", &["0"]),
    ("content-range", &[]),
    ("content-security-policy", &[]),
    (
        "content-type",
        &[
            "application/json",
            "application/json; charset=utf-8",
            "application/x-www-form-urlencoded",
            "application/octet-stream",
            "application/grpc",
            "text/html; charset=utf-8",
            "text/html",
            "text/plain; charset=utf-8",
            "text/plain",
            "text/css",
            "text/javascript",
            "text/event-stream",
        ],
    ),
    ("cookie", &[]),
    ("date", &[]),
    ("etag", &[]),
    ("expect", &["100-continue"]),
    ("expires", &[]),
    ("forwarded", &[]),
    ("if-match", &[]),
    ("if-modified-since", &[]),
    ("if-none-match", &[]),
    ("if-range", &[]),
    ("last-modified", &[]),
    ("link", &[]),
    ("location", &[]),
    ("origin", &[]),
    ("pragma", &["no-cache"]),
    ("priority", &[]),
    ("range", &[]),
    ("referer", &[]),
    ("retry-after", &[]),
    ("sec-ch-ua", &[]),
    ("sec-ch-ua-mobile", &["?0", "?1"]),
    ("sec-ch-ua-platform", &[]),
    ("sec-fetch-dest", &["document", "empty", "script"]),
    ("sec-fetch-mode", &["navigate", "cors", "no-cors"]),
    ("sec-fetch-site", &["none", "same-origin", "cross-site"]),
    ("sec-fetch-user", &["?1"]),
    ("sec-websocket-accept", &[]),
    ("sec-websocket-extensions", &[]),
    ("sec-websocket-key", &[]),
    ("sec-websocket-protocol", &[]),
    ("sec-websocket-version", &["13"]),
    ("server", &[]),
    ("set-cookie", &[]),
    ("strict-transport-security", &[]),
    ("te", &["trailers"]),
    ("traceparent", &[]),
    ("trailer", &[]),
    ("upgrade-insecure-requests", &["1"]),
    ("user-agent", &[]),
    ("vary", &["Accept-Encoding"]),
    ("via", &[]),
    ("www-authenticate", &[]),
    ("x-forwarded-for", &[]),
    ("x-forwarded-host", &[]),
    ("x-forwarded-proto", &["http", "https"]),
    ("x-powered-by", &["Express"]),
    ("x-request-id", &[]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_for_what_is_written_with_it() {
        let mut codes = 0;
        for number in 1.. {
            let Some(entry) = entry(number) else { break };
            codes += 1;
            match entry {
                Entry::Name(name) => {
                    let known = name_code(name.as_bytes());
                    assert_eq!(u64::from(known), number);
                    assert_eq!(name_code(name.to_uppercase().as_bytes()), known);
                    assert_eq!(lower_name_code(name), known);
                    assert_eq!(whole(known, b"a value that no table has"), None);
                }
                Entry::Field(name, value) => {
                    let written = whole(name_code(name.as_bytes()), value.as_bytes());
                    assert_eq!(written, Some(number as u8));
                }
            }
        }
        let values: usize = NAMES.iter().map(|(_, values)| values.len()).sum();
        assert_eq!(codes, NAMES.len() + values);
        assert!(entry(0).is_none());
    }

    #[test]
    fn names_are_written_with_one_byte() {
        assert!(NAMES.len() < 64);
        let similar = ["content_type", "content\rtype", "te ", "t\x05", "accept\0"];
        for unknown in ["x-hub-signature-256", "", "t", "tf"]
            .into_iter()
            .chain(similar)
        {
            assert_eq!(name_code(unknown.as_bytes()), 0, "{unknown}");
        }
        assert_eq!(whole(0, b"x"), None);
    }
}
