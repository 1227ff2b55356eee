//! An exchange stream says the same, or is refused in the same way, however it is cut into chunks;
//! and what it says is written and read again.
//!
//! The first byte of the input is the side (bit 0) and how the rest is cut (the other bits).

use adit_shared::wire::frame::{
    FrameError, Part, Reader, Side, put_data_header, put_end, put_request, put_response,
    put_trailers,
};
use bytes::{BufMut as _, Bytes, BytesMut};

pub(crate) fn check(data: &[u8]) {
    let Some((&how, stream)) = data.split_first() else {
        return;
    };
    let side = match how & 1 {
        0 => Side::Request,
        _ => Side::Response,
    };
    let piece = usize::from(how >> 1) + 1;
    let read = Read::all(side, stream, stream.len().max(1));
    assert_eq!(Read::all(side, stream, piece), read);

    let mut written = BytesMut::new();
    for part in &read.parts {
        write(&mut written, part);
    }
    if let End::Raw(rest) = &read.end {
        written.put_slice(rest);
    }
    let again = Read::all(side, &written, piece);
    assert_eq!(again.parts, read.parts);
    if !matches!(read.end, End::Failed(_)) {
        assert_eq!(again.end, read.end);
    }
}

#[derive(Debug, PartialEq)]
struct Read {
    parts: Vec<Part>,
    end: End,
}

#[derive(Debug, PartialEq)]
enum End {
    Whole,
    /// After a 101.
    Raw(Vec<u8>),
    Failed(FrameError),
}

impl Read {
    fn all(side: Side, stream: &[u8], piece: usize) -> Self {
        let mut reader = Reader::new(side);
        let mut parts = Vec::new();
        let mut taken = 0;
        for chunk in stream.chunks(piece) {
            reader.push(Bytes::copy_from_slice(chunk));
            taken += chunk.len();
            loop {
                let part = match reader.next_part() {
                    Ok(None) => break,
                    Ok(Some(part)) => part,
                    Err(error) => {
                        let end = End::Failed(error);
                        return Self { parts, end };
                    }
                };
                let raw = matches!(&part, Part::Response(head) if head.status == 101);
                join(&mut parts, part);
                if raw {
                    let rest = [&reader.into_rest()[..], &stream[taken..]].concat();
                    let end = End::Raw(rest);
                    return Self { parts, end };
                }
            }
        }
        let end = match reader.is_done() {
            true => End::Whole,
            false => End::Failed(FrameError::Truncated),
        };
        Self { parts, end }
    }
}

/// Adds a part; data joins the data before it.
fn join(parts: &mut Vec<Part>, part: Part) {
    match (parts.last_mut(), part) {
        (Some(Part::Data(before)), Part::Data(data)) => {
            *before = [&before[..], &data[..]].concat().into();
        }
        (_, part) => parts.push(part),
    }
}

fn write(to: &mut BytesMut, part: &Part) {
    let written = match part {
        Part::Request(head) => put_request(to, head),
        Part::Interim(head) | Part::Response(head) => put_response(to, head),
        Part::Trailers(fields) => put_trailers(to, fields),
        Part::Data(data) => {
            put_data_header(to, data.len());
            to.put_slice(data);
            Ok(())
        }
        Part::End => {
            put_end(to);
            Ok(())
        }
    };
    written.expect("what was read is within the limits");
}
