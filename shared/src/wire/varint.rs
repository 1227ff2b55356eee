//! Variable-length integers (RFC 9000 section 16), and byte strings that carry their length.

use bytes::{Buf, BufMut, Bytes};
use thiserror::Error;

/// The largest number that fits: 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// Why bytes could not be decoded.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Malformed {
    /// The bytes end before the value does: more of them may make it whole.
    #[error("the message ends too early")]
    Incomplete,
    /// No further bytes can make this valid.
    #[error("{0}")]
    Invalid(&'static str),
}

/// How many bytes `number` takes.
pub const fn len(number: u64) -> usize {
    match number {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

/// Writes `number`, which must not be larger than [`MAX`].
pub fn put(to: &mut impl BufMut, number: u64) {
    debug_assert!(number <= MAX, "numbers of the protocol have 62 bits");
    match len(number) {
        1 => to.put_u8(number as u8),
        2 => to.put_u16(number as u16 | 0x4000),
        4 => to.put_u32(number as u32 | 0x8000_0000),
        _ => to.put_u64(number | 0xc000_0000_0000_0000),
    }
}

/// Reads a number.
///
/// # Errors
///
/// [`Malformed::Incomplete`] when `from` ends first; then nothing was taken from it.
pub fn get(from: &mut impl Buf) -> Result<u64, Malformed> {
    if !from.has_remaining() {
        return Err(Malformed::Incomplete);
    }
    let first = from.chunk()[0];
    let len = 1 << (first >> 6);
    if from.remaining() < len {
        return Err(Malformed::Incomplete);
    }
    Ok(match len {
        1 => u64::from(from.get_u8()),
        2 => u64::from(from.get_u16() & 0x3fff),
        4 => u64::from(from.get_u32() & 0x3fff_ffff),
        _ => from.get_u64() & MAX,
    })
}

/// Writes the length of `bytes`, then `bytes`.
pub fn put_bytes(to: &mut impl BufMut, bytes: &[u8]) {
    put(to, bytes.len() as u64);
    to.put_slice(bytes);
}

/// Reads a byte string of at most `max` bytes, sharing memory with `from`.
///
/// # Errors
///
/// [`Malformed::Invalid`] with `too_long` when its length is above `max`.
pub fn get_bytes(from: &mut Bytes, max: usize, too_long: &'static str) -> Result<Bytes, Malformed> {
    let len = get(from)?;
    if len > max as u64 {
        return Err(Malformed::Invalid(too_long));
    }
    if (from.remaining() as u64) < len {
        return Err(Malformed::Incomplete);
    }
    Ok(from.split_to(len as usize))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_of_rfc_9000_appendix_a_1() {
        for (bytes, number) in [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(get(&mut &bytes[..]), Ok(number));
        }
    }

    proptest! {
        #[test]
        fn decode_undoes_encode_and_a_prefix_is_incomplete(number in 0..=MAX) {
            let mut bytes = BytesMut::new();
            put(&mut bytes, number);
            prop_assert_eq!(bytes.len(), len(number));
            prop_assert_eq!(get(&mut bytes.clone()), Ok(number));
            for end in 0..bytes.len() {
                prop_assert_eq!(get(&mut &bytes[..end]), Err(Malformed::Incomplete));
            }
        }
    }
}
