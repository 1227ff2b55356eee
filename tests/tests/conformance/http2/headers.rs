//! Heads that are none: pseudo-fields, and the length of a body (RFC 9113 sections 8.1 and 8.3).

use super::Expected::{Heard, Refused};
use super::wire::{DATA, END_HEADERS, END_STREAM, HEADERS, WHOLE, block, frame, post, request};
use super::{Expected, Row, row};

const RFC: &str = "RFC 9113 8.3";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = pseudo();
    rows.extend(lengths());
    rows
}

/// A request of these fields alone.
fn whole(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, WHOLE, 1, &block(fields))
}

/// A request in which a pseudo-field has this value.
fn with(name: &str, value: &str) -> Vec<u8> {
    let mut fields = request("GET", "/outer");
    for field in &mut fields {
        if field.0 == name {
            field.1 = value;
        }
    }
    whole(&fields)
}

/// A request in which a pseudo-field is absent.
fn without(name: &str) -> Vec<u8> {
    let mut fields = request("GET", "/outer");
    fields.retain(|field| field.0 != name);
    whole(&fields)
}

/// A request with this field behind all others.
fn and(name: &str, value: &str) -> Vec<u8> {
    let mut fields = request("GET", "/outer");
    fields.push((name, value));
    whole(&fields)
}

fn pseudo() -> Vec<Row> {
    let refused = |name, sent| row(name, RFC, sent, Refused);
    let late = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "app.localhost"),
        ("x", "y"),
        (":path", "/outer"),
    ];
    let connect = [(":method", "CONNECT"), (":authority", "app.localhost:443")];
    let bare = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/one"),
        ("host", "app.localhost"),
    ];
    vec![
        row(
            "a path byte for byte",
            "RFC 9113 8.3.1",
            with(":path", "/a/../%2e//|?b=[c]"),
            Heard("GET", "/a/../%2e//|?b=[c]", ""),
        ),
        row(
            "an asterisk for OPTIONS over HTTP/2",
            "RFC 9113 8.3.1",
            whole(&request("OPTIONS", "*")),
            Heard("OPTIONS", "*", ""),
        ),
        row(
            "Host in place of :authority",
            "RFC 9113 8.3.1",
            whole(&bare),
            Heard("GET", "/one", ""),
        ),
        row(
            "Host that agrees",
            "RFC 9113 8.3.1",
            and("host", "App.Localhost"),
            Heard("GET", "/outer", ""),
        ),
        refused("Host that disagrees", and("host", "smuggled.localhost")),
        refused("no :method", without(":method")),
        refused("no :scheme", without(":scheme")),
        refused("no :path", without(":path")),
        refused("no :authority and no Host", without(":authority")),
        refused("an empty :path", with(":path", "")),
        refused("an empty :authority", with(":authority", "")),
        refused("an empty :method", with(":method", "")),
        refused(":path without a slash", with(":path", "smuggled")),
        refused(
            ":path of an absolute form",
            with(":path", "http://app.localhost/smuggled"),
        ),
        refused(":path with an asterisk for GET", with(":path", "*")),
        refused(":path with a space", with(":path", "/ smuggled")),
        refused(
            ":path with a request",
            with(":path", "/ HTTP/1.1\r\nx: smuggled\r\n\r\n"),
        ),
        refused(":path with a NUL", with(":path", "/\0smuggled")),
        // The library cuts it off before anybody sees it: one view, if not the whole of it.
        row(
            "known: :path with a fragment is served without it",
            RFC,
            with(":path", "/outer#smuggled"),
            Heard("GET", "/outer", ""),
        ),
        refused(":method with a space", with(":method", "GET /smuggled")),
        refused(
            ":method with a line end",
            with(":method", "GET\r\nx: smuggled"),
        ),
        refused(
            ":authority with a user",
            with(":authority", "smuggled@app.localhost"),
        ),
        refused(
            ":authority with a path",
            with(":authority", "app.localhost/smuggled"),
        ),
        refused(
            ":authority with a line end",
            with(":authority", "app.localhost\r\nx: smuggled"),
        ),
        refused(
            ":authority with a port that is none",
            with(":authority", "app.localhost:smuggled"),
        ),
        refused(
            ":authority of another",
            with(":authority", "smuggled.localhost"),
        ),
        refused(":scheme with a host", with(":scheme", "http://smuggled/")),
        refused(":method twice", and(":method", "GET")),
        refused(":path twice", and(":path", "/outer")),
        refused(":scheme twice", and(":scheme", "http")),
        refused(":authority twice", and(":authority", "app.localhost")),
        refused("a pseudo-field behind a field", whole(&late)),
        refused("a pseudo-field that nobody knows", and(":smuggled", "y")),
        refused("a pseudo-field of a response", and(":status", "200")),
        refused(":protocol without CONNECT", and(":protocol", "websocket")),
        row(
            "CONNECT over HTTP/2",
            "RFC 9113 8.5",
            whole(&connect),
            Refused,
        ),
        row(
            "CONNECT with a path",
            "RFC 9113 8.5",
            whole(&request("CONNECT", "/outer")),
            Refused,
        ),
        row(
            "CONNECT without an authority",
            "RFC 9113 8.5",
            whole(&connect[..1]),
            Refused,
        ),
        row(
            "a protocol without a path",
            "RFC 8441 4",
            whole(&[connect[0], connect[1], (":protocol", "websocket")]),
            Refused,
        ),
    ]
}

fn lengths() -> Vec<Row> {
    let data = |text: &str, flags| frame(DATA, flags, 1, text.as_bytes());
    let of = |length: &str, bodies: &[&str]| {
        let mut bytes = post(1, &[("content-length", length)]);
        for (at, body) in bodies.iter().enumerate() {
            let is_last = at + 1 == bodies.len();
            bytes.extend(data(body, if is_last { END_STREAM } else { 0 }));
        }
        bytes
    };
    let trailers = |fields: &[(&str, &str)], flags| {
        let mut bytes = post(1, &[]);
        bytes.extend(data("hello", 0));
        bytes.extend(frame(HEADERS, flags, 1, &block(fields)));
        bytes
    };
    let heard = |body| Heard("POST", "/outer", body);
    let at = |name, sent, expected: Expected| row(name, "RFC 9113 8.1.1", sent, expected);
    let twice = [("content-length", "5"), ("content-length", "6")];
    let late = [
        ("content-length", "smuggled"),
        ("host", "smuggled"),
        ("x-forwarded-for", "smuggled"),
        ("forwarded", "for=smuggled"),
    ];
    vec![
        at(
            "a length over HTTP/2",
            of("5", &["he", "llo"]),
            heard("hello"),
        ),
        at(
            "a body of data without a length",
            [post(1, &[]), data("hello", END_STREAM)].concat(),
            heard("hello"),
        ),
        at(
            "trailers over HTTP/2",
            trailers(&[("x-sum", "1")], WHOLE),
            heard("hello"),
        ),
        at(
            "trailers that frame, route and introduce over HTTP/2",
            trailers(&late, WHOLE),
            heard("hello"),
        ),
        at("less than the length", of("6", &["hello"]), Refused),
        at("nothing of the length", of("5", &[""]), Refused),
        at("more than the length", of("4", &["hello"]), Refused),
        at(
            "more than a length of nothing",
            of("0", &["hello"]),
            Refused,
        ),
        at(
            "more than the length, by another frame",
            of("5", &["hello", "x"]),
            Refused,
        ),
        at(
            "a length and no body",
            frame(
                HEADERS,
                WHOLE,
                1,
                &block(&[&request("POST", "/outer")[..], &[("content-length", "5")]].concat()),
            ),
            Refused,
        ),
        at(
            "a length with a plus over HTTP/2",
            of("+5", &["hello"]),
            Refused,
        ),
        at(
            "a length that is none over HTTP/2",
            of("five", &["hello"]),
            Refused,
        ),
        at(
            "a list of lengths over HTTP/2",
            of("5, 6", &["hello"]),
            Refused,
        ),
        at(
            "two lengths over HTTP/2",
            [post(1, &twice), data("hello", END_STREAM)].concat(),
            Refused,
        ),
        at(
            "a length of 2^64 over HTTP/2",
            of("18446744073709551621", &["hello"]),
            Refused,
        ),
        at(
            "trailers that are not the end",
            trailers(&[("x-sum", "1")], END_HEADERS),
            Refused,
        ),
        // The library drops it: one view again, without it.
        row(
            "known: a pseudo-field in trailers is dropped",
            "RFC 9113 8.1",
            trailers(&[(":path", "/smuggled")], WHOLE),
            heard("hello"),
        ),
        row(
            "a field of one hop in trailers",
            "RFC 9113 8.2.2",
            trailers(&[("transfer-encoding", "smuggled")], WHOLE),
            Refused,
        ),
    ]
}
