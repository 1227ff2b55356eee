//! Heads that are none: pseudo-fields, the length of a body, and CONNECT (RFC 9114 sections 4.1.2, 4.3 and
//! 4.4, RFC 9220).

use super::Expected::{Answer, Heard, Malformed};
use super::wire::{data, headers, post, request};
use super::{Expected, Row, row};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = pseudo();
    rows.extend(authority());
    rows.extend(connect());
    rows.extend(lengths());
    rows
}

/// A request in which a pseudo-field has this value.
fn with(name: &str, value: &str) -> Vec<u8> {
    let mut fields = request("GET", "/outer");
    for field in &mut fields {
        if field.0 == name {
            field.1 = value;
        }
    }
    headers(&fields)
}

/// A request in which a pseudo-field is absent.
fn without(name: &str) -> Vec<u8> {
    let mut fields = request("GET", "/outer");
    fields.retain(|field| field.0 != name);
    headers(&fields)
}

/// A request with this field behind all others.
fn and(name: &str, value: &str) -> Vec<u8> {
    let mut fields = request("GET", "/outer");
    fields.push((name, value));
    headers(&fields)
}

fn pseudo() -> Vec<Row> {
    let at = |name, sent, expected: Expected| row(name, "RFC 9114 4.3.1", sent, expected);
    let malformed = |name, sent| row(name, "RFC 9114 4.3", sent, Malformed);
    let target = |name, sent| row(name, "RFC 9114 4.3.1", sent, Answer(400, "bad-target"));
    let late = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "app.localhost"),
        ("x", "y"),
        (":path", "/outer"),
    ];
    let backwards: Vec<_> = request("GET", "/one").into_iter().rev().collect();
    vec![
        at(
            "a path byte for byte over HTTP/3",
            with(":path", "/a/../%2e//|?b=[c]"),
            Heard("GET", "/a/../%2e//|?b=[c]", ""),
        ),
        at(
            "pseudo-fields in any order",
            headers(&backwards),
            Heard("GET", "/one", ""),
        ),
        at(
            "an asterisk for OPTIONS over HTTP/3",
            headers(&request("OPTIONS", "*")),
            Heard("OPTIONS", "*", ""),
        ),
        at(
            "a method that nobody knows",
            headers(&request("BREW", "/one")),
            Heard("BREW", "/one", ""),
        ),
        at("no :method", without(":method"), Malformed),
        at("no :scheme", without(":scheme"), Malformed),
        at("no :path", without(":path"), Malformed),
        at("an empty :path", with(":path", ""), Malformed),
        at("an empty :method", with(":method", ""), Malformed),
        at(
            "an empty :scheme",
            with(":scheme", ""),
            Answer(400, "bad-target"),
        ),
        malformed(":method twice", and(":method", "GET")),
        malformed(":path twice", and(":path", "/outer")),
        malformed(":scheme twice", and(":scheme", "https")),
        malformed(":authority twice", and(":authority", "app.localhost")),
        malformed("a pseudo-field behind a field", headers(&late)),
        malformed("a pseudo-field that nobody knows", and(":smuggled", "y")),
        malformed("a pseudo-field of a response", and(":status", "200")),
        malformed("a pseudo-field with a capital", and(":Path", "/smuggled")),
        malformed("a colon alone", and(":", "smuggled")),
        malformed(":path without a slash", with(":path", "smuggled")),
        malformed(
            ":path of an absolute form",
            with(":path", "https://app.localhost/smuggled"),
        ),
        malformed(":path with an asterisk for GET", with(":path", "*")),
        target(":path with a space", with(":path", "/ smuggled")),
        target(
            ":path with a request",
            with(":path", "/ HTTP/1.1\r\nx: smuggled\r\n\r\n"),
        ),
        target(":path with a NUL", with(":path", "/\0smuggled")),
        target(":path with a fragment", with(":path", "/outer#smuggled")),
        malformed(":method with a space", with(":method", "GET /smuggled")),
        malformed(
            ":method with a line end",
            with(":method", "GET\r\nx: smuggled"),
        ),
        at(
            ":scheme of something else",
            with(":scheme", "ftp"),
            Answer(400, "bad-target"),
        ),
        at(
            ":scheme with a host",
            with(":scheme", "https://smuggled/"),
            Answer(400, "bad-target"),
        ),
        at(
            ":scheme of http on a connection with TLS",
            with(":scheme", "http"),
            Heard("GET", "/outer", ""),
        ),
    ]
}

/// Whom a request is for.
fn authority() -> Vec<Row> {
    let at = |name, sent, expected: Expected| row(name, "RFC 9114 4.3.1", sent, expected);
    let bad = |name, sent| row(name, "RFC 9114 4.3.1", sent, Answer(400, "bad-host"));
    let host = |host: &str| {
        let mut fields = request("GET", "/one");
        fields.retain(|field| field.0 != ":authority");
        fields.push(("host", host));
        headers(&fields)
    };
    let twice = [
        &request("GET", "/outer")[..],
        &[("host", "app.localhost"), ("host", "app.localhost")],
    ]
    .concat();
    vec![
        at(
            "Host in place of :authority over HTTP/3",
            host("app.localhost"),
            Heard("GET", "/one", ""),
        ),
        at(
            "Host that agrees over HTTP/3",
            and("host", "App.Localhost"),
            Heard("GET", "/outer", ""),
        ),
        at(
            "Host that disagrees over HTTP/3",
            and("host", "smuggled.localhost"),
            Answer(421, "misdirected"),
        ),
        bad("Host of nothing beside :authority", and("host", "")),
        bad("Host twice over HTTP/3", headers(&twice)),
        bad("no :authority and no Host", without(":authority")),
        bad("an empty :authority", with(":authority", "")),
        bad("an empty Host over HTTP/3", host("")),
        bad(
            ":authority with a user",
            with(":authority", "smuggled@app.localhost"),
        ),
        bad(
            ":authority with a path",
            with(":authority", "app.localhost/smuggled"),
        ),
        bad(
            ":authority with a line end",
            with(":authority", "app.localhost\r\nx: smuggled"),
        ),
        bad(
            ":authority with a port that is none",
            with(":authority", "app.localhost:smuggled"),
        ),
        bad(
            ":authority with a NUL",
            with(":authority", "app.localhost\0"),
        ),
        bad(
            "Host with a path over HTTP/3",
            host("app.localhost/smuggled"),
        ),
        row(
            ":authority of another than the handshake's",
            "RFC 9110 7.4",
            with(":authority", "smuggled.localhost"),
            Answer(421, "misdirected"),
        ),
        row(
            "Host of another than the handshake's",
            "RFC 9110 7.4",
            host("smuggled.localhost"),
            Answer(421, "misdirected"),
        ),
    ]
}

fn connect() -> Vec<Row> {
    let plain = |name, sent, expected: Expected| row(name, "RFC 9114 4.4", sent, expected);
    let extended = |name, sent| row(name, "RFC 9220 3", sent, Malformed);
    let of = |protocol: &str, more: &[(&str, &str)]| {
        let mut fields = request("CONNECT", "/outer");
        fields.push((":protocol", protocol));
        fields.extend(more);
        headers(&fields)
    };
    let lacking = |name: &str| {
        let mut fields = request("CONNECT", "/outer");
        fields.push((":protocol", "websocket"));
        fields.retain(|field| field.0 != name);
        headers(&fields)
    };
    let authority = [(":method", "CONNECT"), (":authority", "app.localhost:443")];
    vec![
        plain(
            "CONNECT over HTTP/3",
            headers(&authority),
            Answer(501, "connect-not-supported"),
        ),
        plain(
            "CONNECT with a scheme and a path",
            headers(&request("CONNECT", "/outer")),
            Malformed,
        ),
        plain(
            "CONNECT without an authority",
            headers(&authority[..1]),
            Malformed,
        ),
        extended(":protocol without CONNECT", and(":protocol", "websocket")),
        extended("an extended CONNECT without a path", lacking(":path")),
        extended("an extended CONNECT without a scheme", lacking(":scheme")),
        extended(
            "an extended CONNECT without an authority",
            lacking(":authority"),
        ),
        extended("an extended CONNECT for nothing", of("", &[])),
        extended(
            "a protocol with a line end",
            of("websocket\r\nx: smuggled", &[]),
        ),
        extended(
            "a protocol twice",
            of("websocket", &[(":protocol", "smuggled")]),
        ),
        extended(
            "an extended CONNECT with a length",
            of("websocket", &[("content-length", "5")]),
        ),
        extended(
            "an extended CONNECT that is an upgrade too",
            of("websocket", &[("upgrade", "smuggled")]),
        ),
        extended(
            "an extended CONNECT with a connection",
            of("websocket", &[("connection", "smuggled")]),
        ),
    ]
}

/// What is said of the body, and trailers.
fn lengths() -> Vec<Row> {
    let of = |length: &str, bodies: &[&str]| {
        let bodies: Vec<_> = bodies.iter().map(|body| data(body)).collect();
        [post(&[("content-length", length)]), bodies.concat()].concat()
    };
    let trailers = |fields: &[(&str, &str)]| [post(&[]), data("hello"), headers(fields)].concat();
    let at = |name, sent, expected: Expected| row(name, "RFC 9114 4.1.2", sent, expected);
    let behind =
        |name, source, fields: &[(&str, &str)]| row(name, source, trailers(fields), Malformed);
    let heard = |body| Heard("POST", "/outer", body);
    let length = |more: &[(&str, &str)]| [post(more), data("hello")].concat();
    let get = |length: &str| {
        headers(&[&request("GET", "/outer")[..], &[("content-length", length)]].concat())
    };
    vec![
        at(
            "a length over HTTP/3",
            of("5", &["he", "llo"]),
            heard("hello"),
        ),
        at("a length of nothing, and none", of("0", &[]), heard("")),
        at("less than the length", of("6", &["hello"]), Malformed),
        at("nothing of the length", of("5", &[""]), Malformed),
        at("more than the length", of("4", &["hello"]), Malformed),
        at(
            "more than a length of nothing",
            of("0", &["hello"]),
            Malformed,
        ),
        at(
            "more than the length, by another frame",
            of("5", &["hello", "x"]),
            Malformed,
        ),
        at("a length and no body", of("5", &[]), Malformed),
        at("a length and no body for GET", get("5"), Malformed),
        at(
            "less than the length, and trailers",
            [of("6", &["hello"]), headers(&[("x", "y")])].concat(),
            Malformed,
        ),
        row(
            "a length with a plus over HTTP/3",
            "RFC 9110 8.6",
            of("+5", &["hello"]),
            Malformed,
        ),
        row(
            "a length with a minus over HTTP/3",
            "RFC 9110 8.6",
            of("-5", &["hello"]),
            Malformed,
        ),
        row(
            "a length that is none over HTTP/3",
            "RFC 9110 8.6",
            of("five", &["hello"]),
            Malformed,
        ),
        row(
            "a length in hexadecimal over HTTP/3",
            "RFC 9110 8.6",
            of("0x5", &["hello"]),
            Malformed,
        ),
        row(
            "a length of nothing at all",
            "RFC 9110 8.6",
            of("", &["hello"]),
            Malformed,
        ),
        row(
            "a list of lengths over HTTP/3",
            "RFC 9110 8.6",
            of("5, 6", &["hello"]),
            Malformed,
        ),
        row(
            "a length of 2^64 over HTTP/3",
            "RFC 9110 8.6",
            of("18446744073709551621", &["hello"]),
            Malformed,
        ),
        row(
            "two lengths over HTTP/3",
            "RFC 9110 8.6",
            length(&[("content-length", "5"), ("content-length", "6")]),
            Malformed,
        ),
        row(
            "the same length twice over HTTP/3",
            "RFC 9110 8.6",
            length(&[("content-length", "5"), ("content-length", "5")]),
            Malformed,
        ),
        row(
            "a coding beside a length over HTTP/3",
            "RFC 9114 4.1",
            length(&[("content-length", "5"), ("transfer-encoding", "chunked")]),
            Malformed,
        ),
        row(
            "chunks of HTTP/1.1 are a body like any other",
            "RFC 9114 4.1",
            [post(&[]), data("0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")].concat(),
            heard("0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
        ),
        row(
            "trailers that frame, route and introduce over HTTP/3",
            "RFC 9110 6.5.1",
            trailers(&[
                ("content-length", "smuggled"),
                ("host", "smuggled"),
                ("x-forwarded-for", "smuggled"),
                ("forwarded", "for=smuggled"),
            ]),
            heard("hello"),
        ),
        behind(
            "a pseudo-field in trailers",
            "RFC 9114 4.3",
            &[(":path", "/smuggled")],
        ),
        behind(
            "a status in trailers",
            "RFC 9114 4.3",
            &[(":status", "200")],
        ),
        behind(
            "a name with a capital in trailers",
            "RFC 9114 4.2",
            &[("X-Smuggled", "y")],
        ),
        behind(
            "a line end in trailers",
            "RFC 9114 10.3",
            &[("x", "y\r\nsmuggled: z")],
        ),
        behind(
            "a field of one hop in trailers",
            "RFC 9114 4.2",
            &[("transfer-encoding", "smuggled")],
        ),
        behind(
            "a connection in trailers",
            "RFC 9114 4.2",
            &[("connection", "smuggled")],
        ),
    ]
}
