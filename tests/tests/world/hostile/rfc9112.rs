//! Requests against RFC 9112 (and 9110 and 3986 where they say more), row by row: what is served, and what
//! is refused with which code. Whatever is refused ends its connection, and nothing behind it is read.

use adit_tests::soon;
use adit_tests::visit::parse;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{assert_well, recorded};

/// What a row expects.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The origin gets it, with this first line.
    Line(&'static str),
    /// The relay refuses it.
    Refused(u16, &'static str),
}
use Expected::{Line, Refused};

const SYNTAX: Expected = Refused(400, "bad-request");
const TARGET: Expected = Refused(400, "bad-target");
const HOST: Expected = Refused(400, "bad-host");
const FRAMING: Expected = Refused(400, "bad-framing");
const CODING: Expected = Refused(501, "coding-not-supported");
const VERSION: Expected = Refused(505, "version-not-supported");
const GET: Expected = Line("GET / HTTP/1.1");
const POST: Expected = Line("POST / HTTP/1.1");

/// Section, request without `Host: shop.localhost` and `Connection: close` where it has `@`, and what is
/// expected.
const ROWS: &[(&str, &str, Expected)] = &[
    // Message format and parsing.
    ("2.1", "GET / HTTP/1.1\r\n@\r\n", GET),
    (
        "2.2 empty lines before",
        "\r\n\r\nGET / HTTP/1.1\r\n@\r\n",
        GET,
    ),
    (
        "2.2 bare line feeds",
        "GET / HTTP/1.1\nHost: shop.localhost\n\n",
        SYNTAX,
    ),
    (
        "2.2 one bare line feed",
        "GET / HTTP/1.1\r\n@X: y\n\r\n",
        SYNTAX,
    ),
    (
        "2.2 a bare line feed before",
        "\nGET / HTTP/1.1\r\n@\r\n",
        SYNTAX,
    ),
    (
        "2.2 a bare carriage return",
        "GET / HTTP/1.1\r\n@X: a\rb\r\n\r\n",
        SYNTAX,
    ),
    (
        "2.2 space before the first field",
        "GET / HTTP/1.1\r\n X: y\r\n@\r\n",
        SYNTAX,
    ),
    ("2.3 HTTP/1.0", "GET / HTTP/1.0\r\n@\r\n", GET),
    ("2.3 another version", "GET / HTTP/1.2\r\n@\r\n", VERSION),
    ("2.3 a later version", "GET / HTTP/3.0\r\n@\r\n", VERSION),
    ("2.3 no version", "GET /\r\n@\r\n", SYNTAX),
    ("2.3 in lower case", "GET / http/1.1\r\n@\r\n", SYNTAX),
    // The request line.
    ("3 two spaces", "GET  / HTTP/1.1\r\n@\r\n", SYNTAX),
    ("3 a tab", "GET\t/ HTTP/1.1\r\n@\r\n", SYNTAX),
    ("3 a space behind", "GET / HTTP/1.1 \r\n@\r\n", SYNTAX),
    (
        "3.1 any method",
        "pro-pfind / HTTP/1.1\r\n@\r\n",
        Line("pro-pfind / HTTP/1.1"),
    ),
    (
        "3.1 a method that is none",
        "G(T / HTTP/1.1\r\n@\r\n",
        SYNTAX,
    ),
    (
        "3.2 no host",
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        HOST,
    ),
    (
        "3.2 two hosts",
        "GET / HTTP/1.1\r\n@Host: shop.localhost\r\n\r\n",
        HOST,
    ),
    ("3.2 no target", "GET HTTP/1.1\r\n@\r\n", SYNTAX),
    (
        "3.2 white space in a target",
        "GET /a b HTTP/1.1\r\n@\r\n",
        SYNTAX,
    ),
    (
        "3.2 a control in a target",
        "GET /a\x01b HTTP/1.1\r\n@\r\n",
        SYNTAX,
    ),
    ("3.2 a fragment", "GET /a#b HTTP/1.1\r\n@\r\n", TARGET),
    (
        "3.2 a fragment behind a query",
        "GET /a?b#c HTTP/1.1\r\n@\r\n",
        TARGET,
    ),
    (
        "3.2.1 byte for byte",
        "GET /%2F//../%zz?a=%20&&=[\"] HTTP/1.1\r\n@\r\n",
        TARGET,
    ),
    (
        "3.2.1 byte for byte",
        "GET /%2F//../%zz{\"}|?a=%20&&=[] HTTP/1.1\r\n@\r\n",
        Line("GET /%2F//../%zz{\"}|?a=%20&&=[] HTTP/1.1"),
    ),
    (
        "3.2.2 absolute",
        "GET http://shop.localhost/x?y HTTP/1.1\r\n@\r\n",
        Line("GET /x?y HTTP/1.1"),
    ),
    (
        "3.2.2 absolute without path",
        "GET HTTP://shop.localhost HTTP/1.1\r\n@\r\n",
        GET,
    ),
    (
        "3.2.2 absolute with query",
        "GET http://shop.localhost?q HTTP/1.1\r\n@\r\n",
        Line("GET /?q HTTP/1.1"),
    ),
    (
        "3.2.2 absolute for another",
        "GET http://good.localhost/ HTTP/1.1\r\n@\r\n",
        Refused(421, "misdirected"),
    ),
    (
        "3.2.2 absolute without host",
        "GET http:/// HTTP/1.1\r\n@\r\n",
        HOST,
    ),
    (
        "3.2.2 absolute with user",
        "GET http://u:p%40shop.localhost/ HTTP/1.1\r\n@\r\n",
        HOST,
    ),
    (
        "3.2.2 another scheme",
        "GET ftp://shop.localhost/ HTTP/1.1\r\n@\r\n",
        TARGET,
    ),
    (
        "3.2.2 absolute with fragment",
        "GET http://shop.localhost/#a HTTP/1.1\r\n@\r\n",
        TARGET,
    ),
    (
        "3.2.3 authority",
        "GET shop.localhost:80 HTTP/1.1\r\n@\r\n",
        HOST,
    ),
    (
        "3.2.3 CONNECT",
        "CONNECT shop.localhost:80 HTTP/1.1\r\n@\r\n",
        Refused(501, "connect-not-supported"),
    ),
    (
        "3.2.4 asterisk",
        "OPTIONS * HTTP/1.1\r\n@\r\n",
        Line("OPTIONS * HTTP/1.1"),
    ),
    (
        "3.2.4 absolute asterisk",
        "OPTIONS http://shop.localhost HTTP/1.1\r\n@\r\n",
        Line("OPTIONS * HTTP/1.1"),
    ),
    ("3.2.4 asterisk for GET", "GET * HTTP/1.1\r\n@\r\n", TARGET),
    // Fields.
    ("5 no colon", "GET / HTTP/1.1\r\n@X\r\n\r\n", SYNTAX),
    ("5 no name", "GET / HTTP/1.1\r\n@: y\r\n\r\n", SYNTAX),
    (
        "5 a name that is none",
        "GET / HTTP/1.1\r\n@X(: y\r\n\r\n",
        SYNTAX,
    ),
    (
        "5.1 space before the colon",
        "GET / HTTP/1.1\r\n@X : y\r\n\r\n",
        SYNTAX,
    ),
    (
        "5.2 folded",
        "GET / HTTP/1.1\r\n@X: a\r\n b\r\n\r\n",
        SYNTAX,
    ),
    (
        "5.2 folded with a tab",
        "GET / HTTP/1.1\r\n@X: a\r\n\tb\r\n\r\n",
        SYNTAX,
    ),
    (
        "5.5 of RFC 9110: NUL",
        "GET / HTTP/1.1\r\n@X: a\0b\r\n\r\n",
        SYNTAX,
    ),
    (
        "5.5 of RFC 9110: DEL",
        "GET / HTTP/1.1\r\n@X: a\x7fb\r\n\r\n",
        SYNTAX,
    ),
    (
        "5.5 of RFC 9110: text",
        "GET / HTTP/1.1\r\n@X: \t \u{e9} \t\r\n\r\n",
        GET,
    ),
    // Bodies.
    (
        "6.1 chunks",
        "POST / HTTP/1.1\r\n@Transfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n",
        POST,
    ),
    (
        "6.1 chunks in HTTP/1.0",
        "POST / HTTP/1.0\r\n@Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        FRAMING,
    ),
    (
        "6.1 another coding",
        "POST / HTTP/1.1\r\n@Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        CODING,
    ),
    (
        "6.1 another coding apart",
        "POST / HTTP/1.1\r\n@Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CODING,
    ),
    (
        "6.1 chunks twice",
        "POST / HTTP/1.1\r\n@Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        CODING,
    ),
    (
        "6.1 a parameter",
        "POST / HTTP/1.1\r\n@Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        FRAMING,
    ),
    (
        "6.3 chunks not last",
        "POST / HTTP/1.1\r\n@Transfer-Encoding: chunked, gzip\r\n\r\n",
        FRAMING,
    ),
    (
        "6.3 no coding that is one",
        "POST / HTTP/1.1\r\n@Transfer-Encoding:\r\n\r\n",
        FRAMING,
    ),
    (
        "6.3 chunks and a length",
        "POST / HTTP/1.1\r\n@Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        FRAMING,
    ),
    (
        "6.2 a length",
        "POST / HTTP/1.1\r\n@Content-Length: 1\r\n\r\na",
        POST,
    ),
    (
        "6.3 a length twice",
        "POST / HTTP/1.1\r\n@Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        FRAMING,
    ),
    (
        "6.3 a list of lengths",
        "POST / HTTP/1.1\r\n@Content-Length: 1, 1\r\n\r\na",
        FRAMING,
    ),
    (
        "8.6 of RFC 9110: a sign",
        "POST / HTTP/1.1\r\n@Content-Length: +1\r\n\r\na",
        FRAMING,
    ),
    (
        "8.6 of RFC 9110: none",
        "POST / HTTP/1.1\r\n@Content-Length:\r\n\r\n",
        FRAMING,
    ),
    (
        "8.6 of RFC 9110: too large",
        "POST / HTTP/1.1\r\n@Content-Length: 99999999999999999999\r\n\r\n",
        FRAMING,
    ),
    (
        "7.1.1 extensions",
        "POST / HTTP/1.1\r\n@Transfer-Encoding: chunked\r\n\r\n1;a=\"b\"\r\na\r\n0;c\r\n\r\n",
        POST,
    ),
    (
        "7.1.2 trailers",
        "POST / HTTP/1.1\r\n@Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n",
        POST,
    ),
];

#[tokio::test]
async fn each_rule_is_kept() {
    let (world, _agents, _origin, heard) = recorded().await;
    for (section, request, expected) in ROWS {
        let request = request.replace('@', "Host: shop.localhost\r\nConnection: close\r\n");
        let answer = parse(&world.raw(request.as_bytes()).await);
        let mut heard = heard.lock().await;
        match expected {
            Line(line) => {
                assert_eq!(answer.status, 200, "{section}: {}", answer.text());
                assert_eq!(heard.lines().next(), Some(*line), "{section}");
            }
            Refused(status, code) => {
                let shown = (answer.status.as_u16(), answer.error());
                assert_eq!(
                    shown,
                    (*status, Some(*code)),
                    "{section}: {}",
                    answer.text()
                );
                assert!(answer.text().contains(code), "{section}");
                assert_eq!(answer.fields["connection"], "close", "{section}");
                assert_eq!(*heard, "", "{section}");
            }
        }
        heard.clear();
    }
    assert_well(&world).await;
}

/// Nothing behind what is refused is a request, whether it came along or comes later.
#[tokio::test]
async fn nothing_is_read_behind_what_is_refused() {
    let (world, _agents, _origin, heard) = recorded().await;
    let next = "GET /next HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
    for refused in [
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\nX : y\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 1, 1\r\n\r\na",
        "GET /#a HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
        "GET / HTTP/1.9\r\nHost: shop.localhost\r\n\r\n",
    ] {
        let mut visitor = world.dial().await;
        visitor.write_all(refused.as_bytes()).await.unwrap();
        visitor.write_all(next.as_bytes()).await.unwrap();
        let mut seen = String::new();
        // It ends well, though something was not read: no reset takes the answer back.
        soon("the end", visitor.read_to_string(&mut seen))
            .await
            .unwrap();
        let heads = seen.lines().filter(|line| line.starts_with("HTTP/1.1 "));
        assert_eq!(heads.count(), 1, "{seen}");
        assert_eq!(*heard.lock().await, "");
    }
}

/// As many requests as one likes, one after the other, whatever becomes of their bodies.
#[tokio::test]
async fn a_connection_goes_on_after_bodies_that_nobody_read() {
    let (world, _agents, _origin, heard) = recorded().await;
    let mut visitor = world.dial().await;
    let some = "x".repeat(10_000);
    let requests = format!(
        "POST /a HTTP/1.1\r\nHost: nobody.localhost\r\nContent-Length: 10000\r\n\r\n{some}\
         POST /b HTTP/1.1\r\nHost: nobody.localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
         2710\r\n{some}\r\n0\r\n\r\n\
         GET /c HTTP/1.0\r\nHost: shop.localhost\r\nConnection: keep-alive\r\n\r\n\
         HEAD /d HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n\
         GET /e HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n"
    );
    let (mut read, mut write) = visitor.split();
    let mut seen = String::new();
    let send = async { write.write_all(requests.as_bytes()).await.unwrap() };
    let receive = async { read.read_to_string(&mut seen).await.unwrap() };
    soon("the end", async { tokio::join!(send, receive) }).await;
    let statuses: Vec<_> = seen
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(statuses, ["404", "404", "200", "404", "200"], "{seen}");
    assert_eq!(seen.matches("connection: keep-alive").count(), 1, "{seen}");
    assert_eq!(seen.matches("connection: close").count(), 1, "{seen}");
    let heard = heard.lock().await;
    let lines = heard.lines().filter(|line| line.ends_with(" HTTP/1.1"));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        ["GET /c HTTP/1.1", "GET /e HTTP/1.1"]
    );
}

/// A body that is too long to be read for nothing ends its connection, and the visitor is told before.
#[tokio::test]
async fn a_large_body_that_nobody_wants_ends_its_connection() {
    let (world, _agents, _origin, _heard) = recorded().await;
    for (declared, expect) in [(10_000_000, ""), (5, "Expect: 100-continue\r\n")] {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: nobody.localhost\r\nContent-Length: {declared}\r\n{expect}\r\n"
        );
        let answer = parse(&world.raw(head.as_bytes()).await);
        assert_eq!(answer.error(), Some("unknown-name"));
        assert_eq!(answer.fields["connection"], "close");
    }
}
