//! Server-sent events are the same however the bytes are cut, and are those that are between empty lines.

use adit_agent::capture::messages::events::Scanner;
use adit_agent::capture::messages::{MAX_PREVIEW, Message};

pub(crate) fn check(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(cut % 32) + 1));
    for event in &whole {
        let shown = usize::try_from(event.size).map_or(MAX_PREVIEW, |size| size.min(MAX_PREVIEW));
        assert_eq!(event.start.len(), shown);
    }
    // Without carriage returns it is easily said what they are.
    if bytes.contains(&b'\r') || bytes.len() > MAX_PREVIEW {
        return;
    }
    let mut expected = Vec::new();
    let mut event: Vec<&[u8]> = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line {
            b"\n" => {
                if event.iter().any(|line| line[0] != b':') {
                    expected.push(event.concat());
                }
                event.clear();
            }
            line => event.push(line),
        }
    }
    let found: Vec<_> = whole.into_iter().map(|event| event.start).collect();
    assert_eq!(found, expected);
}

fn read(bytes: &[u8], piece: usize) -> Vec<Message> {
    let mut scanner = Scanner::default();
    let mut found = Vec::new();
    for piece in bytes.chunks(piece) {
        scanner.scan(piece, |message| found.push(message));
    }
    found
}
