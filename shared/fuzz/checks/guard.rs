//! The inspector answers who asks for this machine by one of its own names, and nobody else.
//!
//! The first two bytes of the input are a port; then comes a line with `Host`, and one with `Origin`.

use adit_agent::inspect::guard::{is_here, may_write};
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method};

pub(crate) fn check(data: &[u8]) {
    let Some((port, rest)) = data.split_first_chunk() else {
        return;
    };
    let port = u16::from_be_bytes(*port);
    let mut lines = rest.split(|byte| *byte == b'\n');
    let (host, origin) = (lines.next().unwrap_or_default(), lines.next());
    let mut headers = HeaderMap::new();
    let Ok(value) = HeaderValue::from_bytes(host) else {
        return;
    };
    headers.insert(HOST, value);
    assert_eq!(is_here(&headers, port), is_ours(host, port));
    headers.append(HOST, HeaderValue::from_static("localhost"));
    assert!(!is_here(&headers, port));

    let Some(origin) = origin else {
        return;
    };
    let Ok(value) = HeaderValue::from_bytes(origin) else {
        return;
    };
    headers.insert(ORIGIN, value);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let from_here = origin
        .strip_prefix(b"http://")
        .is_some_and(|host| is_ours(host, port));
    for method in [Method::POST, Method::DELETE, Method::PUT] {
        assert_eq!(may_write(&method, &headers, port).is_ok(), from_here);
    }
}

fn is_ours(text: &[u8], port: u16) -> bool {
    let Ok(authority) = Authority::try_from(text) else {
        return false;
    };
    let names = ["localhost", "127.0.0.1", "[::1]"];
    let (text, host) = (authority.as_str(), authority.host());
    let is_name = names.iter().any(|name| host.eq_ignore_ascii_case(name));
    // A user, a colon without a port, or what the library drops behind an address is not what browsers send.
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = match text.strip_prefix(host) {
        Some(rest) => rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port),
        None => false,
    };
    is_name && is_plain && authority.port_u16().unwrap_or(80) == port
}
