//! What comes in on a stream, as the benches read it.

use adit_shared::wire::frame;
use bytes::{Bytes, BytesMut};

use crate::heads;

/// A whole request on its stream: the head, `data` in frames of `frame` bytes, and the end.
pub fn stream(data: usize, frame: usize) -> Bytes {
    let mut to = BytesMut::new();
    frame::put_request(&mut to, &heads::request()).unwrap();
    let data = vec![b'd'; data];
    for piece in data.chunks(frame) {
        frame::put_data_header(&mut to, piece.len());
        to.extend_from_slice(piece);
    }
    frame::put_end(&mut to);
    to.freeze()
}

/// `bytes` as a network would cut them.
pub fn chunks(bytes: &Bytes, size: usize) -> Vec<Bytes> {
    let starts = (0..bytes.len()).step_by(size);
    starts
        .map(|at| bytes.slice(at..bytes.len().min(at + size)))
        .collect()
}

/// Reads a whole stream and says how many bytes of data it had.
pub fn read(side: frame::Side, chunks: &[Bytes]) -> usize {
    let mut reader = frame::Reader::new(side);
    let mut data = 0;
    for chunk in chunks {
        reader.push(chunk.clone());
        while let Some(part) = reader.next_part().unwrap() {
            if let frame::Part::Data(bytes) = part {
                data += bytes.len();
            }
        }
    }
    assert!(reader.is_done(), "a whole message");
    data
}
