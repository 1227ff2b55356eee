//! Responses of origins, odd ones too: the visitor gets what was meant or an error, and nothing that an origin
//! says too much becomes the answer to another request (RFC 9112 sections 6.3 and 9.2).

use std::sync::{Arc, Mutex};

use adit_tests::World;
use adit_tests::origin::{Origin, read_head};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::verdicts::Verdicts;

/// What a visitor must get.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// This status and this body.
    Whole(u16, &'static str),
    /// The relay's word that the origin made no sense.
    Invalid,
    /// The same of more interim heads than one exchange may have.
    TooMany,
    /// The beginning of a response, which does not pass for whole.
    Cut,
}
use Expected::{Cut, Invalid, TooMany, Whole};

/// What the origin does behind its response.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// It waits for the next request.
    Stays,
    /// It closes.
    Closes,
}
use Then::{Closes, Stays};

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Then,
    Expected,
);

/// A response that nobody asked for.
macro_rules! with_another {
    ($response:expr) => {
        concat!(
            $response,
            "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled"
        )
    };
}

/// A response with this behind its status.
macro_rules! ok {
    ($rest:expr) => {
        concat!("HTTP/1.1 200 OK\r\n", $rest)
    };
}

/// A response with this body, which should be one in chunks.
macro_rules! chunks {
    ($body:expr) => {
        ok!(concat!("transfer-encoding: chunked\r\n\r\n", $body))
    };
}

/// Name, source, method of the request, response, what then, and what the visitor must get.
const ROWS: &[Row] = &[
    (
        "a length",
        "RFC 9112 6.2",
        "GET",
        ok!("content-length: 2\r\n\r\nok"),
        Stays,
        Whole(200, "ok"),
    ),
    (
        "chunks",
        "RFC 9112 7.1",
        "GET",
        chunks!("2;x=y\r\nok\r\n0\r\n\r\n"),
        Stays,
        Whole(200, "ok"),
    ),
    (
        "until the end",
        "RFC 9112 6.3",
        "GET",
        ok!("\r\nok"),
        Closes,
        Whole(200, "ok"),
    ),
    (
        "HTTP/1.0",
        "RFC 9112 2.3",
        "GET",
        "HTTP/1.0 200 OK\r\n\r\nok",
        Closes,
        Whole(200, "ok"),
    ),
    (
        "no reason",
        "RFC 9112 4",
        "GET",
        "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n",
        Stays,
        Whole(200, ""),
    ),
    (
        "a status of its own",
        "RFC 9110 15",
        "GET",
        "HTTP/1.1 299 X\r\ncontent-length: 0\r\n\r\n",
        Stays,
        Whole(299, ""),
    ),
    (
        "one length twice",
        "RFC 9110 8.6",
        "GET",
        ok!("content-length: 2\r\ncontent-length: 2\r\n\r\nok"),
        Stays,
        Whole(200, "ok"),
    ),
    (
        "a list of equal lengths",
        "RFC 9110 8.6",
        "GET",
        ok!("content-length: 2, 2\r\n\r\nok"),
        Stays,
        Whole(200, "ok"),
    ),
    (
        "more than the length",
        "RFC 9112 6.3, CVE-2025-4366",
        "GET",
        with_another!(ok!("content-length: 2\r\n\r\nok")),
        Stays,
        Whole(200, "ok"),
    ),
    (
        "more than the last chunk",
        "RFC 9112 7.1",
        "GET",
        with_another!(chunks!("2\r\nok\r\n0\r\n\r\n")),
        Stays,
        Whole(200, "ok"),
    ),
    (
        "more behind 204",
        "RFC 9110 15.3.5",
        "GET",
        with_another!("HTTP/1.1 204 No Content\r\n\r\n"),
        Stays,
        Whole(204, ""),
    ),
    (
        "204 with a length and a body",
        "RFC 9112 6.3",
        "GET",
        "HTTP/1.1 204 No Content\r\ncontent-length: 8\r\n\r\nsmuggled",
        Stays,
        Whole(204, ""),
    ),
    (
        "304 with a body",
        "RFC 9110 15.4.5",
        "GET",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 8\r\n\r\nsmuggled",
        Stays,
        Whole(304, ""),
    ),
    (
        "304 in chunks",
        "RFC 9112 6.3",
        "GET",
        "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n8\r\nsmuggled\r\n0\r\n\r\n",
        Stays,
        Whole(304, ""),
    ),
    (
        "HEAD with a body",
        "RFC 9110 9.3.2",
        "HEAD",
        ok!("content-length: 8\r\n\r\nsmuggled"),
        Stays,
        Whole(200, ""),
    ),
    (
        "HEAD with a response for a body",
        "RFC 9110 9.3.2, CVE-2025-4366",
        "HEAD",
        with_another!(ok!("content-length: 46\r\n\r\n")),
        Stays,
        Whole(200, ""),
    ),
    (
        "HEAD in chunks",
        "RFC 9112 6.3",
        "HEAD",
        ok!("transfer-encoding: chunked\r\n\r\n8\r\nsmuggled\r\n0\r\n\r\n"),
        Stays,
        Whole(200, ""),
    ),
    (
        "a length and chunks",
        "RFC 9112 6.3",
        "GET",
        ok!("content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        Stays,
        Invalid,
    ),
    (
        "chunks and a length",
        "RFC 9112 6.3",
        "GET",
        ok!("transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        Stays,
        Invalid,
    ),
    (
        "two lengths",
        "RFC 9112 6.3",
        "GET",
        with_another!(ok!("content-length: 2\r\ncontent-length: 1\r\n\r\nok")),
        Stays,
        Invalid,
    ),
    (
        "a list of lengths",
        "RFC 9112 6.3",
        "GET",
        ok!("content-length: 2, 3\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "a length with a plus",
        "RFC 9110 8.6",
        "GET",
        ok!("content-length: +2\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "a length below nothing",
        "RFC 9110 8.6",
        "GET",
        ok!("content-length: -2\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "a length that is none",
        "RFC 9110 8.6",
        "GET",
        ok!("content-length: 0x2\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "a length of nothing at all",
        "RFC 9110 8.6",
        "GET",
        ok!("content-length:\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "a length of 2^64",
        "RFC 9110 8.6",
        "GET",
        ok!("content-length: 18446744073709551618\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "another coding",
        "RFC 9112 6.1",
        "GET",
        ok!("transfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        Stays,
        Invalid,
    ),
    (
        "chunks twice",
        "RFC 9112 6.1",
        "GET",
        ok!("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        Stays,
        Invalid,
    ),
    (
        "chunks in HTTP/1.0",
        "RFC 9112 6.1",
        "GET",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Closes,
        Invalid,
    ),
    (
        "a folded field",
        "RFC 9112 5.2",
        "GET",
        ok!("x: y\r\n smuggled\r\ncontent-length: 2\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "a space before a colon",
        "RFC 9112 5.1",
        "GET",
        ok!("x : smuggled\r\ncontent-length: 2\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "a NUL in a value",
        "RFC 9110 5.5",
        "GET",
        ok!("x: y\0smuggled\r\ncontent-length: 2\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "a bare carriage return in a value",
        "RFC 9112 2.2",
        "GET",
        ok!("x: y\rsmuggled: z\r\ncontent-length: 2\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "no name",
        "RFC 9110 5.1",
        "GET",
        ok!(": smuggled\r\ncontent-length: 2\r\n\r\nok"),
        Stays,
        Invalid,
    ),
    (
        "a status of two digits",
        "RFC 9112 4",
        "GET",
        "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok",
        Stays,
        Invalid,
    ),
    (
        "a status of four digits",
        "RFC 9112 4",
        "GET",
        "HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok",
        Stays,
        Invalid,
    ),
    (
        "another version",
        "RFC 9112 2.3",
        "GET",
        "HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        Stays,
        Invalid,
    ),
    (
        "a body alone",
        "RFC 9112 2.1",
        "GET",
        "smuggled\r\n\r\n",
        Closes,
        Invalid,
    ),
    (
        "a switch unasked",
        "RFC 9110 15.2.2",
        "GET",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: smuggled\r\n\r\nsmuggled",
        Stays,
        Invalid,
    ),
    (
        "an interim head",
        "RFC 9110 15.2",
        "GET",
        concat!(
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
            ok!("content-length: 2\r\n\r\nok")
        ),
        Stays,
        Whole(200, "ok"),
    ),
    (
        "an interim head with a length",
        "RFC 9112 6.3",
        "GET",
        concat!(
            "HTTP/1.1 103 Early Hints\r\ncontent-length: 8\r\n\r\n",
            ok!("content-length: 2\r\n\r\nok")
        ),
        Stays,
        Whole(200, "ok"),
    ),
    (
        "100 unasked",
        "RFC 9110 15.2.1",
        "GET",
        concat!(
            "HTTP/1.1 100 Continue\r\n\r\n",
            ok!("content-length: 2\r\n\r\nok")
        ),
        Stays,
        Whole(200, "ok"),
    ),
    (
        "less than the length",
        "RFC 9112 8",
        "GET",
        ok!("content-length: 9\r\n\r\nok"),
        Closes,
        Cut,
    ),
    (
        "no last chunk",
        "RFC 9112 8",
        "GET",
        chunks!("2\r\nok\r\n"),
        Closes,
        Cut,
    ),
    (
        "half a chunk",
        "RFC 9112 8",
        "GET",
        chunks!("9\r\nok"),
        Closes,
        Cut,
    ),
    (
        "no end of trailers",
        "RFC 9112 8",
        "GET",
        chunks!("2\r\nok\r\n0\r\n"),
        Closes,
        Cut,
    ),
    (
        "a chunk that is longer than its size",
        "RFC 9112 7.1",
        "GET",
        chunks!("1\r\nok\r\n0\r\n\r\n"),
        Stays,
        Cut,
    ),
    (
        "a size with 0x",
        "RFC 9112 7.1",
        "GET",
        chunks!("0x2\r\nok\r\n0\r\n\r\n"),
        Stays,
        Cut,
    ),
    (
        "a size below nothing",
        "RFC 9112 7.1",
        "GET",
        chunks!("-2\r\nok\r\n0\r\n\r\n"),
        Stays,
        Cut,
    ),
    (
        "a size that wraps to 2",
        "RFC 9112 7.1",
        "GET",
        chunks!("10000000000000002\r\nok\r\n0\r\n\r\n"),
        Stays,
        Cut,
    ),
    (
        "a size that is ended by a line feed",
        "RFC 9112 2.2",
        "GET",
        chunks!("2\nok\r\n0\r\n\r\n"),
        Stays,
        Cut,
    ),
    (
        "an extension with a line feed",
        "RFC 9112 7.1.1",
        "GET",
        chunks!("2;\nx\r\nok\r\n0\r\n\r\n"),
        Stays,
        Cut,
    ),
    (
        "a trailer that is none",
        "RFC 9112 7.1.2",
        "GET",
        chunks!("2\r\nok\r\n0\r\nsmuggled\r\n\r\n"),
        Stays,
        Cut,
    ),
    (
        "trailers that say too much",
        "RFC 9110 6.5.1",
        "GET",
        chunks!(
            "2\r\nok\r\n0\r\ncontent-length: 9\r\ntransfer-encoding: smuggled\r\nconnection: smuggled\r\n\r\n"
        ),
        Stays,
        Whole(200, "ok"),
    ),
];

#[tokio::test]
async fn a_visitor_gets_what_was_meant_or_an_error() {
    let world = World::start().await;
    let says = Arc::new(Mutex::new((ROWS[0].3.to_owned(), Stays)));
    let said = says.clone();
    let origin = Origin::scripted(move |stream| answer(stream, said.clone())).await;
    let _agent = world.agent("app", origin.address).await;
    let flood = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1000);
    let flood = format!("{flood}{}", ok!("content-length: 2\r\n\r\nok"));
    let mut verdicts = Verdicts::default();
    let rows = ROWS
        .iter()
        .map(|row| (row.0, row.1, row.2, row.3, row.4, row.5));
    let flooded = (
        "a thousand interim heads",
        "RFC 9110 15.2",
        "GET",
        flood.as_str(),
        Stays,
        TooMany,
    );
    for (name, source, method, response, then, expected) in rows.chain([flooded]) {
        *says.lock().unwrap() = (response.to_owned(), then);
        let request =
            format!("{method} /odd HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n");
        let seen = world.raw(request.as_bytes()).await;
        let seen = String::from_utf8_lossy(&seen);
        let mut result = check(&seen, expected);
        let next = world.get("app", "/next").await;
        if next.status != 200 || next.text() != "next" {
            result = Err(format!(
                "the next visitor got {}: {}",
                next.status,
                next.text()
            ));
        }
        verdicts.note(name, source, result);
    }
    verdicts.settle();
}

async fn answer(mut stream: TcpStream, says: Arc<Mutex<(String, Then)>>) {
    loop {
        let head = read_head(&mut stream).await;
        if head.is_empty() {
            return;
        }
        let (response, then) = if head.contains(" /next ") {
            (ok!("content-length: 4\r\n\r\nnext").to_owned(), Stays)
        } else {
            says.lock().unwrap().clone()
        };
        if stream.write_all(response.as_bytes()).await.is_err() || then == Closes {
            return;
        }
    }
}

fn check(seen: &str, expected: Expected) -> Result<(), String> {
    let wrong = || Err(format!("the visitor got: {seen}"));
    // What was in front of the last head are interim ones.
    let Some(last) = seen.rfind("HTTP/1.1 ") else {
        return if matches!(expected, Cut) {
            Ok(())
        } else {
            wrong()
        };
    };
    let Some((head, body)) = seen[last..].split_once("\r\n\r\n") else {
        return wrong();
    };
    let before = &seen[..last];
    let interim = before
        .split("HTTP/1.1 ")
        .skip(1)
        .all(|head| head.starts_with("10"));
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let head = head.to_lowercase();
    if !interim || seen.contains("smuggled") {
        return wrong();
    }
    let (body, ended) = if head.contains("\r\ntransfer-encoding: chunked") {
        match unchunked(body) {
            Some(body) => (body, true),
            None => (body.to_owned(), false),
        }
    } else {
        let declared = head
            .split("\r\ncontent-length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next()?.parse().ok());
        let bodiless = body.is_empty() && matches!(expected, Whole(_, ""));
        (
            body.to_owned(),
            bodiless || declared.is_none_or(|length: usize| body.len() == length),
        )
    };
    let well = match expected {
        Whole(wanted, text) => ended && status == Some(wanted) && body == text,
        Invalid => status == Some(502) && head.contains("adit-error: origin-invalid"),
        TooMany => status == Some(502) && head.contains("adit-error: agent-invalid"),
        Cut => !ended || status == Some(502),
    };
    if well { Ok(()) } else { wrong() }
}

/// The body, if its last chunk came.
fn unchunked(mut text: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return rest.ends_with("\r\n").then_some(body);
        }
        body.push_str(rest.get(..size)?);
        text = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}
