//! Fields of requests (RFC 9114 sections 4.2 and 10.3), and who a visitor says it is.

use super::Expected::{Answer, Field, Heard, Malformed, Without};
use super::wire::{headers, request};
use super::{Expected, Row, row};

/// What a field must come to: name of the row, source, name and value of the field.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Expected,
);

const HEARD: Expected = Heard("GET", "/outer", "");
const BAD_FIELD: Expected = Answer(400, "bad-request");

const CASES: &[Case] = &[
    ("a field", "RFC 9114 4.2", "x-a", "y", Field("x-a", "y")),
    (
        "a value of nothing over HTTP/3",
        "RFC 9110 5.5",
        "x-a",
        "",
        HEARD,
    ),
    (
        "text beyond ASCII over HTTP/3",
        "RFC 9110 5.5",
        "x-a",
        "\u{e9}",
        Field("x-a", "\u{e9}"),
    ),
    ("te of trailers", "RFC 9114 4.2", "te", "trailers", HEARD),
    (
        "a name with a capital",
        "RFC 9114 4.2",
        "X-Smuggled",
        "y",
        Malformed,
    ),
    ("an empty name", "RFC 9114 10.3", "", "smuggled", Malformed),
    (
        "a name with a colon",
        "RFC 9114 10.3",
        "x: smuggled",
        "y",
        Malformed,
    ),
    (
        "a name with a space",
        "RFC 9114 10.3",
        "x smuggled",
        "y",
        Malformed,
    ),
    (
        "a name that ends with a space",
        "RFC 9114 10.3",
        "content-length ",
        "5",
        Malformed,
    ),
    (
        "a name with a line end",
        "RFC 9114 10.3",
        "x: y\r\nsmuggled",
        "y",
        Malformed,
    ),
    (
        "a name with a NUL",
        "RFC 9114 10.3",
        "x\0smuggled",
        "y",
        Malformed,
    ),
    (
        "a name beyond ASCII",
        "RFC 9114 10.3",
        "x-\u{e9}smuggled",
        "y",
        Malformed,
    ),
    (
        "a value with a line end",
        "RFC 9114 10.3",
        "x",
        "y\r\nsmuggled: z",
        Malformed,
    ),
    (
        "a value with a line feed",
        "RFC 9114 10.3",
        "x",
        "y\nsmuggled: z",
        Malformed,
    ),
    (
        "a value with a carriage return",
        "RFC 9114 10.3",
        "x",
        "y\rsmuggled",
        Malformed,
    ),
    (
        "a value with a NUL",
        "RFC 9114 10.3",
        "x",
        "y\0smuggled",
        Malformed,
    ),
    (
        "a value with another control",
        "RFC 9110 5.5",
        "x",
        "y\u{1}smuggled",
        Malformed,
    ),
    (
        "a value with a request",
        "RFC 9114 10.3",
        "x",
        "y\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: app.localhost\r\n\r\n",
        Malformed,
    ),
    (
        "a space before a value",
        "RFC 9110 5.5",
        "x",
        " smuggled",
        BAD_FIELD,
    ),
    (
        "a space behind a value",
        "RFC 9110 5.5",
        "x",
        "smuggled ",
        BAD_FIELD,
    ),
    (
        "a tab before a value",
        "RFC 9110 5.5",
        "x",
        "\tsmuggled",
        BAD_FIELD,
    ),
    (
        "connection",
        "RFC 9114 4.2",
        "connection",
        "smuggled",
        Malformed,
    ),
    (
        "keep-alive",
        "RFC 9114 4.2",
        "keep-alive",
        "smuggled",
        Malformed,
    ),
    (
        "proxy-connection",
        "RFC 9114 4.2",
        "proxy-connection",
        "smuggled",
        Malformed,
    ),
    (
        "transfer-encoding",
        "RFC 9114 4.2",
        "transfer-encoding",
        "chunked",
        Malformed,
    ),
    (
        "transfer-encoding of identity",
        "RFC 9114 4.2",
        "transfer-encoding",
        "identity",
        Malformed,
    ),
    ("upgrade", "RFC 9114 4.2", "upgrade", "smuggled", Malformed),
    (
        "te of something else",
        "RFC 9114 4.2",
        "te",
        "smuggled",
        Malformed,
    ),
    (
        "te of trailers and something else",
        "RFC 9114 4.2",
        "te",
        "trailers, smuggled",
        Malformed,
    ),
    (
        "HTTP2-Settings over HTTP/3",
        "RFC 9113 3.1",
        "http2-settings",
        "smuggled",
        Without("http2-settings"),
    ),
    (
        "what is for a proxy",
        "RFC 9110 11.7.2",
        "proxy-authorization",
        "smuggled",
        Without("proxy-authorization"),
    ),
    (
        "whom the visitor says it is",
        "RFC 7239 8.1",
        "x-forwarded-for",
        "smuggled",
        Field("x-forwarded-for", "127.0.0.1"),
    ),
    (
        "whom it says it is, by RFC 7239",
        "RFC 7239 8.1",
        "forwarded",
        "for=smuggled;proto=http",
        HEARD,
    ),
    (
        "whom it says it asked",
        "RFC 7239 8.1",
        "x-forwarded-host",
        "smuggled.example",
        Field("x-forwarded-host", "app.localhost"),
    ),
    (
        "how it says it came",
        "RFC 7239 8.1",
        "x-forwarded-proto",
        "smuggled",
        Field("x-forwarded-proto", "https"),
    ),
    (
        "whom it says it is, as CGI spells it",
        "RFC 3875 4.1.18",
        "x_forwarded_for",
        "smuggled",
        Without("x_forwarded_for"),
    ),
    (
        "what only the relay says of webhooks",
        "RFC 9110 17.2",
        "adit-webhook-verified",
        "smuggled",
        Without("adit-webhook-verified"),
    ),
    (
        "what only the relay says of its inbox",
        "RFC 9110 17.2",
        "adit_inbox",
        "smuggled",
        Without("adit_inbox"),
    ),
];

pub(super) fn rows() -> Vec<Row> {
    let of = |(name, source, field, value, expected): &Case| {
        let mut fields = request("GET", "/outer");
        fields.push((field, value));
        row(name, source, headers(&fields), *expected)
    };
    let several = |more: &[(&str, &str)]| headers(&[&request("GET", "/outer")[..], more].concat());
    let mut rows: Vec<_> = CASES.iter().map(of).collect();
    rows.push(row(
        "cookies in several fields",
        "RFC 9114 4.2.1",
        several(&[("cookie", "a=b"), ("cookie", "c=d"), ("cookie", "e=f")]),
        Field("cookie", "a=b; c=d; e=f"),
    ));
    rows.push(row(
        "several who are said to be the visitor",
        "RFC 7239 8.1",
        several(&[
            ("x-forwarded-for", "smuggled"),
            ("x-forwarded-for", "smuggled"),
        ]),
        Field("x-forwarded-for", "127.0.0.1"),
    ));
    rows
}
