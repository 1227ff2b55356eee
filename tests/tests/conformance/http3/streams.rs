//! The streams of a connection as a whole (RFC 9114 section 6.2, RFC 9204 section 4.2).

use super::Expected::{Closed, Fine, Heard};
use super::wire::{CANCEL_PUSH, PUSH_PROMISE};
use super::wire::{
    CLOSED_CRITICAL, CONTROL, DECODER, ENCODER, EXCESSIVE_LOAD, FRAME, FRAME_UNEXPECTED, GOAWAY,
    GREASE, ID, MAX_PUSH_ID, MISSING_SETTINGS, PUSH, SETTINGS, SETTINGS_ERROR, STREAM_CREATION,
    data, declared, frame, get, headers, numbers, request, settings,
};
use super::{End, Row, Stream, bare, one_way, whole, with};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = kinds();
    rows.extend(control());
    rows.extend(said());
    rows
}

/// A control stream with these bytes.
fn control_of(bytes: &[u8]) -> Stream {
    one_way(CONTROL, bytes, End::Open)
}

/// A control stream that begins as it should.
fn then(bytes: &[u8]) -> Stream {
    control_of(&[&settings(&[])[..], bytes].concat())
}

fn kinds() -> Vec<Row> {
    let one = |name, source, stream, expected| with(name, source, vec![stream], expected);
    vec![
        bare(
            "a request before the control stream",
            "RFC 9114 6.2.1",
            vec![whole(get("/one")), then(&[])],
            Fine,
        ),
        bare(
            "a request and no control stream as yet",
            "RFC 9114 6.2.1",
            vec![whole(get("/one"))],
            Heard("GET", "/one", ""),
        ),
        one(
            "a stream of a kind that nobody knows",
            "RFC 9114 6.2",
            one_way(0x4242, &[1; 1000], End::Open),
            Fine,
        ),
        one(
            "a stream of a kind that nobody knows, which ends",
            "RFC 9114 6.2",
            one_way(0x4242, &[1; 1000], End::Whole),
            Fine,
        ),
        one(
            "a stream of a reserved kind",
            "RFC 9114 6.2.3",
            one_way(GREASE, b"grease", End::Whole),
            Fine,
        ),
        one(
            "a reserved stream that is reset",
            "RFC 9114 6.2.3",
            one_way(GREASE, b"grease", End::Reset),
            Fine,
        ),
        one(
            "a stream of WebTransport, which nobody negotiated",
            "RFC 9114 6.2",
            one_way(0x54, b"\x00hello", End::Open),
            Fine,
        ),
        one(
            "a stream that ends before its kind",
            "RFC 9114 6.2",
            Stream {
                is_request: false,
                bytes: vec![0x40],
                end: End::Whole,
            },
            Fine,
        ),
        one(
            "an empty stream",
            "RFC 9114 6.2",
            Stream {
                is_request: false,
                bytes: Vec::new(),
                end: End::Whole,
            },
            Fine,
        ),
        one(
            "a push stream of a client",
            "RFC 9114 6.2.2",
            one_way(PUSH, &[0], End::Open),
            Closed(STREAM_CREATION),
        ),
        one(
            "a second control stream",
            "RFC 9114 6.2.1",
            then(&[]),
            Closed(STREAM_CREATION),
        ),
        with(
            "streams of encoder and decoder",
            "RFC 9204 4.2",
            vec![
                one_way(ENCODER, &[], End::Open),
                one_way(DECODER, &[], End::Open),
            ],
            Fine,
        ),
        with(
            "a second encoder",
            "RFC 9204 4.2",
            vec![
                one_way(ENCODER, &[], End::Open),
                one_way(ENCODER, &[], End::Open),
            ],
            Closed(STREAM_CREATION),
        ),
        with(
            "a second decoder",
            "RFC 9204 4.2",
            vec![
                one_way(DECODER, &[], End::Open),
                one_way(DECODER, &[], End::Open),
            ],
            Closed(STREAM_CREATION),
        ),
        bare(
            "a control stream that ends",
            "RFC 9114 6.2.1",
            vec![one_way(CONTROL, &settings(&[]), End::Whole)],
            Closed(CLOSED_CRITICAL),
        ),
        bare(
            "a control stream that is reset",
            "RFC 9114 6.2.1",
            vec![one_way(CONTROL, &settings(&[]), End::Reset)],
            Closed(CLOSED_CRITICAL),
        ),
        bare(
            "a control stream that ends before its settings",
            "RFC 9114 6.2.1",
            vec![one_way(CONTROL, &[], End::Whole)],
            Closed(CLOSED_CRITICAL),
        ),
        one(
            "an encoder that ends",
            "RFC 9204 4.2",
            one_way(ENCODER, &[], End::Whole),
            Closed(CLOSED_CRITICAL),
        ),
        one(
            "a decoder that ends",
            "RFC 9204 4.2",
            one_way(DECODER, &[], End::Whole),
            Closed(CLOSED_CRITICAL),
        ),
    ]
}

/// What comes first on the control stream, and what may not come there.
fn control() -> Vec<Row> {
    let is = |name, source, bytes: Vec<u8>, expected| {
        bare(name, source, vec![control_of(&bytes)], expected)
    };
    let behind =
        |name, source, bytes: Vec<u8>, expected| bare(name, source, vec![then(&bytes)], expected);
    let unexpected = Closed(FRAME_UNEXPECTED);
    vec![
        is(
            "a GOAWAY before the settings",
            "RFC 9114 6.2.1",
            frame(GOAWAY, &[0]),
            Closed(MISSING_SETTINGS),
        ),
        is(
            "a MAX_PUSH_ID before the settings",
            "RFC 9114 6.2.1",
            frame(MAX_PUSH_ID, &[9]),
            Closed(MISSING_SETTINGS),
        ),
        is(
            "data before the settings",
            "RFC 9114 6.2.1",
            data("a"),
            Closed(MISSING_SETTINGS),
        ),
        is(
            "a reserved frame before the settings",
            "RFC 9114 6.2.1",
            frame(GREASE, b"a"),
            Closed(MISSING_SETTINGS),
        ),
        behind(
            "settings twice",
            "RFC 9114 7.2.4",
            settings(&[]),
            unexpected,
        ),
        behind(
            "data on the control stream",
            "RFC 9114 7.2.1",
            data("a"),
            unexpected,
        ),
        behind(
            "a head on the control stream",
            "RFC 9114 7.2.2",
            headers(&request("GET", "/outer")),
            unexpected,
        ),
        behind(
            "a promise of a client",
            "RFC 9114 7.2.5",
            frame(PUSH_PROMISE, &[0, 0, 0]),
            unexpected,
        ),
        behind(
            "PRIORITY of HTTP/2",
            "RFC 9114 7.2.8",
            frame(0x02, &[0; 5]),
            unexpected,
        ),
        behind(
            "PING of HTTP/2",
            "RFC 9114 7.2.8",
            frame(0x06, &[0; 8]),
            unexpected,
        ),
        behind(
            "WINDOW_UPDATE of HTTP/2",
            "RFC 9114 7.2.8",
            frame(0x08, &[0; 4]),
            unexpected,
        ),
        behind(
            "CONTINUATION of HTTP/2",
            "RFC 9114 7.2.8",
            frame(0x09, &[]),
            unexpected,
        ),
        behind(
            "a reserved frame on the control stream",
            "RFC 9114 7.2.8",
            frame(GREASE, &[1; 5000]),
            Fine,
        ),
        behind(
            "an unknown frame on the control stream",
            "RFC 9114 9",
            frame(0x4242, &[]),
            Fine,
        ),
        behind(
            "PRIORITY_UPDATE",
            "RFC 9218 7.2",
            frame(0xf0700, b"\x00u=1"),
            Fine,
        ),
        behind(
            "a GOAWAY of a client",
            "RFC 9114 5.2",
            frame(GOAWAY, &[0]),
            Fine,
        ),
        behind(
            "a GOAWAY that goes down",
            "RFC 9114 5.2",
            [frame(GOAWAY, &[9]), frame(GOAWAY, &[8])].concat(),
            Fine,
        ),
        behind(
            "a GOAWAY that goes up",
            "RFC 9114 5.2",
            [frame(GOAWAY, &[8]), frame(GOAWAY, &[9])].concat(),
            Closed(ID),
        ),
        behind(
            "a GOAWAY without a number",
            "RFC 9114 7.1",
            frame(GOAWAY, &[]),
            Closed(FRAME),
        ),
        behind(
            "a GOAWAY with more than a number",
            "RFC 9114 7.1",
            frame(GOAWAY, &[0, 0]),
            Closed(FRAME),
        ),
        behind(
            "a GOAWAY whose number is cut",
            "RFC 9114 7.1",
            frame(GOAWAY, &[0x40]),
            Closed(FRAME),
        ),
        behind(
            "a GOAWAY of a GiB",
            "RFC 9114 7.1",
            declared(GOAWAY, 1 << 30),
            Closed(FRAME),
        ),
        behind(
            "a MAX_PUSH_ID",
            "RFC 9114 7.2.7",
            frame(MAX_PUSH_ID, &[9]),
            Fine,
        ),
        behind(
            "a MAX_PUSH_ID that goes down",
            "RFC 9114 7.2.7",
            [frame(MAX_PUSH_ID, &[9]), frame(MAX_PUSH_ID, &[8])].concat(),
            Closed(ID),
        ),
        behind(
            "a MAX_PUSH_ID without a number",
            "RFC 9114 7.1",
            frame(MAX_PUSH_ID, &[]),
            Closed(FRAME),
        ),
        behind(
            "a CANCEL_PUSH of what was never pushed",
            "RFC 9114 7.2.3",
            frame(CANCEL_PUSH, &[0]),
            Closed(ID),
        ),
    ]
}

/// Settings.
fn said() -> Vec<Row> {
    let of = |name, source, all: &[u64], expected| {
        bare(name, source, vec![control_of(&settings(all))], expected)
    };
    let cut = |name, payload: &[u8]| {
        bare(
            name,
            "RFC 9114 7.1",
            vec![control_of(&frame(SETTINGS, payload))],
            Closed(FRAME),
        )
    };
    let wrong = Closed(SETTINGS_ERROR);
    vec![
        of(
            "settings of a usual client",
            "RFC 9114 7.2.4",
            &[1, 4096, 6, 16384, 7, 100],
            Fine,
        ),
        of(
            "reserved and unknown settings",
            "RFC 9114 7.2.4.1",
            &[GREASE, 77, 0x4242, 0],
            Fine,
        ),
        of("a setting twice", "RFC 9114 7.2.4", &[6, 1, 6, 1], wrong),
        of(
            "a reserved setting twice",
            "RFC 9114 7.2.4",
            &[GREASE, 1, GREASE, 2],
            wrong,
        ),
        of("ENABLE_PUSH of HTTP/2", "RFC 9114 7.2.4.1", &[2, 0], wrong),
        of(
            "MAX_CONCURRENT_STREAMS of HTTP/2",
            "RFC 9114 7.2.4.1",
            &[3, 100],
            wrong,
        ),
        of(
            "INITIAL_WINDOW_SIZE of HTTP/2",
            "RFC 9114 7.2.4.1",
            &[4, 65535],
            wrong,
        ),
        of(
            "MAX_FRAME_SIZE of HTTP/2",
            "RFC 9114 7.2.4.1",
            &[5, 16384],
            wrong,
        ),
        of(
            "extended CONNECT as a client says it",
            "RFC 9220 3",
            &[8, 1],
            Fine,
        ),
        of(
            "extended CONNECT neither on nor off",
            "RFC 9220 3",
            &[8, 2],
            wrong,
        ),
        of(
            "datagrams neither on nor off",
            "RFC 9297 2.1.1",
            &[0x33, 2],
            wrong,
        ),
        of(
            "the largest values",
            "RFC 9114 7.2.4",
            &[6, (1 << 62) - 1, 1, (1 << 62) - 1],
            Fine,
        ),
        cut("a setting without a value", &[6]),
        cut("a setting whose value is cut", &[6, 0x40]),
        bare(
            "settings of a GiB",
            "RFC 9114 10.5",
            vec![control_of(&declared(SETTINGS, 1 << 30))],
            Closed(EXCESSIVE_LOAD),
        ),
        bare(
            "settings byte by byte, and what follows",
            "RFC 9114 7.2.4",
            vec![control_of(
                &[
                    settings(&[GREASE, 1]),
                    frame(GREASE, &[]),
                    numbers(&[GREASE]),
                ]
                .concat(),
            )],
            Fine,
        ),
    ]
}
