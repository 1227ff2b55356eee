//! Compressed fields (RFC 9204), and what encoders and decoders may say.

use super::Expected::{Closed, Fine, Heard};
use super::wire::{
    DECODER, DECODER_STREAM, DECOMPRESSION, ENCODER, ENCODER_STREAM, HEADERS, frame, request,
    section,
};
use super::{End, Row, one_way, row, with};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = sections();
    rows.extend(instructions());
    rows
}

/// `GET /outer` as far as the static table and literals go, and `more` behind it.
fn outer(more: &[u8]) -> Vec<u8> {
    let mut block = section(&request("GET", "/outer"));
    block.extend(more);
    frame(HEADERS, &block)
}

/// A field section of these bytes.
fn of(bytes: &[u8]) -> Vec<u8> {
    frame(HEADERS, bytes)
}

fn sections() -> Vec<Row> {
    let bad = |name, source, sent| row(name, source, sent, Closed(DECOMPRESSION));
    let heard = |name, source, sent| row(name, source, sent, Heard("GET", "/outer", ""));
    // 17 is `:method GET`, 23 `:scheme https`, 0 the name `:authority`, 1 `:path`.
    let indexed = [
        &[0, 0, 0xc0 | 17, 0xc0 | 23, 0x50, 13][..],
        b"app.localhost",
        &[0x51, 6],
        b"/outer",
    ]
    .concat();
    let never = [
        &[0, 0, 0xc0 | 17, 0xc0 | 23, 0x70, 13][..],
        b"app.localhost",
        &[0x71, 6],
        b"/outer",
    ]
    .concat();
    // `/outer` in the code of RFC 7541 appendix B, and ones.
    let code = [
        &[0, 0, 0xc0 | 17, 0xc0 | 23, 0x50, 13][..],
        b"app.localhost",
        &[0x51, 0x85, 0x60, 0xf6, 0xa4, 0xb6, 0x7f],
    ]
    .concat();
    // A field `x` of a value that is coded.
    let coded = |bytes: &[u8]| {
        let length = 0x80 | u8::try_from(bytes.len()).unwrap();
        outer(&[&[0x21, b'x', length][..], bytes].concat())
    };
    let ones = |count| [&[0x3f, 0xff][..], &vec![0xff; count], &[0x7f]].concat();
    vec![
        heard("fields of the static table", "RFC 9204 4.5.2", of(&indexed)),
        heard(
            "fields that are never to be indexed",
            "RFC 9204 4.5.4",
            of(&never),
        ),
        heard("a value in Huffman's code", "RFC 9204 4.1.2", of(&code)),
        heard(
            "a value of nothing in Huffman's code",
            "RFC 9204 4.1.2",
            coded(&[]),
        ),
        bad(
            "an index behind the static table",
            "RFC 9204 3.1",
            outer(&[0xff, 36]),
        ),
        bad(
            "a name behind the static table",
            "RFC 9204 3.1",
            outer(&[0x5f, 84, 1, b'y']),
        ),
        bad(
            "an insert count",
            "RFC 9204 4.5.1.1",
            of(&[&[1, 0][..], &indexed[2..]].concat()),
        ),
        bad(
            "a large insert count",
            "RFC 9204 4.5.1.1",
            of(&[&[0xff, 0xff, 0x7f, 0][..], &indexed[2..]].concat()),
        ),
        bad(
            "a base below nothing",
            "RFC 9204 4.5.1.2",
            of(&[&[0, 0x80][..], &indexed[2..]].concat()),
        ),
        bad(
            "a field of the dynamic table",
            "RFC 9204 4.5.2",
            outer(&[0x80]),
        ),
        bad("a field behind the base", "RFC 9204 4.5.3", outer(&[0x10])),
        bad(
            "a name of the dynamic table",
            "RFC 9204 4.5.4",
            outer(&[0x40, 1, b'y']),
        ),
        bad(
            "a name behind the base",
            "RFC 9204 4.5.5",
            outer(&[0x00, 1, b'y']),
        ),
        bad(
            "a section that ends in its prefix",
            "RFC 9204 4.5.1",
            of(&[0]),
        ),
        bad("a section of nothing", "RFC 9204 4.5.1", of(&[])),
        bad(
            "a section that ends in an integer",
            "RFC 9204 4.1.1",
            outer(&[0xff]),
        ),
        bad(
            "a section that ends in a string",
            "RFC 9204 4.1.2",
            outer(&[0x21, b'x', 5, b'y']),
        ),
        bad(
            "a section that ends before a value",
            "RFC 9204 4.5.6",
            outer(&[0x21, b'x']),
        ),
        bad(
            "an index above 62 bits",
            "RFC 9204 4.1.1",
            outer(&ones(12)[1..]),
        ),
        bad(
            "a length above 62 bits",
            "RFC 9204 4.1.1",
            outer(&[&[0x21, b'x', 0x7f][..], &[0xff; 12], &[0x7f]].concat()),
        ),
        bad(
            "a length of 2^62 - 1",
            "RFC 9204 4.1.1",
            outer(&[
                0x21, b'x', 0x7f, 0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f,
            ]),
        ),
        bad(
            "an integer of endless zeros",
            "RFC 9204 4.1.1",
            outer(&[&[0x21, b'x', 0x7f][..], &[0x80; 40], &[0]].concat()),
        ),
        bad(
            "padding of zeros in Huffman's code",
            "RFC 7541 5.2",
            coded(&[0x18]),
        ),
        bad(
            "padding of eight bits",
            "RFC 7541 5.2",
            coded(&[0x1f, 0xff]),
        ),
        bad("padding alone", "RFC 7541 5.2", coded(&[0xff])),
        bad(
            "the end of a string in Huffman's code",
            "RFC 7541 5.2",
            coded(&[0xff, 0xff, 0xff, 0xfc]),
        ),
        bad(
            "a character that is cut",
            "RFC 7541 5.2",
            coded(&[0xff, 0xfe]),
        ),
    ]
}

fn instructions() -> Vec<Row> {
    let says = |name, source, bytes: &[u8], expected| {
        with(
            name,
            source,
            vec![one_way(ENCODER, bytes, End::Open)],
            expected,
        )
    };
    let hears = |name, source, bytes: &[u8], expected| {
        with(
            name,
            source,
            vec![one_way(DECODER, bytes, End::Open)],
            expected,
        )
    };
    let (encoder, decoder) = (Closed(ENCODER_STREAM), Closed(DECODER_STREAM));
    vec![
        says("a table of no room", "RFC 9204 4.3.1", &[0x20], Fine),
        says(
            "a table of more room than there is",
            "RFC 9204 4.3.1",
            &[0x21],
            encoder,
        ),
        says(
            "a table of 2^62 bytes",
            "RFC 9204 4.3.1",
            &[&[0x3f][..], &[0xff; 8], &[0x7f]].concat(),
            encoder,
        ),
        says(
            "an insert of a known name",
            "RFC 9204 4.3.2",
            &[0xc0, 1, b'a'],
            encoder,
        ),
        says(
            "an insert of an unknown name",
            "RFC 9204 4.3.3",
            &[0x41, b'x', 1, b'y'],
            encoder,
        ),
        says("a duplicate of nothing", "RFC 9204 4.3.4", &[0x00], encoder),
        hears(
            "a stream that was given up",
            "RFC 9204 4.4.2",
            &[0x44],
            Fine,
        ),
        hears(
            "a stream of a large number that was given up",
            "RFC 9204 4.4.2",
            &[0x7f, 0xff, 0xff, 0x01],
            Fine,
        ),
        hears(
            "an acknowledgement of nothing",
            "RFC 9204 4.4.1",
            &[0x80],
            decoder,
        ),
        hears(
            "an increment of nothing",
            "RFC 9204 4.4.3",
            &[0x00],
            decoder,
        ),
        hears(
            "an increment above what was sent",
            "RFC 9204 4.4.3",
            &[0x01],
            decoder,
        ),
        hears(
            "a number above 62 bits",
            "RFC 9204 4.1.1",
            &[&[0x7f][..], &[0xff; 12]].concat(),
            decoder,
        ),
    ]
}
