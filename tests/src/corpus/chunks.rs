//! Bodies in chunks (RFC 9112 section 7.1) that another reader might see end elsewhere.

use super::Expected;
use super::{Broken, Row, Seen, row};

const HELLO: Expected = Seen(&[("POST", "/outer", "hello")]);

/// See the [module](self).
pub(super) const ROWS: &[Row] = &[
    row(
        "chunks",
        "RFC 9112 7.1",
        chunks!("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        HELLO,
    ),
    row(
        "a request in a chunk",
        "RFC 9112 7.1",
        chunks!("2F\r\n<SMUGGLED>\r\n0\r\n\r\n"),
        Seen(&[("POST", "/outer", "<SMUGGLED>")]),
    ),
    row(
        "a size with zeros before it",
        "RFC 9112 7.1",
        chunks!("0000000000000005\r\nhello\r\n0000\r\n\r\n"),
        HELLO,
    ),
    row(
        "a last chunk in a chunk",
        "RFC 9112 7.1",
        chunks!("5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
        Seen(&[("POST", "/outer", "0\r\n\r\n")]),
    ),
    row(
        "more digits than a number has",
        "RFC 9112 7.1, RUSTSEC-2021-0079",
        chunks!("00000000000000005\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a size that wraps to 3",
        "RFC 9112 7.1, RUSTSEC-2021-0079",
        chunks!("f0000000000000003\r\nabc\r\n0\r\n\r\n<SMUGGLED>"),
        Broken,
    ),
    row(
        "a size with a plus",
        "RFC 9112 7.1, CVE-2022-24801",
        chunks!("+5\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a size below nothing",
        "RFC 9112 7.1",
        chunks!("-5\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a size with 0x",
        "RFC 9112 7.1, CVE-2022-24801",
        chunks!("0x5\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a size with an underscore",
        "RFC 9112 7.1",
        chunks!("0_5\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a size that is none",
        "RFC 9112 7.1",
        chunks!("g\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "no size",
        "RFC 9112 7.1",
        chunks!("\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a space before a size",
        "RFC 9112 7.1, CVE-2022-24801",
        chunks!(" 5\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a space behind a size",
        "RFC 9112 7.1.1",
        chunks!("5 \r\nhello\r\n0\r\n\r\n"),
        HELLO,
    ),
    row(
        "two sizes",
        "RFC 9112 7.1",
        chunks!("5 0\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a chunk that is longer than its size",
        "RFC 9112 7.1",
        chunks!("4\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a chunk that is longer by a line end",
        "RFC 9112 7.1",
        chunks!("5\r\nhello\r\n\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a chunk that is not ended",
        "RFC 9112 7.1, CVE-2025-43859",
        chunks!("5\r\nhelloXX0\r\n\r\n"),
        Broken,
    ),
    row(
        "a chunk that is ended by a line feed",
        "RFC 9112 2.2, CVE-2025-22871",
        chunks!("5\r\nhello\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a chunk that is ended by a carriage return",
        "RFC 9112 2.2",
        chunks!("5\r\nhello\r0\r\n\r\n"),
        Broken,
    ),
    row(
        "a size that is ended by a line feed",
        "RFC 9112 2.2, CVE-2025-22871",
        chunks!("5\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a size that is ended by a carriage return",
        "RFC 9112 2.2",
        chunks!("5\rhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a last chunk that is ended by line feeds",
        "RFC 9112 2.2",
        chunks!("5\r\nhello\r\n0\n\n"),
        Broken,
    ),
    row(
        "extensions",
        "RFC 9112 7.1.1",
        chunks!("5;a=b;c=\"d;\"\r\nhello\r\n0;e\r\n\r\n"),
        HELLO,
    ),
    row(
        "an extension behind white space",
        "RFC 9112 7.1.1, CVE-2021-22960",
        chunks!("5 ; a=b\r\nhello\r\n0\r\n\r\n"),
        HELLO,
    ),
    row(
        "an extension with a line feed (TERM.EXT)",
        "RFC 9112 7.1.1, Funky chunks (2025)",
        chunks!("5;\nxxxxx\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "an extension with a carriage return",
        "RFC 9112 7.1.1, CVE-2025-55315",
        chunks!("5;\rxxxxx\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a quoted extension with a line feed",
        "RFC 9110 5.6.4, CVE-2024-52304",
        chunks!("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "an extension of the last chunk with a line feed",
        "RFC 9112 7.1.1, Funky chunks (2025)",
        chunks!("0;\n<SMUGGLED>\r\n\r\n"),
        Broken,
    ),
    row(
        "an extension with a NUL",
        "RFC 9112 7.1.1",
        chunks!("5;a=\0\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "an extension without a size",
        "RFC 9112 7.1.1",
        chunks!(";a=b\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "a comma behind a size",
        "RFC 9112 7.1",
        chunks!("5,a\r\nhello\r\n0\r\n\r\n"),
        Broken,
    ),
    row(
        "trailers",
        "RFC 9112 7.1.2",
        chunks!("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
        HELLO,
    ),
    row(
        "trailers that frame, route and introduce",
        "RFC 9110 6.5.1",
        chunks!(
            "5\r\nhello\r\n0\r\nContent-Length: 6\r\nTransfer-Encoding: smuggled\r\nHost: smuggled\r\n\
             Connection: smuggled\r\nX-Forwarded-For: smuggled\r\nX-Forwarded-Host: smuggled\r\n\
             X-Forwarded-Proto: smuggled\r\nForwarded: for=smuggled\r\nUpgrade: smuggled\r\n\r\n"
        ),
        HELLO,
    ),
    row(
        "a request for trailers",
        "RFC 9112 7.1.2",
        chunks!("5\r\nhello\r\n0\r\n<SMUGGLED>"),
        Broken,
    ),
    row(
        "a folded trailer",
        "RFC 9112 5.2",
        chunks!("5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n"),
        Broken,
    ),
    row(
        "a trailer that is ended by a line feed",
        "RFC 9112 2.2",
        chunks!("5\r\nhello\r\n0\r\nX: a\n\r\n"),
        Broken,
    ),
    row(
        "a bare carriage return in a trailer",
        "RFC 9112 2.2",
        chunks!("5\r\nhello\r\n0\r\nX: a\rb\r\n\r\n"),
        Broken,
    ),
    row(
        "a trailer without a name",
        "RFC 9110 5.1, CVE-2023-25725",
        chunks!("5\r\nhello\r\n0\r\n: a\r\n\r\n"),
        Broken,
    ),
    row(
        "a trailer with a space before its colon",
        "RFC 9112 5.1",
        chunks!("5\r\nhello\r\n0\r\nX : a\r\n\r\n"),
        Broken,
    ),
    row(
        "chunks of a length",
        "RFC 9112 6.3",
        post!("Content-Length: 15", "5\r\nhello\r\n0\r\n\r\n"),
        Seen(&[("POST", "/outer", "5\r\nhello\r\n0\r\n\r\n")]),
    ),
];
