//! What is between a visitor and the relay alone (RFC 9110 sections 7.6 to 7.8 and 10.1.1), and who the visitor
//! says that it is.

use super::{Alone, GET, Refused, Row, Seen, row};

/// See the [module](self).
pub(super) const ROWS: &[Row] = &[
    row(
        "fields that a connection names",
        "RFC 9110 7.6.1",
        line!("Connection: x-smuggled\r\nX-Smuggled: y"),
        GET,
    ),
    row(
        "a connection that names what it may not",
        "RFC 9110 7.6.1, CVE-2022-31813, CVE-2021-33197",
        post!(
            "Connection: host, content-length, x-forwarded-for, forwarded, x-forwarded-host, te, \
             x-request-id, cookie\r\nContent-Length: 5",
            "hello"
        ),
        Seen(&[("POST", "/outer", "hello")]),
    ),
    row(
        "a connection that names the coding",
        "RFC 9110 7.6.1",
        post!(
            "Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
            "5\r\nhello\r\n0\r\n\r\n"
        ),
        Seen(&[("POST", "/outer", "hello")]),
    ),
    row(
        "fields of one hop",
        "RFC 9110 7.6.1",
        line!(
            "Keep-Alive: smuggled\r\nProxy-Connection: smuggled\r\nTE: smuggled\r\nUpgrade: smuggled\r\n\
             HTTP2-Settings: smuggled\r\nProxy-Authorization: smuggled"
        ),
        GET,
    ),
    row(
        "who the visitor says it is",
        "RFC 7239 8.1",
        line!(
            "X-Forwarded-For: smuggled\r\nx-forwarded-for: smuggled\r\nX-Forwarded-Host: smuggled\r\n\
             X-Forwarded-Proto: smuggled\r\nForwarded: for=smuggled"
        ),
        GET,
    ),
    row(
        "who it says it is, as CGI spells it",
        "RFC 3875 4.1.18",
        line!(
            "X_Forwarded_For: smuggled\r\nX-Forwarded_Host: smuggled\r\nx_forwarded-proto: smuggled"
        ),
        GET,
    ),
    row(
        "HTTP/2 by an upgrade",
        "RFC 9113 3.1, h2c smuggling (2020)",
        line!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: smuggled"),
        GET,
    ),
    row(
        "bytes behind an upgrade that is declined",
        "RFC 9110 7.8, CVE-2026-2833",
        "GET /one HTTP/1.1\r\n<HOST>\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n\
         GET /two HTTP/1.1\r\n<HOST>\r\n\r\n",
        Seen(&[("GET", "/one", ""), ("GET", "/two", "")]),
    ),
    row(
        "an upgrade in HTTP/1.0",
        "RFC 9110 7.8",
        "GET /one HTTP/1.0\r\n<HOST>\r\nConnection: upgrade\r\nUpgrade: smuggled\r\n\r\n<SMUGGLED>",
        Alone(&[("GET", "/one", "")]),
    ),
    row(
        "an upgrade with a body",
        "RFC 9110 7.8",
        post!(
            "Connection: upgrade\r\nUpgrade: smuggled\r\nContent-Length: 47",
            "<SMUGGLED>"
        ),
        Seen(&[("POST", "/outer", "<SMUGGLED>")]),
    ),
    row(
        "an expectation without a body",
        "RFC 9110 10.1.1",
        "GET /outer HTTP/1.1\r\n<HOST>\r\nExpect: 100-continue\r\n\r\n",
        Seen(&[("GET", "/outer", "")]),
    ),
    row(
        "an expectation whose body comes at once",
        "RFC 9110 10.1.1, HTTP/1.1 must die (2025)",
        post!("Expect: 100-continue\r\nContent-Length: 47", "<SMUGGLED>"),
        Seen(&[("POST", "/outer", "<SMUGGLED>")]),
    ),
    row(
        "an expectation of something else",
        "RFC 9110 10.1.1, HTTP/1.1 must die (2025)",
        post!("Expect: y 100-continue\r\nContent-Length: 47", "<SMUGGLED>"),
        Seen(&[("POST", "/outer", "<SMUGGLED>")]),
    ),
    row(
        "an expectation twice",
        "RFC 9110 10.1.1, HTTP/1.1 must die (2025)",
        post!(
            "Expect: 100-continue\r\nExpect: x\r\nTransfer-Encoding: chunked",
            "2f\r\n<SMUGGLED>\r\n0\r\n\r\n"
        ),
        Seen(&[("POST", "/outer", "<SMUGGLED>")]),
    ),
    row(
        "an expectation of who is not there",
        "RFC 9110 10.1.1",
        "POST /outer HTTP/1.1\r\nHost: smuggled.localhost\r\nExpect: 100-continue\r\n\
         Content-Length: 47\r\n\r\n<SMUGGLED>",
        Refused(404, "unknown-name"),
    ),
    row(
        "TE of what may go on",
        "RFC 9110 10.1.4",
        line!("TE: trailers, smuggled;q=0.5\r\nConnection: TE"),
        GET,
    ),
    row(
        "Max-Forwards of nothing",
        "RFC 9110 7.6.2",
        "OPTIONS /outer HTTP/1.1\r\n<HOST>\r\nMax-Forwards: 0\r\n\r\n",
        Seen(&[("OPTIONS", "/outer", "")]),
    ),
];
