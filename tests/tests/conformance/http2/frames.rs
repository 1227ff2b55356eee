//! Frames: their sizes, flags and settings, and in which state of a stream they may come.

use super::Expected::{Fine, Frame, Gone, Heard, Reset};
use super::wire::{
    ACK, CLOSED, COMPRESSION, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL,
    FRAME_SIZE, GOAWAY, HEADERS, PADDED, PING, PRIORITIZED, PRIORITY, PROTOCOL, PUSH_PROMISE,
    REFUSED, RST_STREAM, SETTINGS, WHOLE, WINDOW_UPDATE, block, frame, get, post, request, setting,
};
use super::{Row, row, then};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = connection();
    rows.extend(streams());
    rows.extend(settings());
    rows.extend(windows());
    rows
}

fn outer() -> Vec<u8> {
    block(&request("GET", "/outer"))
}

/// A request in as many frames as one likes.
fn pieces(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(HEADERS, first, 1, payload)
}

fn connection() -> Vec<Row> {
    let ping = [7; 8];
    let whole = block(&request("GET", "/one"));
    let (start, rest) = whole.split_at(9);
    let (middle, end) = rest.split_at(9);
    let padded = [&[4][..], &whole, &[0; 4]].concat();
    let prioritized = [&[0, 0, 0, 0, 16][..], &whole].concat();
    vec![
        row(
            "an unknown frame",
            "RFC 9113 4.1",
            frame(0x42, 0xff, 0, &[1; 100]),
            Fine,
        ),
        row(
            "an unknown frame of a stream",
            "RFC 9113 5.5",
            frame(0x42, 0, 1, &[]),
            Fine,
        ),
        row(
            "flags that a frame does not have",
            "RFC 9113 4.1",
            frame(PING, 0xfe, 0, &ping),
            Frame(PING, ACK),
        ),
        row(
            "the reserved bit",
            "RFC 9113 4.1",
            frame(PING, 0, 1 << 31, &ping),
            Frame(PING, ACK),
        ),
        row(
            "a frame above the largest",
            "RFC 9113 4.2",
            [post(1, &[]), frame(DATA, 0, 1, &[0; 16385])].concat(),
            Reset(&[FRAME_SIZE]),
        ),
        row(
            "a head above the largest frame",
            "RFC 9113 4.2",
            frame(HEADERS, WHOLE, 1, &[0; 16385]),
            Gone(&[FRAME_SIZE]),
        ),
        row(
            "a continuation",
            "RFC 9113 6.10",
            [
                pieces(END_STREAM, start),
                frame(CONTINUATION, END_HEADERS, 1, rest),
            ]
            .concat(),
            Heard("GET", "/one", ""),
        ),
        row(
            "two continuations",
            "RFC 9113 6.10",
            [
                pieces(END_STREAM, start),
                frame(CONTINUATION, 0, 1, middle),
                frame(CONTINUATION, END_HEADERS, 1, end),
            ]
            .concat(),
            Heard("GET", "/one", ""),
        ),
        row(
            "padding",
            "RFC 9113 6.2",
            pieces(WHOLE | PADDED, &padded),
            Heard("GET", "/one", ""),
        ),
        row(
            "a priority with a head",
            "RFC 9113 6.2",
            pieces(WHOLE | PRIORITIZED, &prioritized),
            Heard("GET", "/one", ""),
        ),
        row(
            "padding of data",
            "RFC 9113 6.1",
            [
                frame(HEADERS, END_HEADERS, 1, &block(&request("POST", "/one"))),
                frame(DATA, END_STREAM | PADDED, 1, b"\x03ab\0\0\0"),
            ]
            .concat(),
            Heard("POST", "/one", "ab"),
        ),
        row(
            "another frame in a head",
            "RFC 9113 6.2",
            [
                pieces(END_STREAM, start),
                frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]),
            ]
            .concat(),
            Gone(&[PROTOCOL]),
        ),
        row(
            "an unknown frame in a head",
            "RFC 9113 5.5",
            [pieces(END_STREAM, start), frame(0x42, 0, 1, &[])].concat(),
            Gone(&[PROTOCOL]),
        ),
        row(
            "another head in a head",
            "RFC 9113 6.2",
            [pieces(END_STREAM, start), get(3, "/outer")].concat(),
            Gone(&[PROTOCOL]),
        ),
        row(
            "data in a head",
            "RFC 9113 6.10",
            [pieces(END_STREAM, start), frame(DATA, END_STREAM, 1, b"a")].concat(),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a continuation of another stream",
            "RFC 9113 6.10",
            [
                pieces(END_STREAM, start),
                frame(CONTINUATION, END_HEADERS, 3, rest),
            ]
            .concat(),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a continuation of nothing",
            "RFC 9113 6.10",
            frame(CONTINUATION, END_HEADERS, 1, &outer()),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a continuation of no stream",
            "RFC 9113 6.10",
            [
                pieces(END_STREAM, start),
                frame(CONTINUATION, END_HEADERS, 0, rest),
            ]
            .concat(),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a continuation behind the end of a head",
            "RFC 9113 6.10",
            [
                pieces(WHOLE, &block(&request("GET", "/one"))),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ]
            .concat(),
            Gone(&[PROTOCOL, CLOSED]),
        ),
        row(
            "data of no stream",
            "RFC 9113 6.1",
            frame(DATA, 0, 0, b"a"),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a head of no stream",
            "RFC 9113 6.2",
            frame(HEADERS, WHOLE, 0, &outer()),
            Gone(&[PROTOCOL]),
        ),
        row(
            "more padding than data",
            "RFC 9113 6.1",
            [post(1, &[]), frame(DATA, PADDED, 1, b"\x05abcd")].concat(),
            Gone(&[PROTOCOL]),
        ),
        row(
            "more padding than head",
            "RFC 9113 6.2",
            pieces(WHOLE | PADDED, &[9, 0, 0]),
            Gone(&[PROTOCOL]),
        ),
        row(
            "padding without a length",
            "RFC 9113 6.2",
            pieces(WHOLE | PADDED, &[]),
            Gone(&[PROTOCOL, FRAME_SIZE]),
        ),
        row(
            "a priority of no stream",
            "RFC 9113 6.3",
            frame(PRIORITY, 0, 0, &[0, 0, 0, 0, 1]),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a priority of 4 bytes",
            "RFC 9113 6.3",
            [get(1, "/one"), frame(PRIORITY, 0, 1, &[0; 4])].concat(),
            Reset(&[FRAME_SIZE]),
        ),
        row(
            "a priority of a stream that is idle",
            "RFC 9113 5.1",
            frame(PRIORITY, 0, 5, &[0, 0, 0, 0, 1]),
            Fine,
        ),
        row(
            "a promise",
            "RFC 9113 8.4",
            [
                get(1, "/one"),
                frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            ]
            .concat(),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a ping",
            "RFC 9113 6.7",
            frame(PING, 0, 0, &ping),
            Frame(PING, ACK),
        ),
        row(
            "an answer to no ping",
            "RFC 9113 6.7",
            frame(PING, ACK, 0, &ping),
            Fine,
        ),
        row(
            "a ping of a stream",
            "RFC 9113 6.7",
            frame(PING, 0, 1, &ping),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a ping of 7 bytes",
            "RFC 9113 6.7",
            frame(PING, 0, 0, &[0; 7]),
            Gone(&[FRAME_SIZE]),
        ),
        row(
            "a goaway of a stream",
            "RFC 9113 6.8",
            frame(GOAWAY, 0, 1, &[0; 8]),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a goaway of 7 bytes",
            "RFC 9113 6.8",
            frame(GOAWAY, 0, 0, &[0; 7]),
            Gone(&[FRAME_SIZE]),
        ),
    ]
}

fn streams() -> Vec<Row> {
    let (end, cancel) = (
        frame(DATA, END_STREAM, 1, b"a"),
        frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
    );
    let again = frame(HEADERS, WHOLE, 1, &outer());
    let more = frame(CONTINUATION, END_HEADERS, 1, &[]);
    let one = || get(1, "/one");
    let reset = [post(1, &[]), cancel.clone()].concat();
    let mut many = Vec::new();
    for stream in 0..=128 {
        many.extend(post(2 * stream + 1, &[]));
    }
    vec![
        row(
            "data of an idle stream",
            "RFC 9113 5.1",
            end.clone(),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a reset of an idle stream",
            "RFC 9113 5.1",
            cancel.clone(),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a window of an idle stream",
            "RFC 9113 5.1",
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]),
            Gone(&[PROTOCOL]),
        ),
        row(
            "data behind the end",
            "RFC 9113 5.1",
            [one(), end.clone()].concat(),
            Reset(&[CLOSED]),
        ),
        row(
            "a head behind the end",
            "RFC 9113 5.1",
            [one(), again.clone()].concat(),
            Reset(&[CLOSED]),
        ),
        row(
            "data behind a reset",
            "RFC 9113 5.1",
            [reset.clone(), end.clone()].concat(),
            Fine,
        ),
        row(
            "a head behind a reset",
            "RFC 9113 5.1",
            [reset.clone(), again.clone()].concat(),
            Reset(&[CLOSED, PROTOCOL]),
        ),
        row(
            "a continuation behind a reset",
            "RFC 9113 5.1",
            [reset, more.clone()].concat(),
            Gone(&[CLOSED, PROTOCOL]),
        ),
        then(
            "data behind both ends",
            "RFC 9113 5.1",
            one(),
            end,
            Reset(&[CLOSED]),
        ),
        then(
            "a head behind both ends",
            "RFC 9113 5.1",
            one(),
            again,
            Reset(&[CLOSED, PROTOCOL]),
        ),
        then(
            "a continuation behind both ends",
            "RFC 9113 5.1",
            one(),
            more,
            Gone(&[CLOSED, PROTOCOL]),
        ),
        then(
            "a reset behind both ends",
            "RFC 9113 5.1",
            one(),
            cancel,
            Fine,
        ),
        then(
            "a window behind both ends",
            "RFC 9113 5.1",
            one(),
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]),
            Fine,
        ),
        then(
            "a stream of a lower number",
            "RFC 9113 5.1.1",
            get(5, "/one"),
            get(3, "/outer"),
            Gone(&[PROTOCOL, CLOSED]),
        ),
        row(
            "a stream of an even number",
            "RFC 9113 5.1.1",
            get(2, "/outer"),
            Gone(&[PROTOCOL]),
        ),
        row(
            "more streams than may be",
            "RFC 9113 5.1.2",
            many,
            Reset(&[PROTOCOL, REFUSED]),
        ),
        row(
            "a reset of no stream",
            "RFC 9113 6.4",
            frame(RST_STREAM, 0, 0, &[0; 4]),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a reset of 3 bytes",
            "RFC 9113 6.4",
            [post(1, &[]), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            Gone(&[FRAME_SIZE]),
        ),
        row(
            "a stream that depends on itself",
            "RFC 7540 5.3.1",
            frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 1]),
            Reset(&[PROTOCOL]),
        ),
    ]
}

fn settings() -> Vec<Row> {
    vec![
        row(
            "no settings",
            "RFC 9113 6.5",
            frame(SETTINGS, 0, 0, &[]),
            Frame(SETTINGS, ACK),
        ),
        row(
            "settings that nobody knows",
            "RFC 9113 6.5.2",
            setting(0xff, 1),
            Fine,
        ),
        row(
            "settings twice",
            "RFC 9113 6.5.3",
            [setting(4, 100), setting(4, 200)].concat(),
            Fine,
        ),
        row(
            "an answer with a payload",
            "RFC 9113 6.5",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Gone(&[FRAME_SIZE]),
        ),
        row(
            "settings of a stream",
            "RFC 9113 6.5",
            frame(SETTINGS, 0, 1, &[]),
            Gone(&[PROTOCOL]),
        ),
        row(
            "settings of 3 bytes",
            "RFC 9113 6.5",
            frame(SETTINGS, 0, 0, &[0; 3]),
            Gone(&[FRAME_SIZE]),
        ),
        row(
            "pushes of 2",
            "RFC 9113 6.5.2",
            setting(2, 2),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a window of 2^31",
            "RFC 9113 6.5.2",
            setting(4, 1 << 31),
            Gone(&[FLOW_CONTROL]),
        ),
        row(
            "frames of 16383 bytes",
            "RFC 9113 6.5.2",
            setting(5, 16383),
            Gone(&[PROTOCOL]),
        ),
        row(
            "frames of 2^24 bytes",
            "RFC 9113 6.5.2",
            setting(5, 1 << 24),
            Gone(&[PROTOCOL]),
        ),
        row(
            "protocols of 2",
            "RFC 8441 3",
            setting(8, 2),
            Gone(&[PROTOCOL]),
        ),
        row("a table of nothing", "RFC 9113 6.5.2", setting(1, 0), Fine),
        row(
            "a table of 4 GiB",
            "RFC 9113 6.5.2",
            setting(1, u32::MAX),
            Fine,
        ),
    ]
}

fn windows() -> Vec<Row> {
    let most = [0x7f, 0xff, 0xff, 0xff];
    vec![
        row(
            "a window of nothing",
            "RFC 9113 6.9",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            Gone(&[PROTOCOL]),
        ),
        row(
            "a stream's window of nothing",
            "RFC 9113 6.9",
            [post(1, &[]), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat(),
            Reset(&[PROTOCOL]),
        ),
        row(
            "a window of 3 bytes",
            "RFC 9113 6.9",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]),
            Gone(&[FRAME_SIZE]),
        ),
        row(
            "a window beyond the largest",
            "RFC 9113 6.9.1",
            [
                frame(WINDOW_UPDATE, 0, 0, &most),
                frame(WINDOW_UPDATE, 0, 0, &most),
            ]
            .concat(),
            Gone(&[FLOW_CONTROL]),
        ),
        row(
            "a stream's window beyond the largest",
            "RFC 9113 6.9.1",
            [
                post(1, &[]),
                frame(WINDOW_UPDATE, 0, 1, &most),
                frame(WINDOW_UPDATE, 0, 1, &most),
            ]
            .concat(),
            Reset(&[FLOW_CONTROL]),
        ),
        row(
            "a setting that makes a window larger than the largest",
            "RFC 9113 6.9.2",
            [
                post(1, &[]),
                frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0, 0]),
                setting(4, 0x7fff_ffff),
            ]
            .concat(),
            Gone(&[FLOW_CONTROL]),
        ),
        row(
            "an index of nothing",
            "RFC 7541 6.1",
            pieces(WHOLE, &[0x80]),
            Gone(&[COMPRESSION]),
        ),
        row(
            "an index beyond the table",
            "RFC 7541 2.3.3",
            pieces(WHOLE, &[0x82, 0x86, 0x84, 0xff, 0x30]),
            Gone(&[COMPRESSION]),
        ),
        row(
            "a literal of a name beyond the table",
            "RFC 7541 2.3.3",
            pieces(WHOLE, &[0x82, 0x86, 0x84, 0x7f, 0x30, 1, b'a']),
            Gone(&[COMPRESSION]),
        ),
        row(
            "a table size behind a field",
            "RFC 7541 4.2",
            pieces(WHOLE, &[&outer()[..], &[0x20]].concat()),
            Gone(&[COMPRESSION]),
        ),
        row(
            "a table larger than was allowed",
            "RFC 7541 6.3",
            pieces(WHOLE, &[&[0x3f, 0xe2, 0x1f][..], &outer()].concat()),
            Gone(&[COMPRESSION]),
        ),
        row(
            "a number without an end",
            "RFC 7541 5.1",
            pieces(
                WHOLE,
                &[
                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
                ],
            ),
            Gone(&[COMPRESSION]),
        ),
        row(
            "a string that is cut",
            "RFC 7541 5.2",
            pieces(WHOLE, &[0x00, 0x05, b'a']),
            Gone(&[COMPRESSION]),
        ),
        row(
            "padding of a Huffman code that is too long",
            "RFC 7541 5.2",
            pieces(
                WHOLE,
                &[&outer()[..], &[0x00, 1, b'x', 0x83, 0x1f, 0xff, 0xff]].concat(),
            ),
            Gone(&[COMPRESSION]),
        ),
        row(
            "padding of a Huffman code with zeros",
            "RFC 7541 5.2",
            pieces(
                WHOLE,
                &[&outer()[..], &[0x00, 1, b'x', 0x81, 0x18]].concat(),
            ),
            Gone(&[COMPRESSION]),
        ),
        row(
            "the end of a Huffman code",
            "RFC 7541 5.2",
            pieces(
                WHOLE,
                &[&outer()[..], &[0x00, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]].concat(),
            ),
            Gone(&[COMPRESSION]),
        ),
    ]
}
