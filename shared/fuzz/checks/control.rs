//! The control stream says the same, or is refused in the same way, however it is cut into chunks;
//! and what it says is written in no more bytes and read again.
//!
//! The first byte of the input is how the rest is cut.

use adit_shared::wire::control::Message;
use adit_shared::wire::varint::Malformed;
use bytes::BytesMut;

pub(crate) fn check(data: &[u8]) {
    let Some((&how, stream)) = data.split_first() else {
        return;
    };
    let piece = usize::from(how) + 1;
    let (messages, end) = read(stream, stream.len().max(1));
    assert_eq!(read(stream, piece), (messages.clone(), end));

    let mut written = BytesMut::new();
    for message in &messages {
        message
            .encode(&mut written)
            .expect("what was read is within the limits");
    }
    assert!(written.len() <= stream.len());
    assert_eq!(read(&written, piece), (messages, Malformed::Incomplete));
}

/// All messages, and why there are no more.
fn read(stream: &[u8], piece: usize) -> (Vec<Message>, Malformed) {
    let mut messages = Vec::new();
    let mut bytes = BytesMut::new();
    for chunk in stream.chunks(piece) {
        bytes.extend_from_slice(chunk);
        loop {
            let before = bytes.len();
            match Message::decode(&mut bytes) {
                Ok(message) => messages.push(message),
                Err(Malformed::Incomplete) => break,
                Err(invalid) => return (messages, invalid),
            }
            assert!(bytes.len() < before);
        }
    }
    (messages, Malformed::Incomplete)
}
