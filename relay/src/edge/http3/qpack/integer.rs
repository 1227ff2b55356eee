//! Integers that begin within a byte (RFC 7541 section 5.1, RFC 9204 section 4.1.1).

use bytes::BufMut;

use super::Malformed;

/// Reads a number from the low `prefix` bits of the first byte and what follows.
///
/// # Errors
///
/// [`Malformed`] when it ends too early, or has more than 62 bits.
pub(super) fn get(from: &mut &[u8], prefix: u32) -> Result<u64, Malformed> {
    let mut bytes = from.iter();
    let first = *bytes.next().ok_or(SHORT)?;
    let full = (1_u64 << prefix) - 1;
    let mut number = u64::from(first) & full;
    if number == full {
        let mut shift = 0;
        loop {
            let byte = *bytes.next().ok_or(SHORT)?;
            // The largest that QPACK needs has 62 bits; so many bytes are enough for it.
            if shift > 56 {
                return Err(Malformed("an integer is too large"));
            }
            number += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
    }
    *from = bytes.as_slice();
    Ok(number)
}

/// Writes `number` into the low `prefix` bits of a byte that begins with `first`, and what follows.
pub(super) fn put(to: &mut impl BufMut, first: u8, prefix: u32, mut number: u64) {
    let full = (1_u64 << prefix) - 1;
    if number < full {
        return to.put_u8(first | number as u8);
    }
    to.put_u8(first | full as u8);
    number -= full;
    while number >= 0x80 {
        to.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    to.put_u8(number as u8);
}

const SHORT: Malformed = Malformed("a field section ends too early");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_of_rfc_7541_appendix_c_1() {
        for (prefix, number, bytes) in [
            (5, 10, &[0b0000_1010][..]),
            (5, 1337, &[0b0001_1111, 0b1001_1010, 0b0000_1010]),
            (8, 42, &[0b0010_1010]),
        ] {
            let mut to = Vec::new();
            put(&mut to, 0, prefix, number);
            assert_eq!(to, bytes);
            assert_eq!(get(&mut &bytes[..], prefix), Ok(number));
        }
    }

    #[test]
    fn an_integer_without_an_end_is_refused() {
        assert!(get(&mut &[0xff; 20][..], 7).is_err());
        assert!(get(&mut &[0xff, 0x80][..], 7).is_err());
        assert!(get(&mut &[][..], 7).is_err());
    }

    proptest! {
        #[test]
        fn get_undoes_put(number in 0_u64..1 << 62, prefix in 1_u32..=8) {
            let mut bytes = Vec::new();
            put(&mut bytes, 0, prefix, number);
            let mut from = &bytes[..];
            prop_assert_eq!(get(&mut from, prefix), Ok(number));
            prop_assert!(from.is_empty());
            for end in 0..bytes.len() {
                prop_assert!(get(&mut &bytes[..end], prefix).is_err());
            }
        }
    }
}
