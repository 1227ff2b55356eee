//! What RFCs and advisories demand, row by row. A row has a name and its source; all rows of a set are tried,
//! and those that fail are shown together.
//!
//! - `requests`: HTTP/1.1 as visitors send it, heard by an origin (`recorder`) that is stricter than any server;
//! - `responses`: HTTP/1.1 as origins send it;
//! - `http2`, `http3`: HTTP/2 and HTTP/3, frame by frame.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod http2;
mod http3;
mod recorder;
mod requests;
mod responses;
mod verdicts;
