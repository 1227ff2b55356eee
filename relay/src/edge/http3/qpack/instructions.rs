//! What the visitor's encoder and decoder may say to ours on streams of their own (RFC 9204 section 4): nearly
//! nothing, since neither end has a dynamic table for the other.

use super::Malformed;

/// Looks at bytes of the encoder's stream. It may only say again that the table has no room.
///
/// # Errors
///
/// [`Malformed`].
pub fn encoder(bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.iter().all(|byte| *byte == NO_ROOM) {
        Ok(())
    } else {
        Err(Malformed("the encoder uses a table that has no room"))
    }
}

/// Looks at the decoder's stream. It may only say which streams it has given up.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes of an instruction that came; 0 between two.
    within: u8,
}

impl Decoder {
    /// Looks at the next bytes of the stream.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        for byte in bytes {
            match (self.within, byte) {
                (0, 0x7f) => self.within = 1,
                (0, 0x40..0x7f) => {}
                (0, _) => return Err(Malformed("the decoder speaks of what was never inserted")),
                (1..LONGEST, 0x80..) => self.within += 1,
                (1..=LONGEST, ..0x80) => self.within = 0,
                _ => return Err(Malformed("an integer is too large")),
            }
        }
        Ok(())
    }
}

/// Set Dynamic Table Capacity to zero.
const NO_ROOM: u8 = 0x20;
/// Bytes of a number of 62 bits.
const LONGEST: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_has_nothing_to_insert() {
        assert_eq!(encoder(&[]), Ok(()));
        assert_eq!(encoder(&[0x20, 0x20]), Ok(()));
        // More room, an insert by either name, a duplicate.
        for bad in [&[0x21][..], &[0x3f, 0x81], &[0xc1, 0], &[0x41, 0], &[0x00]] {
            assert!(encoder(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_decoder_may_cancel_streams_and_no_more() {
        let all = [0x40, 0x44, 0x7f, 0x81, 0x01, 0x7f, 0x00];
        for cut in 0..all.len() {
            let mut decoder = Decoder::default();
            assert_eq!(decoder.read(&all[..cut]), Ok(()));
            assert_eq!(decoder.read(&all[cut..]), Ok(()));
        }
        // An acknowledgement, an increment, and an integer without an end.
        for bad in [
            &[0x80][..],
            &[0x01],
            &[0x00],
            &[[0x7f; 1], [0xff; 1]].concat().repeat(9),
        ] {
            assert!(Decoder::default().read(bad).is_err(), "{bad:?}");
        }
        let endless = [&[0x7f][..], &[0xff; 10]].concat();
        assert!(Decoder::default().read(&endless).is_err());
    }
}
