//! Who is answered: a browser that was pointed at this machine, and nobody else.
//!
//! Any web page can make a browser send requests here. It cannot read the answers (there are no
//! CORS headers) unless its own name resolves to this machine, and such a name stands in `Host`.

use http::header::HOST;
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
    let Ok(host) = host.to_str() else {
        return false;
    };
    let (name, given) = match host.rsplit_once(':') {
        Some((name, digits)) if !host.ends_with(']') => (name, digits.parse().ok()),
        _ => (host, Some(80)),
    };
    let is_name = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|here| name.eq_ignore_ascii_case(here));
    is_name && given == Some(port)
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
}
