//! The chunked coding of HTTP/1.1 (RFC 9112 section 7.1), taken as it comes in.

/// Where in a chunked body the reader is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Chunked {
    /// Before the first digit of a size.
    #[default]
    Begin,
    /// In a size.
    Size(u64),
    /// In what may follow a size; up to the end of the line.
    Extension(u64),
    /// After the CR of a size line.
    SizeEnd(u64),
    /// In data, of which this much is left.
    Data(u64),
    /// After data: at the CR.
    DataEnd,
    /// After data: at the LF.
    DataLine,
    /// At the beginning of a trailer line.
    Trailer,
    /// In a trailer line.
    TrailerField,
    /// After the CR of the last, empty line.
    Last,
    /// After the end.
    End,
}

/// What comes is not the chunked coding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NotChunked;

impl Chunked {
    /// Reads `bytes`, gives the data in them to `take`, and says how many bytes belong to the body:
    /// all, unless it has ended.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]),
    ) -> Result<usize, NotChunked> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            if let Self::Data(left) = *self {
                let len = left.min((bytes.len() - at) as u64);
                // It is at most the length of a slice.
                let end = at + len as usize;
                take(&bytes[at..end]);
                at = end;
                *self = match left - len {
                    0 => Self::DataEnd,
                    left => Self::Data(left),
                };
                continue;
            }
            if *self == Self::End {
                break;
            }
            *self = self.step(byte)?;
            at += 1;
        }
        Ok(at)
    }

    fn step(self, byte: u8) -> Result<Self, NotChunked> {
        Ok(match (self, byte) {
            (Self::Begin, _) => Self::Size(digit(byte).ok_or(NotChunked)?),
            (Self::Size(size), b'\r') | (Self::Extension(size), b'\r') => Self::SizeEnd(size),
            (Self::Size(size), b';' | b' ' | b'\t') => Self::Extension(size),
            (Self::Size(size), _) if size < 1 << 56 => {
                Self::Size((size << 4) | digit(byte).ok_or(NotChunked)?)
            }
            (Self::Extension(size), _) if byte != b'\n' => Self::Extension(size),
            (Self::SizeEnd(0), b'\n') => Self::Trailer,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataEnd, b'\r') => Self::DataLine,
            (Self::DataLine, b'\n') => Self::Begin,
            (Self::Trailer, b'\r') => Self::Last,
            (Self::Trailer, _) => Self::TrailerField,
            (Self::TrailerField, b'\n') => Self::Trailer,
            (Self::TrailerField, _) => Self::TrailerField,
            (Self::Last, b'\n') => Self::End,
            _ => return Err(NotChunked),
        })
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, usize, Chunked), NotChunked> {
        let (mut state, mut data, mut used) = (Chunked::default(), Vec::new(), 0);
        for piece in bytes.chunks(piece) {
            used += state.read(piece, |bytes| data.extend_from_slice(bytes))?;
        }
        Ok((data, used, state))
    }

    #[test]
    fn data_is_the_same_however_it_is_cut() {
        let body = b"5\r\nhello\r\n1;a=b\r\n \r\n00a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nmore";
        for piece in 1..body.len() {
            let (data, used, state) = read(body, piece).unwrap();
            assert_eq!(data, b"hello 0123456789");
            assert_eq!((used, state), (body.len() - 4, Chunked::End));
        }
    }

    #[test]
    fn a_cut_body_has_no_end() {
        let body = b"5\r\nhello\r\n0\r\n\r\n";
        for len in 0..body.len() {
            assert_ne!(read(&body[..len], 4).unwrap().2, Chunked::End);
        }
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        for body in [
            "\r\n",
            "x\r\n",
            "1\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "fffffffffffffffff\r\n",
        ] {
            assert_eq!(
                read(body.as_bytes(), 64).err(),
                Some(NotChunked),
                "{body:?}"
            );
        }
    }
}
