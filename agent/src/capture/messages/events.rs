//! Server-sent events in a body: what stands between two empty lines.

use super::{Kind, MAX_PREVIEW, Message};
use crate::capture::tap::Side;

/// Finds events, whatever pieces the bytes come in.
#[derive(Debug, Default)]
pub struct Scanner {
    start: Vec<u8>,
    size: u64,
    /// The last byte that is no carriage return ended a line.
    at_line: bool,
    /// The event has a line that is neither empty nor a comment.
    has_field: bool,
}

impl Scanner {
    /// Looks at the next bytes, and tells each event that ends in them.
    pub fn scan(&mut self, bytes: &[u8], mut tell: impl FnMut(Message)) {
        for &byte in bytes {
            match byte {
                b'\n' if self.at_line || self.size == 0 => {
                    self.end(&mut tell);
                    continue;
                }
                b'\n' => self.at_line = true,
                b'\r' if self.at_line || self.size == 0 => continue,
                b'\r' => {}
                _ => {
                    if (self.at_line || self.size == 0) && byte != b':' {
                        self.has_field = true;
                    }
                    self.at_line = false;
                }
            }
            self.size += 1;
            if self.start.len() < MAX_PREVIEW {
                self.start.push(byte);
            }
        }
    }

    fn end(&mut self, tell: &mut impl FnMut(Message)) {
        let start = std::mem::take(&mut self.start);
        let size = std::mem::take(&mut self.size);
        self.at_line = false;
        if std::mem::take(&mut self.has_field) {
            tell(Message {
                side: Side::Origin,
                kind: Kind::Event,
                size,
                start,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str, pieces: usize) -> Vec<String> {
        let mut scanner = Scanner::default();
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(pieces) {
            scanner.scan(piece, |event| {
                assert_eq!(event.size, event.start.len() as u64);
                found.push(String::from_utf8(event.start).unwrap());
            });
        }
        found
    }

    #[test]
    fn events_end_at_empty_lines_and_comments_are_none() {
        let text =
            "\n: hello\n\nevent: a\ndata: 1\n\n\ndata: 2\r\n\r\n: ping\n\n:x\ndata: 3\n\ndata: cut";
        for pieces in 1..20 {
            assert_eq!(
                events(text, pieces),
                ["event: a\ndata: 1\n", "data: 2\r\n", ":x\ndata: 3\n"],
                "{pieces}"
            );
        }
    }

    #[test]
    fn a_long_event_keeps_its_beginning() {
        let mut scanner = Scanner::default();
        let mut found = Vec::new();
        scanner.scan(b"data: ", |_| {});
        scanner.scan(&vec![b'x'; 100_000], |_| {});
        scanner.scan(b"\n\n", |event| found.push((event.size, event.start.len())));
        assert_eq!(found, [(100_007, MAX_PREVIEW)]);
    }
}
