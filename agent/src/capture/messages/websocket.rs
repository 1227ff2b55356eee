//! WebSocket messages in the bytes of one direction (RFC 6455 section 5.2).
//!
//! It only looks: what is no WebSocket is carried all the same, and looked at no further.

use super::{Kind, MAX_PREVIEW, Message};
use crate::capture::tap::Side;

/// Finds messages, whatever pieces the bytes come in.
#[derive(Debug)]
pub struct Scanner {
    side: Side,
    /// What is there of a frame's header.
    header: Vec<u8>,
    frame: Option<Frame>,
    /// The message whose first frames have come.
    message: Option<Message>,
    is_lost: bool,
}

#[derive(Debug)]
struct Frame {
    opcode: u8,
    is_last: bool,
    mask: Option<[u8; 4]>,
    at: u64,
    left: u64,
    /// A control frame may come between the frames of a message.
    control: Option<Message>,
}

impl Scanner {
    /// For what `side` sends.
    pub fn new(side: Side) -> Self {
        Self {
            side,
            header: Vec::new(),
            frame: None,
            message: None,
            is_lost: false,
        }
    }

    /// Looks at the next bytes, and tells each message that ends in them.
    pub fn scan(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Message)) {
        while !bytes.is_empty() && !self.is_lost {
            let Some(frame) = &mut self.frame else {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                self.begin(&mut tell);
                continue;
            };
            let len = usize::try_from(frame.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (payload, rest) = bytes.split_at(len);
            bytes = rest;
            let message = frame.control.as_mut().or(self.message.as_mut());
            if let Some(message) = message {
                message.size += len as u64;
                let room = MAX_PREVIEW.saturating_sub(message.start.len());
                let (mask, at) = (frame.mask, frame.at);
                let shown = payload.iter().take(room).enumerate();
                message.start.extend(shown.map(|(i, byte)| match mask {
                    Some(mask) => byte ^ mask[((at + i as u64) % 4) as usize],
                    None => *byte,
                }));
            }
            frame.at += len as u64;
            frame.left -= len as u64;
            if frame.left == 0 {
                self.end(&mut tell);
            }
        }
    }

    /// Begins a frame when its header is whole.
    fn begin(&mut self, tell: &mut impl FnMut(Message)) {
        let header = &self.header;
        let [first, second, ..] = header[..] else {
            return;
        };
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let is_masked = second & 0x80 != 0;
        let whole = 2 + extended + usize::from(is_masked) * 4;
        if header.len() < whole {
            return;
        }
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
        };
        let left = match extended {
            0 => u64::from(second & 0x7f),
            _ => number(&header[2..2 + extended]),
        };
        let mask = is_masked.then(|| [0, 1, 2, 3].map(|at| header[whole - 4 + at]));
        let opcode = first & 0x0f;
        let kind = match opcode {
            0x0 => None,
            _ if first & 0x40 != 0 => Some(Kind::Compressed),
            0x1 => Some(Kind::Text),
            0x2 => Some(Kind::Binary),
            0x8 => Some(Kind::Close),
            0x9 => Some(Kind::Ping),
            0xa => Some(Kind::Pong),
            _ => {
                self.is_lost = true;
                return;
            }
        };
        let message = kind.map(|kind| Message {
            side: self.side,
            kind,
            size: 0,
            start: Vec::new(),
        });
        let is_control = opcode & 0x8 != 0;
        let control = if is_control {
            message
        } else {
            if message.is_some() {
                self.message = message;
            }
            None
        };
        self.header.clear();
        self.frame = Some(Frame {
            opcode,
            is_last: first & 0x80 != 0,
            mask,
            at: 0,
            left,
            control,
        });
        if left == 0 {
            self.end(tell);
        }
    }

    fn end(&mut self, tell: &mut impl FnMut(Message)) {
        let Some(frame) = self.frame.take() else {
            return;
        };
        let ended = match frame.control {
            Some(message) => Some(message),
            None if frame.is_last => self.message.take(),
            None => None,
        };
        // What was sent after a Close frame is nobody's.
        self.is_lost |= frame.opcode == 0x8;
        if let Some(message) = ended {
            tell(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages(bytes: &[u8], pieces: usize) -> Vec<(Kind, u64, String)> {
        let mut scanner = Scanner::new(Side::Visitor);
        let mut found = Vec::new();
        for piece in bytes.chunks(pieces.max(1)) {
            scanner.scan(piece, |m| {
                found.push((
                    m.kind,
                    m.size,
                    String::from_utf8_lossy(&m.start).into_owned(),
                ));
            });
        }
        found
    }

    #[test]
    fn the_examples_of_rfc_6455_section_5_7() {
        let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        let masked = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        let fragmented = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
        let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        let between = [&fragmented[..5], &ping, &fragmented[5..]].concat();
        let hello = |kind| (kind, 5, "Hello".to_owned());
        for pieces in 1..8 {
            assert_eq!(messages(&unmasked, pieces), [hello(Kind::Text)]);
            assert_eq!(messages(&masked, pieces), [hello(Kind::Text)]);
            assert_eq!(messages(&fragmented, pieces), [hello(Kind::Text)]);
            assert_eq!(
                messages(&between, pieces),
                [hello(Kind::Ping), hello(Kind::Text)]
            );
        }
    }

    #[test]
    fn a_long_message_is_counted_and_its_beginning_kept() {
        let mut bytes = vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0];
        bytes.resize(10 + (1 << 16), b'x');
        bytes.extend([0xc1, 0x01, 0x2a, 0x88, 0x02, 0x03, 0xe8, 0x81]);
        let found = messages(&bytes, 1000);
        assert_eq!(found.len(), 3);
        assert_eq!(
            (found[0].0, found[0].1, found[0].2.len()),
            (Kind::Binary, 1 << 16, MAX_PREVIEW)
        );
        assert_eq!(found[1].0, Kind::Compressed);
        assert_eq!((found[2].0, found[2].1), (Kind::Close, 2));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_the_same_messages(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            pieces in 1usize..50,
        ) {
            prop_assert_eq!(messages(&bytes, pieces), messages(&bytes, bytes.len()));
        }
    }
}
