//! Who is answered: a browser that was pointed at this machine, and nobody else.
//!
//! Any web page can make a browser send requests here. It cannot read the answers (there are no
//! CORS headers) unless its own name resolves to this machine, and such a name stands in `Host`. What changes
//! something must not even be asked by such a page: it says where it comes from, and cannot send JSON unasked.

use adit_shared::name;
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, Method};

/// Whether `method` is one that changes nothing.
pub fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether `headers` name this machine and `port` as what was asked.
pub fn is_here(headers: &HeaderMap, port: u16) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    host.to_str().is_ok_and(|host| is_ours(host, port))
}

/// Whether a request that changes something comes from the page itself, or from no page at all.
///
/// # Errors
///
/// What is wrong, in words.
pub fn may_write(method: &Method, headers: &HeaderMap, port: u16) -> Result<(), &'static str> {
    let is_ours = |origin: &str| {
        let host = origin.strip_prefix("http://");
        host.is_some_and(|host| is_ours(host, port))
    };
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str());
    if origin.is_some_and(|origin| !origin.is_ok_and(is_ours)) {
        return Err("this was asked by a page from elsewhere");
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return Err("this was asked by a page from elsewhere");
    }
    // A browser asks first before it sends this from another page, and is told nothing; the same is true of
    // methods other than POST.
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    if *method != Method::DELETE && !kind.trim().eq_ignore_ascii_case("application/json") {
        return Err("what changes something is sent as application/json");
    }
    Ok(())
}

fn is_ours(host: &str, port: u16) -> bool {
    let (host, given) = match host.rsplit_once(':') {
        Some((before, digits)) if !host.ends_with(']') => (before, name::port(digits)),
        _ => (host, Some(80)),
    };
    let is_host = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|here| host.eq_ignore_ascii_case(here));
    is_host && given == Some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(hosts: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_this_machine_with_its_port_is_here() {
        for host in [
            "localhost:4040",
            "LocalHost:4040",
            "127.0.0.1:4040",
            "[::1]:4040",
        ] {
            assert!(is_here(&headers(&[host]), 4040), "{host}");
        }
        for host in [
            "localhost",
            "localhost:4041",
            "localhost:",
            "localhost:+4040",
            "localhost:4040:4040",
            "localhost:4040.evil.example",
            "evil.example:4040",
            "localhost.evil.example:4040",
            "127.0.0.1.evil.example:4040",
            "a.localhost:4040",
            "user@localhost:4040",
            "::1:4040",
            "0.0.0.0:4040",
            "",
        ] {
            assert!(!is_here(&headers(&[host]), 4040), "{host}");
        }
        assert!(!is_here(&headers(&[]), 4040));
        let two = ["localhost:4040", "evil.example"];
        assert!(!is_here(&headers(&two), 4040));
        assert!(is_here(&headers(&["localhost"]), 80));
    }

    #[test]
    fn only_the_page_itself_and_programs_may_write() {
        let check = |method: Method, pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            may_write(&method, &headers, 4040).is_ok()
        };
        let json = ("content-type", "application/json; charset=utf-8");
        assert!(check(Method::POST, &[json]));
        assert!(check(Method::DELETE, &[]));
        let here = ("origin", "http://localhost:4040");
        assert!(check(
            Method::POST,
            &[json, here, ("sec-fetch-site", "same-origin")]
        ));
        for pairs in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/x-www-form-urlencoded"), here],
            &[json, ("origin", "http://evil.example")],
            &[json, ("origin", "https://localhost:4040")],
            &[json, ("origin", "http://localhost:4041")],
            &[json, ("origin", "http://localhost:+4040")],
            &[json, ("origin", "null")],
            &[json, ("sec-fetch-site", "cross-site")],
            &[json, ("sec-fetch-site", "same-site")],
        ] {
            assert!(!check(Method::POST, pairs), "{pairs:?}");
        }
        assert!(!check(Method::DELETE, &[("origin", "http://evil.example")]));
    }
}
