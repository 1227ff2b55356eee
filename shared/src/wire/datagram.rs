//! QUIC datagrams (RFC 9221): the knock, by which an agent finds out whether the way is alive.
//!
//! A knock and its answer are new packets that want acknowledgement. Whoever hears of one acknowledged
//! knows that what was sent long before it is lost, and sends that again at once, however long its own
//! next probe would have taken.

use bytes::{Buf as _, Bytes, BytesMut};

use super::varint::{self, Malformed};

/// What travels in a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Datagram {
    /// From the agent: answer me at once.
    Knock {
        /// Chosen by the agent.
        number: u64,
    },
    /// From the relay: here I am.
    Answer {
        /// That of the knock.
        number: u64,
    },
}

impl Datagram {
    /// As bytes.
    pub fn encode(self) -> Bytes {
        let (kind, number) = match self {
            Self::Knock { number } => (KNOCK, number),
            Self::Answer { number } => (ANSWER, number),
        };
        let mut bytes = BytesMut::with_capacity(MAX_LEN);
        varint::put(&mut bytes, kind);
        varint::put(&mut bytes, number.min(varint::MAX));
        bytes.freeze()
    }

    /// What `bytes` say; nothing when their type is not known: whoever sent such cannot depend on its
    /// being understood.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when a known type has other parts than it should.
    pub fn decode(mut bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let datagram = match varint::get(&mut bytes)? {
            KNOCK => Self::Knock {
                number: varint::get(&mut bytes)?,
            },
            ANSWER => Self::Answer {
                number: varint::get(&mut bytes)?,
            },
            _ => return Ok(None),
        };
        if bytes.has_remaining() {
            return Err(Malformed::Invalid("bytes after the end of a datagram"));
        }
        Ok(Some(datagram))
    }
}

const KNOCK: u64 = 0x00;
const ANSWER: u64 = 0x01;

/// The longest, in bytes: a type below 64 and a number.
pub const MAX_LEN: usize = 1 + 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(number in 0..=varint::MAX, knock: bool) {
            let datagram = if knock { Datagram::Knock { number } } else { Datagram::Answer { number } };
            let bytes = datagram.encode();
            prop_assert!(bytes.len() <= MAX_LEN);
            prop_assert_eq!(Datagram::decode(&bytes), Ok(Some(datagram)));
            for end in 0..bytes.len() {
                prop_assert_eq!(Datagram::decode(&bytes[..end]), Err(Malformed::Incomplete));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Datagram::decode(&bytes);
        }
    }

    #[test]
    fn an_unknown_type_is_skipped_and_a_known_one_has_exactly_its_parts() {
        assert_eq!(Datagram::decode(&[0x02, 1, 2, 3]), Ok(None));
        let more = Datagram::decode(&[0x00, 1, 2]);
        assert!(matches!(more, Err(Malformed::Invalid(_))), "{more:?}");
    }
}
