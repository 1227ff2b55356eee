//! Fields of requests (RFC 9113 section 8.2).

use super::Expected::{Heard, Refused};
use super::wire::{HEADERS, WHOLE, block, frame, request};
use super::{Expected, Row, row};

/// What a field must come to: name of the row, source, name and value of the field.
type Field = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Expected,
);

const FIELDS: &[Field] = &[
    ("a field", "RFC 9113 8.2", "x-a", "y", HEARD),
    (
        "a value of nothing over HTTP/2",
        "RFC 9110 5.5",
        "x-a",
        "",
        HEARD,
    ),
    (
        "text beyond ASCII over HTTP/2",
        "RFC 9110 5.5",
        "x-a",
        "\u{e9}",
        HEARD,
    ),
    ("te of trailers", "RFC 9113 8.2.2", "te", "trailers", HEARD),
    (
        "a name with a capital",
        "RFC 9113 8.2.1",
        "X-Smuggled",
        "y",
        Refused,
    ),
    ("an empty name", "RFC 9113 8.2.1", "", "smuggled", Refused),
    (
        "a name with a colon",
        "RFC 9113 8.2.1",
        "x: smuggled",
        "y",
        Refused,
    ),
    (
        "a name with a space",
        "RFC 9113 8.2.1",
        "x smuggled",
        "y",
        Refused,
    ),
    (
        "a name with a line end",
        "RFC 9113 8.2.1",
        "x: y\r\nsmuggled",
        "y",
        Refused,
    ),
    (
        "a name with a NUL over HTTP/2",
        "RFC 9113 8.2.1",
        "x\0smuggled",
        "y",
        Refused,
    ),
    (
        "a name beyond ASCII",
        "RFC 9113 8.2.1",
        "x-\u{e9}smuggled",
        "y",
        Refused,
    ),
    (
        "a value with a line end",
        "RFC 9113 8.2.1",
        "x",
        "y\r\nsmuggled: z",
        Refused,
    ),
    (
        "a value with a line feed",
        "RFC 9113 8.2.1",
        "x",
        "y\nsmuggled: z",
        Refused,
    ),
    (
        "a value with a carriage return",
        "RFC 9113 8.2.1",
        "x",
        "y\rsmuggled",
        Refused,
    ),
    (
        "a value with a NUL",
        "RFC 9113 8.2.1",
        "x",
        "y\0smuggled",
        Refused,
    ),
    (
        "a value with a request",
        "RFC 9113 8.2.1",
        "x",
        "y\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: app.localhost\r\n\r\n",
        Refused,
    ),
    (
        "a space before a value",
        "RFC 9113 8.2.1",
        "x",
        " smuggled",
        Refused,
    ),
    (
        "a space behind a value",
        "RFC 9113 8.2.1",
        "x",
        "smuggled ",
        Refused,
    ),
    (
        "a tab before a value",
        "RFC 9113 8.2.1",
        "x",
        "\tsmuggled",
        Refused,
    ),
    (
        "connection",
        "RFC 9113 8.2.2",
        "connection",
        "smuggled",
        Refused,
    ),
    (
        "keep-alive",
        "RFC 9113 8.2.2",
        "keep-alive",
        "smuggled",
        Refused,
    ),
    (
        "proxy-connection",
        "RFC 9113 8.2.2",
        "proxy-connection",
        "smuggled",
        Refused,
    ),
    (
        "transfer-encoding",
        "RFC 9113 8.2.2, HTTP/2: the sequel (2021)",
        "transfer-encoding",
        "chunked",
        Refused,
    ),
    ("upgrade", "RFC 9113 8.2.2", "upgrade", "smuggled", Refused),
    (
        "te of something else",
        "RFC 9113 8.2.2",
        "te",
        "smuggled",
        Refused,
    ),
    (
        "te of trailers and something else",
        "RFC 9113 8.2.2",
        "te",
        "trailers, smuggled",
        Refused,
    ),
    (
        "Host with a path over HTTP/2",
        "RFC 9113 8.3.1",
        "host",
        "app.localhost/smuggled",
        Refused,
    ),
    (
        "an empty Host over HTTP/2",
        "RFC 9113 8.3.1",
        "host",
        "",
        Refused,
    ),
    (
        "who the visitor says it is over HTTP/2",
        "RFC 7239 8.1",
        "x-forwarded-for",
        "smuggled",
        HEARD,
    ),
    (
        "who it says it is, as CGI spells it, over HTTP/2",
        "RFC 3875 4.1.18",
        "x_forwarded_for",
        "smuggled",
        HEARD,
    ),
    (
        "HTTP2-Settings over HTTP/2",
        "RFC 9113 3.1",
        "http2-settings",
        "smuggled",
        HEARD,
    ),
];

const HEARD: Expected = Heard("GET", "/outer", "");

pub(super) fn rows() -> Vec<Row> {
    let of = |(name, source, field, value, expected): &Field| {
        let mut fields = request("GET", "/outer");
        fields.push((field, value));
        let sent = frame(HEADERS, WHOLE, 1, &block(&fields));
        row(name, source, sent, *expected)
    };
    FIELDS.iter().map(of).collect()
}
