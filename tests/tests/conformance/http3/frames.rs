//! Frames on the stream of a request: their order, their lengths, and those that are not for it (RFC 9114
//! sections 4.1 and 7).

use super::Expected::{Answer, Closed, Fine, Heard, Reset};
use super::wire::{
    CANCEL_PUSH, DATA, FRAME, FRAME_UNEXPECTED, GOAWAY, GREASE, HEADERS, INCOMPLETE, MAX_PUSH_ID,
    PUSH_PROMISE, data, declared, frame, get, headers, post, request, section, settings,
};
use super::{End, Row, Stream, open, row, whole, with};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = order();
    rows.extend(lengths());
    rows.extend(foreign());
    rows
}

fn trailers() -> Vec<u8> {
    headers(&[("x-sum", "1")])
}

fn order() -> Vec<Row> {
    let at = |name, sent: &[Vec<u8>], expected| row(name, "RFC 9114 4.1", sent.concat(), expected);
    let grease = || frame(GREASE, &[1; 300]);
    let unexpected = Closed(FRAME_UNEXPECTED);
    vec![
        at(
            "a head and data",
            &[post(&[]), data("he"), data("llo")],
            Heard("POST", "/outer", "hello"),
        ),
        at(
            "empty data",
            &[post(&[]), data(""), data("hello"), data("")],
            Heard("POST", "/outer", "hello"),
        ),
        at(
            "trailers over HTTP/3",
            &[post(&[]), data("hello"), trailers()],
            Heard("POST", "/outer", "hello"),
        ),
        at(
            "trailers without data",
            &[post(&[]), trailers()],
            Heard("POST", "/outer", ""),
        ),
        at(
            "reserved frames between all others",
            &[
                grease(),
                post(&[]),
                grease(),
                data("hello"),
                grease(),
                trailers(),
                grease(),
            ],
            Heard("POST", "/outer", "hello"),
        ),
        at(
            "an unknown frame of no length",
            &[frame(0x4242, &[]), get("/one")],
            Heard("GET", "/one", ""),
        ),
        at(
            "data before the head",
            &[data("a"), get("/outer")],
            unexpected,
        ),
        at("data alone", &[data("a")], unexpected),
        at(
            "data behind trailers",
            &[post(&[]), data("a"), trailers(), data("smuggled")],
            unexpected,
        ),
        at(
            "trailers twice",
            &[post(&[]), data("a"), trailers(), trailers()],
            unexpected,
        ),
        at(
            "a second request behind a whole one",
            &[post(&[]), data("a"), trailers(), get("/outer")],
            unexpected,
        ),
        at("nothing", &[], Reset(INCOMPLETE)),
        at("a reserved frame alone", &[grease()], Reset(INCOMPLETE)),
        with(
            "a request that is reset in its head",
            "RFC 9114 4.1.1",
            vec![
                Stream {
                    is_request: true,
                    bytes: get("/outer")[..9].to_vec(),
                    end: End::Reset,
                },
                whole(get("/one")),
            ],
            Heard("GET", "/one", ""),
        ),
    ]
}

fn lengths() -> Vec<Row> {
    let at = |name, sent: Vec<u8>, expected| row(name, "RFC 9114 7.1", sent, expected);
    let outer = section(&request("GET", "/outer"));
    let large = "a".repeat(33 << 10);
    vec![
        at(
            "a stream that ends in a frame's type",
            vec![0x41],
            Closed(FRAME),
        ),
        at(
            "a stream that ends in a frame's length",
            vec![0x01, 0x41],
            Closed(FRAME),
        ),
        at(
            "a head that ends before its length",
            [declared(HEADERS, outer.len() as u64 + 1), outer.clone()].concat(),
            Closed(FRAME),
        ),
        at(
            "data that end before their length",
            [post(&[]), declared(DATA, 6), b"hello".to_vec()].concat(),
            Closed(FRAME),
        ),
        at(
            "an unknown frame that ends before its length",
            [get("/outer"), declared(GREASE, 6), b"hello".to_vec()].concat(),
            Closed(FRAME),
        ),
        at(
            "numbers that are longer than they need to be",
            [
                &[0x40, 0x01, 0x80, 0, 0][..],
                &[u8::try_from(outer.len()).unwrap()],
                &outer,
            ]
            .concat(),
            Heard("GET", "/outer", ""),
        ),
        with(
            "a head of 900 MB",
            "RFC 9114 10.5.1",
            vec![open(declared(HEADERS, 900_000_000))],
            Answer(431, "head-too-large"),
        ),
        with(
            "a head of 2^62 - 1 bytes",
            "RFC 9114 10.5.1",
            vec![open(declared(HEADERS, (1 << 62) - 1))],
            Answer(431, "head-too-large"),
        ),
        row(
            "a head above the limit",
            "RFC 9114 4.2.2",
            headers(&[&request("GET", "/outer")[..], &[("x", &large)]].concat()),
            Answer(431, "head-too-large"),
        ),
        row(
            "more fields than the limit",
            "RFC 9114 4.2.2",
            headers(&[&request("GET", "/outer")[..], &[("x", "y"); 200]].concat()),
            Answer(431, "head-too-large"),
        ),
    ]
}

/// Frames that are for other streams, or for nobody.
fn foreign() -> Vec<Row> {
    let unexpected = Closed(FRAME_UNEXPECTED);
    let at = |name, source, bytes: Vec<u8>| row(name, source, bytes, unexpected);
    let behind =
        |name, source, bytes: Vec<u8>| row(name, source, [post(&[]), bytes].concat(), unexpected);
    vec![
        at(
            "settings in place of a head",
            "RFC 9114 7.2.4",
            settings(&[]),
        ),
        behind("settings behind a head", "RFC 9114 7.2.4", settings(&[])),
        behind(
            "a CANCEL_PUSH behind a head",
            "RFC 9114 7.2.3",
            frame(CANCEL_PUSH, &[0]),
        ),
        behind(
            "a promise behind a head",
            "RFC 9114 7.2.5",
            frame(PUSH_PROMISE, &[0, 0, 0]),
        ),
        behind(
            "a GOAWAY behind a head",
            "RFC 9114 7.2.6",
            frame(GOAWAY, &[0]),
        ),
        behind(
            "a MAX_PUSH_ID behind a head",
            "RFC 9114 7.2.7",
            frame(MAX_PUSH_ID, &[0]),
        ),
        at(
            "PRIORITY of HTTP/2 in place of a head",
            "RFC 9114 7.2.8",
            frame(0x02, &[0; 5]),
        ),
        behind(
            "PING of HTTP/2 behind a head",
            "RFC 9114 7.2.8",
            frame(0x06, &[0; 8]),
        ),
        behind(
            "WINDOW_UPDATE of HTTP/2 behind a head",
            "RFC 9114 7.2.8",
            frame(0x08, &[0; 4]),
        ),
        behind(
            "CONTINUATION of HTTP/2 behind a head",
            "RFC 9114 7.2.8",
            frame(0x09, b"smuggled"),
        ),
        row(
            "a request in a frame that nobody knows",
            "RFC 9114 7.2.8",
            [
                get("/one"),
                frame(GREASE, b"GET /smuggled HTTP/1.1\r\n\r\n"),
            ]
            .concat(),
            Fine,
        ),
    ]
}
