//! The messages of a WebSocket are the same however the bytes are cut, and take no more memory than they may.

use adit_agent::capture::Side;
use adit_agent::capture::messages::websocket::Scanner;
use adit_agent::capture::messages::{MAX_PREVIEW, Message};

pub(crate) fn check(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(cut % 32) + 1));
    let sizes = whole.iter().map(|message| message.size);
    assert!(sizes.sum::<u64>() <= bytes.len() as u64);
    assert!(whole.len() <= bytes.len() / 2);
    for message in &whole {
        let shown = usize::try_from(message.size).map_or(MAX_PREVIEW, |size| size.min(MAX_PREVIEW));
        assert_eq!(message.start.len(), shown);
    }
}

fn read(bytes: &[u8], piece: usize) -> Vec<Message> {
    let mut scanner = Scanner::new(Side::Visitor);
    let mut found = Vec::new();
    for piece in bytes.chunks(piece) {
        scanner.scan(piece, |message| found.push(message));
    }
    found
}
