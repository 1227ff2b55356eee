//! WebSocket frames (RFC 6455 section 5), as far as an echo needs them.

use crate::failure::Failure;
use crate::sizes::Body;

/// A message as a client must send it: in one frame, each byte combined with one of four.
#[derive(Debug)]
pub(super) struct Masked<'a> {
    body: &'a Body,
    mask: [u8; 4],
    at: u64,
    has_begun: bool,
}

impl<'a> Masked<'a> {
    pub(super) fn new(body: &'a Body, chance: u64) -> Self {
        Self {
            body,
            mask: (chance as u32).to_be_bytes(),
            at: 0,
            has_begun: false,
        }
    }

    /// Appends what comes next, if anything, and says how much of the message that was.
    pub(super) fn write(&mut self, to: &mut Vec<u8>) -> u64 {
        if !self.has_begun {
            self.has_begun = true;
            header(BINARY, self.body.len(), self.mask, to);
        }
        let before = self.at;
        while self.at < self.body.len() && self.at - before < PIECE {
            let piece = self.body.peek(self.at);
            let piece = &piece[..piece.len().min(PIECE as usize)];
            let turn = (self.at % 4) as usize;
            let mut mask = self.mask;
            mask.rotate_left(turn);
            // Four bytes at a time, which the compiler makes many.
            let from = to.len();
            to.extend_from_slice(piece);
            for bytes in to[from..].chunks_mut(4) {
                for (byte, mask) in bytes.iter_mut().zip(mask) {
                    *byte ^= mask;
                }
            }
            self.at += piece.len() as u64;
        }
        self.at - before
    }
}

/// Makes `to` the answer to a ping.
pub(super) fn pong(payload: &[u8], to: &mut Vec<u8>) {
    to.clear();
    // Any mask will do; this one leaves the payload as it is.
    header(PONG, payload.len() as u64, [0; 4], to);
    to.extend_from_slice(payload);
}

/// The header of a frame that is a whole message.
fn header(opcode: u8, len: u64, mask: [u8; 4], to: &mut Vec<u8>) {
    to.push(0x80 | opcode);
    match len {
        0..=125 => to.push(0x80 | len as u8),
        126..=0xffff => {
            to.push(0x80 | 126);
            to.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            to.push(0x80 | 127);
            to.extend_from_slice(&len.to_be_bytes());
        }
    }
    to.extend_from_slice(&mask);
}

/// A frame that a server sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Frame {
    pub(super) opcode: u8,
    /// Whether the message ends with it.
    pub(super) is_last: bool,
    /// How much of its payload is still to come.
    pub(super) left: u64,
}

impl Frame {
    /// Reads a header, and says how long it is; none while it is not whole.
    pub(super) fn parse(bytes: &[u8], is_within: bool) -> Result<Option<(usize, Self)>, Failure> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let (len, left) = match second {
            // A server does not mask.
            0x80.. => return Err(Failure::Protocol),
            126 => match rest.first_chunk() {
                Some(len) => (4, u64::from(u16::from_be_bytes(*len))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(len) => (10, u64::from_be_bytes(*len)),
                None => return Ok(None),
            },
            len => (2, u64::from(*len)),
        };
        let frame = Self {
            opcode: first & 0x0f,
            is_last: first & 0x80 != 0,
            left,
        };
        let fits = match frame.opcode {
            CONTINUED => true,
            TEXT | BINARY => !is_within,
            CLOSE | PING | PONG => frame.is_last && len == 2,
            _ => false,
        };
        if !fits || first & 0x70 != 0 {
            return Err(Failure::Protocol);
        }
        Ok(Some((len, frame)))
    }

    pub(super) fn is_control(self) -> bool {
        self.opcode >= CLOSE
    }
}

const CONTINUED: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
const PONG: u8 = 10;
/// The part of a large message that is masked at once; a multiple of four.
const PIECE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::{Bodies, Dice, Sizes};

    #[test]
    fn a_masked_message_is_the_message() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 600_001] {
            let body = Bodies::noise(Sizes::Fixed(len)).draw(&mut Dice::new(5));
            let mut message = Masked::new(&body, 0x0102_0304);
            let mut frame = Vec::new();
            while message.write(&mut frame) > 0 {}
            let header = match len {
                0..126 => 6,
                126..65_536 => 8,
                _ => 14,
            };
            let mut payload = frame.split_off(header);
            assert_eq!(frame[header - 4..], [1, 2, 3, 4]);
            for (byte, mask) in payload.iter_mut().zip([1, 2, 3, 4].into_iter().cycle()) {
                *byte ^= mask;
            }
            assert_eq!(payload.len() as u64, len);
            let mut at = 0;
            while at < len {
                let piece = body.peek(at);
                assert!(payload[at as usize..].starts_with(piece));
                at += piece.len() as u64;
            }
        }
    }

    #[test]
    fn frames_that_no_server_may_send_are_refused() {
        let parse = |bytes: &[u8]| Frame::parse(bytes, false);
        for bytes in [[0x82, 0x81], [0xc2, 1], [0x83, 1], [0x09, 0], [0x89, 126]] {
            let mut whole = bytes.to_vec();
            whole.extend([0; 8]);
            assert_eq!(parse(&whole), Err(Failure::Protocol), "{bytes:x?}");
        }
        let echo = Frame {
            opcode: BINARY,
            is_last: true,
            left: 300,
        };
        assert_eq!(parse(&[0x82, 126, 1, 44]), Ok(Some((4, echo))));
        assert_eq!(parse(&[0x82, 126, 1]), Ok(None));
        assert_eq!(Frame::parse(&[0x82, 0], true), Err(Failure::Protocol));
    }
}
