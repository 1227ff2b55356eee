//! What an origin is told of a visitor is the relay's word, whatever the visitor says of itself, and nothing that
//! is for one hop, or that only a relay or an agent may say, comes through.
//!
//! The fields are the lines of the input behind its first byte, which says who sends them.

use adit_relay::forward::headers::outbound;
use adit_relay::forward::introduction::Introduction;
use adit_shared::hop::{self, Options};
use adit_shared::name::RequestId;
use http::HeaderValue;

const ADDRESS: &str = "192.0.2.7";
const OURS: [&str; 4] = [
    "x-forwarded-for",
    "forwarded",
    "x-forwarded-proto",
    "x-forwarded-host",
];
const OWN: [&str; 5] = [
    "adit-inbox",
    "adit-inbox-received",
    "adit-webhook-id",
    "adit-webhook-attempt",
    "adit-webhook-verified",
];

pub(crate) fn check(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else {
        return;
    };
    let (trusted, is_http1) = (how & 1 != 0, how & 2 != 0);
    let lines = rest.split(|byte| *byte == b'\n');
    let sent: Vec<(&[u8], &[u8])> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
        .collect();
    let sent = sent.iter().copied();
    let is_connection = |name: &[u8]| name.eq_ignore_ascii_case(b"connection");
    let connection = sent.clone().filter(|(name, _)| is_connection(name));
    let options = Options::of(connection.map(|(_, value)| value));
    let authority = HeaderValue::from_static("app.relay.example");
    let ip = ADDRESS.parse().expect("an address");
    let introduction = Introduction::new(ip, true, &authority);
    let id: RequestId = "an-id".parse().expect("an id");
    let Ok(fields) = outbound(&sent, &options, &introduction, trusted, &id, is_http1) else {
        return;
    };
    let named = |name: &str| {
        let hyphens = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
        let is = |other: &[u8]| other.iter().map(hyphens).eq(name.bytes());
        fields.iter().filter(|(other, _)| is(other)).count()
    };
    for (name, value) in fields.iter() {
        assert!(!name.iter().any(u8::is_ascii_uppercase));
        match name {
            b"te" => assert_eq!(value, b"trailers"),
            b"x-request-id" => assert_eq!(value, b"an-id"),
            name if is_ours(name) => {}
            name => assert!(!hop::is_hop_by_hop(name) && !options.strip(name) && name != b"host"),
        }
    }
    for name in OWN {
        assert_eq!(named(name), 0, "{name}");
    }
    for name in OURS {
        assert_eq!(named(name), 1, "{name}");
    }
    assert_eq!(fields.get_all("x-request-id").count(), 1);
    let element = format!("for={ADDRESS};host=\"app.relay.example\";proto=https");
    let list = fields.get("x-forwarded-for").unwrap_or_default();
    let forwarded = fields.get("forwarded").unwrap_or_default();
    if trusted {
        // What stands behind it is the last word.
        assert!(list.ends_with(ADDRESS.as_bytes()) && forwarded.ends_with(element.as_bytes()));
    } else {
        assert_eq!((list, forwarded), (ADDRESS.as_bytes(), element.as_bytes()));
        assert_eq!(fields.get("x-forwarded-proto"), Some(&b"https"[..]));
        assert_eq!(fields.get("x-forwarded-host"), Some(authority.as_bytes()));
    }
    if !is_http1
        && sent
            .clone()
            .all(|(name, _)| !name.iter().any(u8::is_ascii_uppercase))
    {
        assert!(fields.get_all("cookie").count() <= 1);
    }
}

fn is_ours(name: &[u8]) -> bool {
    OURS.iter().any(|ours| ours.as_bytes() == name)
}
