//! Server-sent events, counted as they come in.

/// Where in a stream of events the reader is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Events {
    /// Bytes of the line so far, as far as that matters.
    line: usize,
    /// Whether these are the beginning of `data:`.
    is_data: bool,
    /// Whether the event has data.
    has_data: bool,
    after_cr: bool,
}

impl Events {
    /// How many events end in `bytes`. One without data, such as a comment, is none.
    pub(super) fn read(&mut self, bytes: &[u8]) -> usize {
        let mut ended = 0;
        for byte in bytes {
            let is_second_half = *byte == b'\n' && self.after_cr;
            self.after_cr = *byte == b'\r';
            match byte {
                _ if is_second_half => {}
                b'\r' | b'\n' => ended += usize::from(self.end_line()),
                _ => self.read_field(*byte),
            }
        }
        ended
    }

    fn read_field(&mut self, byte: u8) {
        if let Some(expected) = DATA.get(self.line) {
            self.is_data = (self.line == 0 || self.is_data) && byte == *expected;
            self.line += 1;
        }
    }

    /// Whether an event ends with this line.
    fn end_line(&mut self) -> bool {
        let ends = self.line == 0 && self.has_data;
        // The colon may be missing.
        let is_data = self.is_data && self.line >= DATA.len() - 1;
        self.has_data = self.line > 0 && (self.has_data || is_data);
        self.line = 0;
        self.is_data = false;
        ends
    }
}

const DATA: &[u8] = b"data:";

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str, piece: usize) -> usize {
        let mut events = Events::default();
        text.as_bytes()
            .chunks(piece)
            .map(|bytes| events.read(bytes))
            .sum()
    }

    #[test]
    fn an_event_ends_at_an_empty_line_and_has_data() {
        for (text, expected) in [
            ("data: a\n\n", 1),
            ("data: a\r\n\r\ndata:b\r\rdata\n\n", 3),
            (": comment\n\n", 0),
            ("event: x\nid: 1\n\n", 0),
            ("event: x\ndata: 1\ndata: 2\nid: 3\n\n\n\n", 1),
            ("database: 1\n\ndat\n\nretry: 1\n\n", 0),
            ("data: cut\n", 0),
            ("xdata: a\n\n", 0),
        ] {
            for piece in 1..=text.len() {
                assert_eq!(count(text, piece), expected, "{text:?} by {piece}");
            }
        }
    }
}
