//! Requests over HTTP/1.1 that were made to be read in two ways, row by row with their source: what the relay
//! must do with each, and what exactly an origin may see of it.
//!
//! The rows are data for two tests: one whose origin keeps every byte and reads it more strictly than any
//! server does, and one with real servers as origins. Behind each row comes [`LAST`]: where a row's request
//! ends is where that one begins, or else nothing behind it is read.
//!
//! A text has marks: `<HOST>` for the field that names the host, `<SMUGGLED>` for [`SMUGGLED`].

/// A request for `/outer` with these fields and this body.
macro_rules! post {
    ($fields:expr, $body:expr) => {
        concat!(
            "POST /outer HTTP/1.1\r\n<HOST>\r\n",
            $fields,
            "\r\n\r\n",
            $body
        )
    };
}

/// A request for `/outer` with this body as it is, which should be one in chunks.
macro_rules! chunks {
    ($body:expr) => {
        post!("Transfer-Encoding: chunked", $body)
    };
}

/// A request for `/` with this line among its fields.
macro_rules! line {
    ($line:expr) => {
        concat!("GET / HTTP/1.1\r\n<HOST>\r\n", $line, "\r\n\r\n")
    };
}

/// A request for this target.
macro_rules! target {
    ($target:expr) => {
        concat!("GET ", $target, " HTTP/1.1\r\n<HOST>\r\n\r\n")
    };
}

mod chunks;
mod hops;
mod hosts;
mod lengths;
mod lines;
mod targets;

use Expected::{Alone, Broken, Refused, Seen};

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is odd about it.
    pub name: &'static str,
    /// Where it comes from: a section of an RFC, an advisory, or a talk.
    pub source: &'static str,
    /// What is sent, with marks.
    pub text: &'static str,
    /// What must happen.
    pub expected: Expected,
}

/// A request as an origin sees it: method, target and body.
pub type Request = (&'static str, &'static str, &'static str);

/// What must happen.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// The relay answers with this status and code, reads nothing behind it, and the origin sees nothing.
    Refused(u16, &'static str),
    /// The origin sees these requests, then [`LAST`], and no others.
    Seen(&'static [Request]),
    /// The origin sees these requests and no others: the connection ends behind them.
    Alone(&'static [Request]),
    /// The body turns out to be none: the origin sees the beginning of one request that never ends, or
    /// nothing; the visitor is told of no success, and nothing behind it is read.
    Broken,
}

/// What comes behind each row.
pub const LAST: &str = "GET /last HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n";
/// A request that nobody makes.
pub const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

const SYNTAX: Expected = Refused(400, "bad-request");
const FRAMING: Expected = Refused(400, "bad-framing");
const TARGET: Expected = Refused(400, "bad-target");
const HOST: Expected = Refused(400, "bad-host");
const CODING: Expected = Refused(501, "coding-not-supported");
const GET: Expected = Seen(&[("GET", "/", "")]);

const fn row(
    name: &'static str,
    source: &'static str,
    text: &'static str,
    expected: Expected,
) -> Row {
    Row {
        name,
        source,
        text,
        expected,
    }
}

impl Row {
    /// What is sent.
    pub fn bytes(&self) -> Vec<u8> {
        [filled(self.text).as_bytes(), LAST.as_bytes()].concat()
    }
}

/// A text without its marks.
pub fn filled(text: &str) -> String {
    text.replace("<HOST>", "Host: app.localhost")
        .replace("<SMUGGLED>", SMUGGLED)
}

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    let parts = [
        lengths::ROWS,
        chunks::ROWS,
        lines::ROWS,
        targets::ROWS,
        hosts::ROWS,
        hops::ROWS,
    ];
    parts.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hide_what_they_say_under_names_of_their_own() {
        // 47 in lengths and 2f in chunks.
        assert_eq!(SMUGGLED.len(), 0x2f);
        let mut names: Vec<_> = rows().map(|row| row.name).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
    }
}
