//! Where a request ends: lengths and codings that say it twice, or not.

use super::{CODING, FRAMING, HOST, Row, SYNTAX, Seen, row};

/// See the [module](self).
pub(super) const ROWS: &[Row] = &[
    row(
        "a length",
        "RFC 9112 6.2",
        post!("Content-Length: 47", "<SMUGGLED>"),
        Seen(&[("POST", "/outer", "<SMUGGLED>")]),
    ),
    row(
        "no length",
        "RFC 9112 6.3",
        post!("X: y", ""),
        Seen(&[("POST", "/outer", "")]),
    ),
    row(
        "a length with zeros before it",
        "RFC 9110 8.6",
        post!("Content-Length: 0000000000000000000005", "hello"),
        Seen(&[("POST", "/outer", "hello")]),
    ),
    row(
        "a body of GET",
        "RFC 9110 9.3.1",
        "GET /outer HTTP/1.1\r\n<HOST>\r\nContent-Length: 47\r\n\r\n<SMUGGLED>",
        Seen(&[("GET", "/outer", "<SMUGGLED>")]),
    ),
    row(
        "a body of HEAD",
        "RFC 9110 9.3.2",
        "HEAD /outer HTTP/1.1\r\n<HOST>\r\nContent-Length: 47\r\n\r\n<SMUGGLED>",
        Seen(&[("HEAD", "/outer", "<SMUGGLED>")]),
    ),
    row(
        "TE.0: chunks of OPTIONS",
        "TE.0 (2024), RFC 9112 6.3",
        "OPTIONS /outer HTTP/1.1\r\n<HOST>\r\nTransfer-Encoding: chunked\r\n\r\n\
         2f\r\n<SMUGGLED>\r\n0\r\n\r\n",
        Seen(&[("OPTIONS", "/outer", "<SMUGGLED>")]),
    ),
    row(
        "TE.0: chunks of GET",
        "TE.0 (2024), RFC 9112 6.3",
        "GET /outer HTTP/1.1\r\n<HOST>\r\nTransfer-Encoding: chunked\r\n\r\n\
         2f\r\n<SMUGGLED>\r\n0\r\n\r\n",
        Seen(&[("GET", "/outer", "<SMUGGLED>")]),
    ),
    row(
        "CL.0: a body where none is usual",
        "Browser-powered desync attacks (2022)",
        "POST /favicon.ico HTTP/1.1\r\n<HOST>\r\nContent-Length: 47\r\n\r\n<SMUGGLED>",
        Seen(&[("POST", "/favicon.ico", "<SMUGGLED>")]),
    ),
    row(
        "0.CL: a length hidden by a space before it",
        "HTTP/1.1 must die (2025)",
        post!(" Content-Length: 47", "<SMUGGLED>"),
        SYNTAX,
    ),
    row(
        "0.CL: a length hidden by a fold",
        "HTTP/1.1 must die (2025)",
        post!("Content-Length:\r\n 47", "<SMUGGLED>"),
        SYNTAX,
    ),
    row(
        "0.CL: a length hidden by a host that is none",
        "HTTP/1.1 must die (2025)",
        "GET /outer HTTP/1.1\r\nHost: app.localhost/x\r\nContent-Length: 47\r\n\r\n<SMUGGLED>",
        HOST,
    ),
    row(
        "CL.TE",
        "RFC 9112 6.1, HTTP desync attacks (2019)",
        post!(
            "Content-Length: 52\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n<SMUGGLED>"
        ),
        FRAMING,
    ),
    row(
        "TE.CL",
        "RFC 9112 6.1, RUSTSEC-2020-0008",
        post!(
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            "2f\r\n<SMUGGLED>\r\n0\r\n\r\n"
        ),
        FRAMING,
    ),
    row(
        "a length of nothing and chunks",
        "RFC 9112 6.1, CVE-2020-10109",
        post!(
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n"
        ),
        FRAMING,
    ),
    row(
        "a length and identity",
        "RFC 9112 6.1",
        post!(
            "Content-Length: 47\r\nTransfer-Encoding: identity",
            "<SMUGGLED>"
        ),
        FRAMING,
    ),
    row(
        "a length and a coding without a name",
        "RFC 9112 6.1",
        post!("Content-Length: 47\r\nTransfer-Encoding:", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "one length twice",
        "RFC 9112 6.3",
        post!("Content-Length: 5\r\nContent-Length: 5", "hello"),
        FRAMING,
    ),
    row(
        "two lengths, the smaller first",
        "RFC 9112 6.3, CVE-2020-10108",
        post!("Content-Length: 0\r\nContent-Length: 47", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "two lengths, the larger first",
        "RFC 9112 6.3, CVE-2020-10108",
        post!("Content-Length: 47\r\nContent-Length: 0", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a list of equal lengths",
        "RFC 9110 8.6",
        post!("Content-Length: 5, 5", "hello"),
        FRAMING,
    ),
    row(
        "a list of lengths",
        "RFC 9110 8.6",
        post!("Content-Length: 0, 47", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length and a comma",
        "RFC 9110 5.6.1",
        post!("Content-Length: 47,", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length with a plus",
        "RFC 9110 8.6, RUSTSEC-2021-0078, CVE-2022-24801",
        post!("Content-Length: +47", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length below nothing",
        "RFC 9110 8.6",
        post!("Content-Length: -1", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "minus zero",
        "RFC 9110 8.6",
        post!("Content-Length: -0", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length in hexadecimals",
        "RFC 9110 8.6",
        post!("Content-Length: 0x2f", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length with an exponent",
        "RFC 9110 8.6",
        post!("Content-Length: 4e1", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length with a fraction",
        "RFC 9110 8.6",
        post!("Content-Length: 47.0", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length with an underscore",
        "RFC 9110 8.6, CVE-2023-47627",
        post!("Content-Length: 4_7", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length in two words",
        "RFC 9110 8.6, CVE-2018-7159",
        post!("Content-Length: 4 7", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length in quotes",
        "RFC 9110 8.6",
        post!("Content-Length: \"47\"", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length in other digits",
        "RFC 9110 8.6, CVE-2023-47627",
        post!("Content-Length: \u{664}\u{667}", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "no number",
        "RFC 9110 8.6, CVE-2023-40225",
        post!("Content-Length:", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length of 2^64",
        "RFC 9110 8.6",
        post!("Content-Length: 18446744073709551616", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a length that wraps to 47",
        "RFC 9110 8.6",
        post!("Content-Length: 18446744073709551663", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "chunks in HTTP/1.0",
        "RFC 9112 6.1",
        "POST /outer HTTP/1.0\r\n<HOST>\r\nConnection: keep-alive\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n<SMUGGLED>",
        FRAMING,
    ),
    row(
        "chunks in capitals",
        "RFC 9112 7",
        post!("tRaNsFeR-eNcOdInG: CHUNKED", "5\r\nhello\r\n0\r\n\r\n"),
        Seen(&[("POST", "/outer", "hello")]),
    ),
    row(
        "chunks behind a tab",
        "RFC 9110 5.5",
        post!("Transfer-Encoding:\tchunked\t", "5\r\nhello\r\n0\r\n\r\n"),
        Seen(&[("POST", "/outer", "hello")]),
    ),
    row(
        "a coding and chunks",
        "RFC 9112 6.1",
        post!("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
        CODING,
    ),
    row(
        "a coding and chunks, apart",
        "RFC 9112 6.1, CVE-2020-8287",
        post!(
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n<SMUGGLED>"
        ),
        CODING,
    ),
    row(
        "chunks in chunks",
        "RFC 9112 6.1",
        post!("Transfer-Encoding: chunked, chunked", "0\r\n\r\n<SMUGGLED>"),
        CODING,
    ),
    row(
        "chunks twice",
        "RFC 9112 6.1, RUSTSEC-2021-0020",
        post!(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n<SMUGGLED>"
        ),
        CODING,
    ),
    row(
        "an empty option before chunks",
        "RFC 9112 6.1, RFC 9110 5.6.1",
        post!("Transfer-Encoding: ,chunked", "0\r\n\r\n<SMUGGLED>"),
        CODING,
    ),
    row(
        "chunks, then identity",
        "RFC 9112 6.3, CVE-2024-1135",
        post!(
            "Transfer-Encoding: chunked, identity",
            "0\r\n\r\n<SMUGGLED>"
        ),
        FRAMING,
    ),
    row(
        "chunks, then another coding, apart",
        "RFC 9112 6.3, CVE-2020-8287",
        post!(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            "0\r\n\r\n<SMUGGLED>"
        ),
        FRAMING,
    ),
    row(
        "identity",
        "RFC 9112 6.1, CVE-2022-32215",
        post!("Transfer-Encoding: identity", "<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a coding that ends like chunks",
        "RFC 9112 6.3, HTTP desync attacks (2019)",
        post!("Transfer-Encoding: xchunked", "0\r\n\r\n<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a coding that begins like chunks",
        "RFC 9112 6.3, CVE-2022-32213",
        post!("Transfer-Encoding: chunkedx", "0\r\n\r\n<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "chunks with a parameter",
        "RFC 9112 7",
        post!("Transfer-Encoding: chunked;q=1", "0\r\n\r\n<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "chunks in quotes",
        "RFC 9112 7",
        post!("Transfer-Encoding: \"chunked\"", "0\r\n\r\n<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "chunks and a comma",
        "RFC 9110 5.6.1",
        post!("Transfer-Encoding: chunked,", "0\r\n\r\n<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "a vertical tab before chunks",
        "RFC 9110 5.5, CVE-2019-18277",
        post!("Transfer-Encoding: \u{b}chunked", "0\r\n\r\n<SMUGGLED>"),
        SYNTAX,
    ),
    row(
        "a form feed before chunks",
        "RFC 9110 5.5, CVE-2019-15605",
        post!("Transfer-Encoding: \u{c}chunked", "0\r\n\r\n<SMUGGLED>"),
        SYNTAX,
    ),
    row(
        "a NUL behind chunks",
        "RFC 9110 5.5",
        post!("Transfer-Encoding: chunked\0", "0\r\n\r\n<SMUGGLED>"),
        SYNTAX,
    ),
    row(
        "a no-break space before chunks",
        "RFC 9110 5.5",
        post!("Transfer-Encoding: \u{a0}chunked", "0\r\n\r\n<SMUGGLED>"),
        FRAMING,
    ),
    row(
        "chunks folded",
        "RFC 9112 5.2, CVE-2022-32215",
        post!("Transfer-Encoding:\r\n chunked", "0\r\n\r\n<SMUGGLED>"),
        SYNTAX,
    ),
    row(
        "chunks behind a bare carriage return",
        "RFC 9112 2.2, CVE-2023-30589",
        post!("X: y\rTransfer-Encoding: chunked", "0\r\n\r\n<SMUGGLED>"),
        SYNTAX,
    ),
    row(
        "chunks behind a bare line feed",
        "RFC 9112 2.2",
        post!("X: y\nTransfer-Encoding: chunked", "0\r\n\r\n<SMUGGLED>"),
        SYNTAX,
    ),
    row(
        "a length with an underscore in its name",
        "RFC 9110 5.1",
        post!("Content_Length: 47", ""),
        Seen(&[("POST", "/outer", "")]),
    ),
];
