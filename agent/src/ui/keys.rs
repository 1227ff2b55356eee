//! Keys pressed on the terminal, one at a time and unseen.
//!
//! The terminal is ours only while we are in its foreground: otherwise nothing is read, and nothing of it is
//! changed. What the terminal does with Ctrl-C and Ctrl-Z stays as it is, and it is given back as it was
//! whatever ends the agent. On systems without such terminals there are no keys.

#[cfg(not(unix))]
#[path = "keys/no_terminal.rs"]
mod terminal;
#[cfg(unix)]
mod terminal;

pub(super) use terminal::{Back, Keys};

/// What was pressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(not(any(unix, test)), expect(dead_code, reason = "nothing is pressed"))]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    /// Ctrl-U: takes the whole line away.
    Kill,
}

/// Makes keys of what a terminal sends.
#[cfg(any(unix, test))]
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a character.
    rest: Vec<u8>,
}

#[cfg(any(unix, test))]
impl Decoder {
    /// The keys in `bytes`, which came at once. Keys that nothing is done with are left out: arrows and the
    /// like, which are sent as an escape with more behind it.
    pub(super) fn keys(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.rest.extend_from_slice(bytes);
        let mut keys = Vec::new();
        let mut at = 0;
        while let Some(first) = self.rest.get(at) {
            let (key, length) = match *first {
                b'\r' | b'\n' => (Some(Key::Enter), 1),
                0x7f | 0x08 => (Some(Key::Backspace), 1),
                0x15 => (Some(Key::Kill), 1),
                0x1b => match sequence(&self.rest[at..]) {
                    0 => (Some(Key::Escape), 1),
                    length => (None, length),
                },
                0x00..0x20 => (None, 1),
                _ => match character(&self.rest[at..]) {
                    Some((char, length)) => (char.map(Key::Char), length),
                    None => break,
                },
            };
            keys.extend(key);
            at += length;
        }
        self.rest.drain(..at);
        keys
    }
}

/// How long the sequence is that an escape begins; 0 when it stands alone.
#[cfg(any(unix, test))]
fn sequence(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        Some(b'[') => {
            let end = bytes[2..].iter().position(|b| (0x40..0x7f).contains(b));
            end.map_or(bytes.len(), |end| 2 + end + 1)
        }
        Some(b'O') => bytes.len().min(3),
        // Alt and another key.
        Some(0x21..0x7f) => 2,
        _ => 0,
    }
}

/// The first character and its length; none when the rest of it is missing.
#[cfg(any(unix, test))]
fn character(bytes: &[u8]) -> Option<(Option<char>, usize)> {
    let head = &bytes[..bytes.len().min(4)];
    let valid = match str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(error) => return error.error_len().map(|length| (None, length)),
    };
    let char = valid.chars().next()?;
    Some((Some(char), char.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_however_they_are_cut() {
        let mut decoder = Decoder::default();
        let all = "rä/\x7f\r\x15".as_bytes();
        let keys = [
            Key::Char('r'),
            Key::Char('ä'),
            Key::Char('/'),
            Key::Backspace,
            Key::Enter,
            Key::Kill,
        ];
        assert_eq!(decoder.keys(all), keys);
        let single: Vec<_> = all.iter().flat_map(|b| decoder.keys(&[*b])).collect();
        assert_eq!(single, keys);
    }

    #[test]
    fn an_escape_is_one_only_when_it_stands_alone() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.keys(b"\x1b"), [Key::Escape]);
        assert_eq!(decoder.keys(b"\x1b\x1b"), [Key::Escape, Key::Escape]);
        // Up, F1, Delete, Alt-r: each with a key behind it.
        for sequence in ["\x1b[A", "\x1bOP", "\x1b[3~", "\x1br"] {
            let keys = decoder.keys(format!("{sequence}q").as_bytes());
            assert_eq!(keys, [Key::Char('q')], "{sequence:?}");
        }
        assert_eq!(decoder.keys(b"\x1b["), []);
        assert_eq!(decoder.keys(b"\xff\x01q"), [Key::Char('q')]);
    }
}
