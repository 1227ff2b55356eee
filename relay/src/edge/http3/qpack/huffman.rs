//! The Huffman code of header text (RFC 7541 appendix B), read only: what we send is not compressed, which
//! costs few bytes and no time.
//!
//! The code is a canonical one: how long each symbol's code is says all. Shorter codes come before longer
//! ones, and codes of one length are in the order of their symbols.

use super::Malformed;

/// Adds what `from` stands for to `to`, of which at most `most` bytes are wanted.
///
/// # Errors
///
/// [`Malformed`] for what no encoder may send; `Ok(false)` when it would be more than `most` bytes.
pub(super) fn decode(from: &[u8], to: &mut Vec<u8>, most: usize) -> Result<bool, Malformed> {
    let end = to.len() + most;
    // Bits that were not decoded yet, the first of them highest.
    let (mut bits, mut held) = (0_u64, 0_u32);
    let mut left = from.iter();
    loop {
        while held <= 56 {
            let Some(byte) = left.next() else { break };
            bits |= u64::from(*byte) << (56 - held);
            held += 8;
        }
        let class = class(bits >> 32);
        if class.bits > held {
            // What is left is the beginning of the end of string, and less than a byte
            // (RFC 7541 section 5.2).
            let padding = !(u64::MAX >> held);
            return if held < 8 && bits == padding {
                Ok(true)
            } else {
                Err(Malformed("what pads a string is no padding"))
            };
        }
        let place = ((bits >> 32) - class.first) >> (32 - class.bits);
        let symbol = ORDER[class.before + place as usize];
        if symbol == END {
            return Err(Malformed("a string has its end within"));
        }
        if to.len() == end {
            return Ok(false);
        }
        to.push(symbol as u8);
        bits <<= class.bits;
        held -= class.bits;
    }
}

/// The codes of one length, as the first of 32 bits.
#[derive(Clone, Copy)]
struct Class {
    bits: u32,
    first: u64,
    /// Above the last.
    end: u64,
    /// How many codes are shorter.
    before: usize,
}

/// Of what 32 bits begin with. Nearly all text has codes of the first four lengths.
fn class(bits: u64) -> &'static Class {
    let found = CLASSES.iter().find(|class| bits < class.end);
    // The last one ends where 32 bits do.
    found.unwrap_or(&CLASSES[LENGTHS - 1])
}

const END: u16 = 256;
const SYMBOLS: usize = 257;
/// Lengths from the shortest to the longest; those that no code has are empty.
const LENGTHS: usize = 30 - 5 + 1;

static CLASSES: [Class; LENGTHS] = {
    let none = Class {
        bits: 0,
        first: 0,
        end: 0,
        before: 0,
    };
    let mut classes = [none; LENGTHS];
    let (mut at, mut next, mut before) = (0, 0_u64, 0);
    while at < LENGTHS {
        let bits = at as u32 + 5;
        let mut count = 0;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if BITS[symbol] as u32 == bits {
                count += 1;
            }
            symbol += 1;
        }
        let end = next + ((count as u64) << (32 - bits));
        classes[at] = Class {
            bits,
            first: next,
            end,
            before,
        };
        next = end;
        before += count;
        at += 1;
    }
    classes
};

/// Symbols in the order of their codes.
static ORDER: [u16; SYMBOLS] = {
    let mut order = [0; SYMBOLS];
    let (mut bits, mut at) = (5, 0);
    while bits <= 30 {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if BITS[symbol] == bits {
                order[at] = symbol as u16;
                at += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    order
};

/// How many bits the code of each symbol has; the last symbol is the end of string.
#[rustfmt::skip]
const BITS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
    6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23,
    23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22,
    22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26,
    27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
    25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As an encoder writes it.
    pub(in super::super) fn encode(text: &[u8]) -> Vec<u8> {
        let mut to = Vec::new();
        let (mut bits, mut held) = (0_u64, 0_u32);
        for byte in text {
            let len = u32::from(BITS[usize::from(*byte)]);
            let place = ORDER.iter().position(|symbol| *symbol == u16::from(*byte));
            let class = CLASSES.iter().find(|class| class.bits == len).unwrap();
            let code = (class.first >> (32 - len)) + (place.unwrap() - class.before) as u64;
            bits |= code << (64 - held - len);
            held += len;
            while held >= 8 {
                to.push((bits >> 56) as u8);
                bits <<= 8;
                held -= 8;
            }
        }
        if held > 0 {
            to.push((bits >> 56) as u8 | 0xff >> held);
        }
        to
    }

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut text = Vec::new();
        assert!(decode(bytes, &mut text, 1 << 20)?);
        Ok(text)
    }

    #[test]
    fn examples_of_rfc_7541_appendix_c() {
        for (text, code) in [
            (
                "www.example.com",
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ][..],
            ),
            ("no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
            (
                "custom-key",
                &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f],
            ),
            (
                "custom-value",
                &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf],
            ),
            ("302", &[0x64, 0x02]),
            ("private", &[0xae, 0xc3, 0x77, 0x1a, 0x4b]),
        ] {
            assert_eq!(encode(text.as_bytes()), code, "{text}");
            assert_eq!(decoded(code).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn only_the_beginning_of_the_end_pads() {
        // "0" has five zeros.
        assert_eq!(decoded(&[0b0000_0111]).unwrap(), b"0");
        assert!(decoded(&[0b0000_0110]).is_err());
        // A whole byte of it is too much (RFC 7541 section 5.2).
        assert!(decoded(&[0b0000_0111, 0xff]).is_err());
        assert!(decoded(&[0xff]).is_err());
        // And so is all of it.
        assert!(decoded(&[0xff, 0xff, 0xff, 0xff]).is_err());
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    #[test]
    fn no_more_is_decoded_than_is_wanted() {
        let mut text = Vec::new();
        assert_eq!(decode(&encode(b"12345"), &mut text, 4), Ok(false));
        assert_eq!(text, b"1234");
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(text: Vec<u8>) {
            prop_assert_eq!(decoded(&encode(&text)).unwrap(), text);
        }
    }
}
