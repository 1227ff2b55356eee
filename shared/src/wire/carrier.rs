//! QUIC's datagrams on a byte stream, for networks that let no UDP through: each is preceded by its
//! length, two bytes in network byte order. A length of zero says nothing and is passed over.

use thiserror::Error;

/// The longest datagram that a receiver must take, in bytes.
pub const MAX: usize = 6500;

/// Bytes before each datagram.
pub const HEADER: usize = 2;

/// Writes a datagram of at most [`MAX`] bytes; a longer one is not written, as a network loses what
/// is too large for it. Returns whether it was.
pub fn put(to: &mut Vec<u8>, datagram: &[u8]) -> bool {
    if datagram.len() > MAX {
        return false;
    }
    let length = datagram.len() as u16;
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(datagram);
    true
}

/// The datagram at the front of `bytes`, empty for a length of zero; nothing until it is whole.
///
/// # Errors
///
/// [`TooLong`] as soon as the length is there.
pub fn first(bytes: &[u8]) -> Result<Option<&[u8]>, TooLong> {
    let Some((length, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes(*length));
    if length > MAX {
        return Err(TooLong(length));
    }
    Ok(rest.get(..length))
}

/// The peer announced a datagram that is longer than any it may send.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a datagram of {0} bytes is longer than {MAX}")]
pub struct TooLong(pub usize);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_too_long_is_neither_written_nor_waited_for() {
        let mut bytes = Vec::new();
        assert!(!put(&mut bytes, &[0; MAX + 1]) && bytes.is_empty());
        assert_eq!(first(&[0xff, 0xff]), Err(TooLong(0xffff)));
        assert_eq!(first(&[0x19, 0x65, 0]), Err(TooLong(MAX + 1)));
        assert_eq!(first(&[0x19, 0x64, 0]), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8)) {
            let mut bytes = Vec::new();
            for datagram in &datagrams {
                prop_assert!(put(&mut bytes, datagram));
            }
            let mut rest = &bytes[..];
            for datagram in &datagrams {
                for cut in 0..HEADER + datagram.len() {
                    prop_assert_eq!(first(&rest[..cut]), Ok(None));
                }
                prop_assert_eq!(first(rest), Ok(Some(&datagram[..])));
                rest = &rest[HEADER + datagram.len()..];
            }
            prop_assert!(rest.is_empty());
        }
    }
}
