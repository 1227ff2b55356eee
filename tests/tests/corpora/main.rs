//! What the fuzz targets check, with the inputs that are kept of them and with others that are near: what once went
//! wrong does not do so again, without the toolchain that fuzzing takes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::PathBuf;

use adit_tests::corpus;
use adit_tests::program::repository;

#[path = "../../../shared/fuzz/checks/accept.rs"]
mod accept;
#[path = "../../../shared/fuzz/checks/acme.rs"]
mod acme;
#[path = "../../../shared/fuzz/checks/authority.rs"]
mod authority;
#[path = "../../../shared/fuzz/checks/carrier.rs"]
mod carrier;
#[path = "../../../shared/fuzz/checks/certificate.rs"]
mod certificate;
#[path = "../../../shared/fuzz/checks/challenge.rs"]
mod challenge;
#[path = "../../../shared/fuzz/checks/connect.rs"]
mod connect;
#[path = "../../../shared/fuzz/checks/control.rs"]
mod control;
#[path = "../../../shared/fuzz/checks/cookies.rs"]
mod cookies;
#[path = "../../../shared/fuzz/checks/datagram.rs"]
mod datagram;
#[path = "../../../shared/fuzz/checks/dns.rs"]
mod dns;
#[path = "../../../shared/fuzz/checks/escape.rs"]
mod escape;
#[path = "../../../shared/fuzz/checks/events.rs"]
mod events;
#[path = "../../../shared/fuzz/checks/fields.rs"]
mod fields;
#[path = "../../../shared/fuzz/checks/filter.rs"]
mod filter;
#[path = "../../../shared/fuzz/checks/forwarded.rs"]
mod forwarded;
#[path = "../../../shared/fuzz/checks/frames.rs"]
mod frames;
#[path = "../../../shared/fuzz/checks/guard.rs"]
mod guard;
#[path = "../../../shared/fuzz/checks/har.rs"]
mod har;
#[path = "../../../shared/fuzz/checks/host.rs"]
mod host;
#[path = "../../../shared/fuzz/checks/http2.rs"]
mod http2;
#[path = "../../../shared/fuzz/checks/http3.rs"]
mod http3;
#[path = "../../../shared/fuzz/checks/letter.rs"]
mod letter;
#[path = "../../../shared/fuzz/checks/name.rs"]
mod name;
#[path = "../../../shared/fuzz/checks/notice.rs"]
mod notice;
#[path = "../../../shared/fuzz/checks/options.rs"]
mod options;
#[path = "../../../shared/fuzz/checks/origin_response.rs"]
mod origin_response;
#[path = "../../../shared/fuzz/checks/paths.rs"]
mod paths;
#[path = "../../../shared/fuzz/checks/pin.rs"]
mod pin;
#[path = "../../../shared/fuzz/checks/portal.rs"]
mod portal;
#[path = "../../../shared/fuzz/checks/proxy_header.rs"]
mod proxy_header;
#[path = "../../../shared/fuzz/checks/request_head.rs"]
mod request_head;
#[path = "../../../shared/fuzz/checks/response_head.rs"]
mod response_head;
#[path = "../../../shared/fuzz/checks/settle.rs"]
mod settle;
#[path = "../../../shared/fuzz/checks/sniff.rs"]
mod sniff;
#[path = "../../../shared/fuzz/checks/token.rs"]
mod token;
#[path = "../../../shared/fuzz/checks/varint.rs"]
mod varint;
#[path = "../../../shared/fuzz/checks/visitor_request.rs"]
mod visitor_request;
#[path = "../../../shared/fuzz/checks/webhook.rs"]
mod webhook;
#[path = "../../../shared/fuzz/checks/websocket.rs"]
mod websocket;

type Check = fn(&[u8]);

const TARGETS: &[(&str, Check)] = &[
    ("accept", accept::check),
    ("acme", acme::check),
    ("authority", authority::check),
    ("carrier", carrier::check),
    ("certificate", certificate::check),
    ("challenge", challenge::check),
    ("connect", connect::check),
    ("control", control::check),
    ("cookies", cookies::check),
    ("datagram", datagram::check),
    ("dns", dns::check),
    ("escape", escape::check),
    ("events", events::check),
    ("fields", fields::check),
    ("filter", filter::check),
    ("forwarded", forwarded::check),
    ("frames", frames::check),
    ("guard", guard::check),
    ("har", har::check),
    ("host", host::check),
    ("http2", http2::check),
    ("http3", http3::check),
    ("letter", letter::check),
    ("name", name::check),
    ("notice", notice::check),
    ("options", options::check),
    ("origin_response", origin_response::check),
    ("paths", paths::check),
    ("pin", pin::check),
    ("portal", portal::check),
    ("proxy_header", proxy_header::check),
    ("request_head", request_head::check),
    ("response_head", response_head::check),
    ("settle", settle::check),
    ("sniff", sniff::check),
    ("token", token::check),
    ("varint", varint::check),
    ("visitor_request", visitor_request::check),
    ("webhook", webhook::check),
    ("websocket", websocket::check),
];

fn fuzz() -> PathBuf {
    repository().join("shared/fuzz")
}

/// The inputs that are kept of a target.
fn kept(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(fuzz().join("corpus").join(target));
    let files = files.unwrap_or_else(|error| panic!("{target} has no corpus: {error}"));
    let paths = files.map(|file| file.unwrap().path());
    paths
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

/// Names of files without their ending.
fn names(folder: &str) -> Vec<String> {
    let files = fs::read_dir(fuzz().join(folder)).unwrap();
    let names = files.map(|file| {
        let path = file.unwrap().path();
        path.file_stem().unwrap().to_str().unwrap().to_owned()
    });
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

#[test]
fn each_target_has_a_check_here_and_a_corpus() {
    let ours: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), ours);
    assert_eq!(names("checks"), ours);
    assert_eq!(names("corpus"), ours);
}

#[test]
fn each_input_that_is_kept_passes_and_so_does_what_is_near_it() {
    for (target, check) in TARGETS {
        let inputs = kept(target);
        assert!(!inputs.is_empty(), "{target} has an empty corpus");
        for (path, input) in inputs {
            // Seen when it fails.
            println!("{}", path.display());
            check(&input);
            near(&input, *check);
        }
    }
}

/// Beginnings of an input, and those that differ in one byte.
fn near(input: &[u8], check: Check) {
    let input = &input[..input.len().min(NEAR)];
    for end in 0..input.len() {
        check(&input[..end]);
    }
    let mut other = input.to_vec();
    for at in 0..input.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            other[at] = input[at] ^ flip;
            check(&other);
        }
        other[at] = input[at];
    }
}

/// The requests that conformance is tried with are where fuzzing begins.
#[test]
fn each_request_of_the_corpus_is_read_the_same_however_it_is_cut() {
    for row in corpus::rows() {
        for cut in [0, 1, 6, 30] {
            let input = [&[cut], &row.bytes()[..]].concat();
            visitor_request::check(&input);
            sniff::check(&input);
        }
    }
}

/// Writes them to where the fuzzer finds them: `--run-ignored all`.
#[test]
#[ignore = "writes seeds into shared/fuzz/corpus"]
fn requests_of_the_corpus_become_seeds() {
    for row in corpus::rows() {
        let words = row
            .name
            .split(|letter: char| !letter.is_ascii_alphanumeric());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let name = words.join("-").to_ascii_lowercase();
        let input = [&[6], &row.bytes()[..]].concat();
        let folder = fuzz().join("corpus/visitor_request");
        if input.len() <= 4096 {
            fs::write(folder.join(name), input).unwrap();
        }
    }
}

/// Bytes of an input to which near ones are tried.
const NEAR: usize = 200;
