//! Targets (RFC 9112 section 3.2, RFC 3986).
//!
//! Raw `"`, `<`, `>`, a backtick in a path and a fragment are in no URI. Every browser escapes them (the sets
//! of the URL standard), servers and caches do not agree on them, and RFC 9112 section 3.2 advises to answer 400
//! and warns of mending them. What browsers do send raw, although no URI may have it, goes on byte for byte.

use super::{Alone, GET, HOST, Refused, Row, SYNTAX, Seen, TARGET, row};

/// See the [module](self).
pub(super) const ROWS: &[Row] = &[
    row(
        "a path that could be shorter",
        "RFC 3986 6.2.2",
        target!("/a/../%2e%2E/./b//c;d/%zz/%00%0d%0a?x=/../&&=%20"),
        Seen(&[(
            "GET",
            "/a/../%2e%2E/./b//c;d/%zz/%00%0d%0a?x=/../&&=%20",
            "",
        )]),
    ),
    row(
        "two slashes first",
        "RFC 9112 3.2.1",
        target!("//good.localhost/a"),
        Seen(&[("GET", "//good.localhost/a", "")]),
    ),
    row(
        "a backslash",
        "URL standard 4.4",
        target!("/a\\b?c\\d"),
        Seen(&[("GET", "/a\\b?c\\d", "")]),
    ),
    row(
        "what browsers send raw in a path",
        "URL standard 1.3",
        target!("/a|b[c]d'e!f$g&h(i)j*k+l,m;n=o:p@q^r"),
        Seen(&[("GET", "/a|b[c]d'e!f$g&h(i)j*k+l,m;n=o:p@q^r", "")]),
    ),
    row(
        "what browsers send raw in a query",
        "URL standard 1.3",
        target!("/?a|b[c]d{e}f^g`h\\i?j/k"),
        Seen(&[("GET", "/?a|b[c]d{e}f^g`h\\i?j/k", "")]),
    ),
    row(
        "what browsers escape and templates do not",
        "URL standard 1.3",
        target!("/{a}/\"b\""),
        Seen(&[("GET", "/{a}/\"b\"", "")]),
    ),
    row(
        "a quote in a query",
        "RFC 9112 3.2, RFC 3986 2",
        target!("/?\"smuggled\""),
        TARGET,
    ),
    row(
        "angle brackets",
        "RFC 9112 3.2, RFC 3986 2",
        target!("/<smuggled>"),
        TARGET,
    ),
    row(
        "angle brackets in a query",
        "RFC 9112 3.2, RFC 3986 2",
        target!("/?<smuggled>"),
        TARGET,
    ),
    row(
        "a backtick in a path",
        "RFC 9112 3.2, RFC 3986 2",
        target!("/`smuggled`"),
        TARGET,
    ),
    row(
        "a fragment",
        "RFC 9110 7.1, CVE-2023-45539",
        target!("/a#smuggled"),
        TARGET,
    ),
    row(
        "a fragment behind a query",
        "RFC 9110 7.1, CVE-2023-45539",
        target!("/a?b#smuggled"),
        TARGET,
    ),
    row("a space", "RFC 9112 3.2", target!("/a smuggled"), SYNTAX),
    row("a tab", "RFC 9112 3.2", target!("/a\tsmuggled"), SYNTAX),
    row("a NUL", "RFC 9112 3.2", target!("/a\0smuggled"), SYNTAX),
    row("DEL", "RFC 9112 3.2", target!("/a\u{7f}smuggled"), SYNTAX),
    row(
        "a bare carriage return in a target",
        "RFC 9112 2.2",
        target!("/a\rsmuggled"),
        SYNTAX,
    ),
    row(
        "a request in a target",
        "CVE-2023-25690",
        target!("/%20HTTP/1.1%0d%0aX-Y:%20z%0d%0a%0d%0aGET%20/two"),
        Seen(&[(
            "GET",
            "/%20HTTP/1.1%0d%0aX-Y:%20z%0d%0a%0d%0aGET%20/two",
            "",
        )]),
    ),
    row(
        "letters beyond ASCII",
        "URL standard 1.3",
        target!("/\u{e9}?\u{e9}"),
        Seen(&[("GET", "/\u{e9}?\u{e9}", "")]),
    ),
    row(
        "no slash first",
        "RFC 9112 3.2.1",
        target!("smuggled"),
        HOST,
    ),
    row(
        "a query alone",
        "RFC 9112 3.2.1",
        target!("?smuggled"),
        HOST,
    ),
    row(
        "an absolute form",
        "RFC 9112 3.2.2",
        target!("http://app.localhost/a?b"),
        Seen(&[("GET", "/a?b", "")]),
    ),
    row(
        "an absolute form of https",
        "RFC 9112 3.2.2",
        target!("HTTPS://App.Localhost:443/a"),
        Seen(&[("GET", "/a", "")]),
    ),
    row(
        "an absolute form without a path",
        "RFC 9112 3.2.2",
        target!("http://app.localhost"),
        GET,
    ),
    row(
        "an absolute form of a query alone",
        "RFC 9112 3.2.1",
        target!("http://app.localhost?a"),
        Seen(&[("GET", "/?a", "")]),
    ),
    row(
        "an absolute form for another host",
        "RFC 9112 3.2.2",
        target!("http://smuggled.localhost/"),
        Refused(421, "misdirected"),
    ),
    row(
        "an absolute form with a backslash in its host",
        "RFC 3986 3.2",
        target!("http://smuggled\\.app.localhost/"),
        HOST,
    ),
    row(
        "an absolute form with a user",
        "RFC 9110 4.2.4",
        target!("http://smuggled@app.localhost/"),
        HOST,
    ),
    row(
        "an absolute form with a host for a user",
        "RFC 9110 4.2.4",
        target!("http://app.localhost@smuggled.localhost/"),
        HOST,
    ),
    row(
        "an absolute form without host",
        "RFC 9110 4.2.1",
        target!("http:///smuggled"),
        HOST,
    ),
    row(
        "an absolute form without slashes",
        "RFC 9112 3.2.2",
        target!("http:app.localhost/smuggled"),
        HOST,
    ),
    row(
        "an absolute form of another scheme",
        "RFC 9110 7.4",
        target!("file://app.localhost/etc/smuggled"),
        TARGET,
    ),
    row(
        "an absolute form with a fragment",
        "RFC 9110 7.1",
        target!("http://app.localhost/#smuggled"),
        TARGET,
    ),
    row(
        "an authority for GET",
        "RFC 9112 3.2.3",
        target!("app.localhost:80"),
        HOST,
    ),
    row(
        "an asterisk for GET",
        "RFC 9112 3.2.4",
        target!("*"),
        TARGET,
    ),
    row(
        "an asterisk for OPTIONS",
        "RFC 9112 3.2.4",
        "OPTIONS * HTTP/1.1\r\n<HOST>\r\n\r\n",
        Seen(&[("OPTIONS", "*", "")]),
    ),
    row(
        "an asterisk with more",
        "RFC 9112 3.2.4",
        "OPTIONS *smuggled HTTP/1.1\r\n<HOST>\r\n\r\n",
        HOST,
    ),
    row(
        "CONNECT",
        "RFC 9110 9.3.6",
        "CONNECT app.localhost:80 HTTP/1.1\r\n<HOST>\r\nConnection: close\r\n\r\n",
        Refused(501, "connect-not-supported"),
    ),
    row(
        "CONNECT to a path",
        "RFC 9110 9.3.6",
        "CONNECT /smuggled HTTP/1.1\r\n<HOST>\r\nConnection: close\r\n\r\n",
        Refused(501, "connect-not-supported"),
    ),
    row(
        "CONNECT with a body",
        "RFC 9110 9.3.6",
        "CONNECT app.localhost:80 HTTP/1.1\r\n<HOST>\r\nConnection: close\r\nContent-Length: 47\r\n\r\n<SMUGGLED>",
        Refused(501, "connect-not-supported"),
    ),
    row(
        "a target that a path of HTTP/1.0 ends",
        "RFC 9112 9.3",
        "GET /a HTTP/1.0\r\n<HOST>\r\nConnection: close, keep-alive\r\n\r\n<SMUGGLED>",
        Alone(&[("GET", "/a", "")]),
    ),
];
