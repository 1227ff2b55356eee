//! Bytes of which every eight say where they belong, so that nothing can be lost, doubled or swapped
//! without being seen.

use bytes::Bytes;

/// The bytes of one message, from its beginning on.
#[derive(Clone, Debug)]
pub struct Words {
    id: u64,
    at: u64,
}

impl Words {
    /// Those of the message with this number.
    pub fn new(id: u64) -> Self {
        Self { id, at: 0 }
    }

    /// How many were taken or checked.
    pub fn count(&self) -> u64 {
        self.at
    }

    /// The next `len`.
    pub fn take(&mut self, len: usize) -> Bytes {
        let mut bytes = Vec::with_capacity(len + 16);
        let skip = (self.at % 8) as usize;
        let mut word = self.at / 8;
        while bytes.len() < skip + len {
            bytes.extend_from_slice(&(self.id << 40 ^ word).to_le_bytes());
            word += 1;
        }
        self.at += len as u64;
        Bytes::from(bytes).slice(skip..skip + len)
    }

    /// Whether these are the next.
    pub fn check(&mut self, bytes: &[u8]) -> bool {
        self.take(bytes.len()) == bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_wrong_is_seen() {
        let all = Words::new(3).take(100);
        let mut pieces = Words::new(3);
        assert!(pieces.check(&all[..5]) && pieces.check(&all[5..21]) && pieces.check(&all[21..]));
        assert!(!Words::new(3).check(&all[8..16]));
        assert!(!Words::new(4).check(&all[..16]));
    }
}
