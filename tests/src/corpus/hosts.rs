//! Whom a request is for (RFC 9112 section 3.2, RFC 9110 section 7.2).

use super::{GET, HOST, Refused, Row, SYNTAX, Seen, row};

/// A request with this in place of the field that names the host.
macro_rules! host {
    ($line:expr) => {
        concat!("GET / HTTP/1.1\r\n", $line, "\r\n\r\n")
    };
}

/// See the [module](self).
pub(super) const ROWS: &[Row] = &[
    row(
        "a host with a port",
        "RFC 9110 7.2",
        host!("Host: app.localhost:8080"),
        GET,
    ),
    row(
        "a host in capitals",
        "RFC 3986 3.2.2",
        host!("hOST:APP.Localhost"),
        GET,
    ),
    row(
        "a host with a dot at its end",
        "RFC 3986 3.2.2",
        host!("Host: app.localhost."),
        GET,
    ),
    row(
        "a host in white space",
        "RFC 9112 5.1",
        host!("Host: \t app.localhost \t"),
        GET,
    ),
    row(
        "a host and a colon",
        "RFC 3986 3.2.3",
        host!("Host: app.localhost:"),
        GET,
    ),
    row("no host", "RFC 9112 3.2", host!("X: y"), HOST),
    row(
        "no host in HTTP/1.0",
        "RFC 9112 3.2",
        "GET / HTTP/1.0\r\n\r\n",
        HOST,
    ),
    row("an empty host", "RFC 9112 3.2", host!("Host:"), HOST),
    row(
        "a host twice",
        "RFC 9112 3.2",
        host!("Host: app.localhost\r\nHost: app.localhost"),
        HOST,
    ),
    row(
        "two hosts",
        "RFC 9112 3.2",
        host!("Host: app.localhost\r\nHost: smuggled.localhost"),
        HOST,
    ),
    row(
        "two hosts, one of them empty",
        "RFC 9112 3.2",
        host!("Host: app.localhost\r\nHost:"),
        HOST,
    ),
    row(
        "a list of hosts",
        "RFC 9110 7.2",
        host!("Host: app.localhost, smuggled.localhost"),
        HOST,
    ),
    row(
        "two hosts in one field",
        "RFC 9110 7.2",
        host!("Host: app.localhost smuggled.localhost"),
        HOST,
    ),
    row(
        "a folded host",
        "RFC 9112 5.2",
        host!("Host: app.localhost\r\n smuggled.localhost"),
        SYNTAX,
    ),
    row(
        "a host behind a space",
        "RFC 9112 5.1",
        host!("Host : app.localhost"),
        SYNTAX,
    ),
    row(
        "a host with a user",
        "RFC 9110 7.2",
        host!("Host: smuggled@app.localhost"),
        HOST,
    ),
    row(
        "a host with a user and a password",
        "RFC 9110 7.2",
        host!("Host: a:smuggled@app.localhost"),
        HOST,
    ),
    row(
        "a host with a path",
        "RFC 9110 7.2",
        host!("Host: app.localhost/smuggled"),
        HOST,
    ),
    row(
        "a host with a query",
        "RFC 9110 7.2",
        host!("Host: app.localhost?smuggled"),
        HOST,
    ),
    row(
        "a host with a fragment",
        "RFC 9110 7.2",
        host!("Host: app.localhost#smuggled"),
        HOST,
    ),
    row(
        "a host with a scheme",
        "RFC 9110 7.2",
        host!("Host: http://app.localhost"),
        HOST,
    ),
    row(
        "a host with a backslash",
        "RFC 9110 7.2",
        host!("Host: app.localhost\\smuggled"),
        HOST,
    ),
    row(
        "a host with an escape",
        "RFC 3986 3.2.2",
        host!("Host: app%2elocalhost"),
        HOST,
    ),
    row(
        "a host with a quote",
        "RFC 9110 7.2",
        host!("Host: app\"smuggled.localhost"),
        HOST,
    ),
    row(
        "a host with a NUL",
        "RFC 9110 5.5",
        host!("Host: app.localhost\0"),
        SYNTAX,
    ),
    row(
        "a host beyond ASCII",
        "RFC 3986 3.2.2",
        host!("Host: \u{e4}pp.localhost"),
        HOST,
    ),
    row(
        "a host with two dots",
        "RFC 1123 2.1",
        host!("Host: app..localhost"),
        HOST,
    ),
    row("a host of a dot", "RFC 1123 2.1", host!("Host: ."), HOST),
    row(
        "a port that is none",
        "RFC 3986 3.2.3",
        host!("Host: app.localhost:smuggled"),
        HOST,
    ),
    row(
        "a port beyond ports",
        "RFC 9110 4.2.1",
        host!("Host: app.localhost:65536"),
        HOST,
    ),
    row(
        "a port with a sign",
        "RFC 3986 3.2.3",
        host!("Host: app.localhost:+80"),
        HOST,
    ),
    row(
        "two ports",
        "RFC 3986 3.2.3",
        host!("Host: app.localhost:80:80"),
        HOST,
    ),
    row(
        "a host that nobody serves",
        "RFC 9110 7.4",
        host!("Host: smuggled.localhost\r\nConnection: close"),
        Refused(404, "unknown-name"),
    ),
    row(
        "an absolute form without the field",
        "RFC 9112 3.2.2",
        "GET http://app.localhost/smuggled HTTP/1.1\r\n\r\n",
        HOST,
    ),
    row(
        "other names for the host",
        "RFC 9110 7.2",
        host!("Host: app.localhost\r\nX-Host: other\r\nX-Original-URL: /other"),
        Seen(&[("GET", "/", "")]),
    ),
];
