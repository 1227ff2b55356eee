//! Bodies in chunks (RFC 9112 section 7.1).

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;

use super::section;
use crate::chunks::Chunks;

/// Writes data as one chunk. Nothing for no data: an empty chunk is the last one.
pub fn put(data: Bytes, to: &mut Chunks) {
    if data.is_empty() {
        return;
    }
    let size = data.len();
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        let digit = size >> (4 * place) & 15;
        to.small().put_u8(b"0123456789abcdef"[digit]);
    }
    to.small().put_slice(b"\r\n");
    to.push(data);
    to.small().put_slice(b"\r\n");
}

/// Writes the last chunk, and the trailers behind it.
pub fn put_last(trailers: &HeaderMap, to: &mut BytesMut) {
    to.put_slice(b"0\r\n");
    section::put_trailers(trailers, to);
}

/// Where in a body in chunks we are, while one is read.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// Bytes of chunk extensions so far: they are of no use to anybody.
    extensions: usize,
}

#[derive(Debug)]
enum State {
    /// Before the size of a chunk.
    Size,
    /// This many bytes are left of a chunk.
    Data(u64),
    /// Before the line end behind a chunk.
    DataEnd,
    /// Behind the last chunk. This much was looked at.
    Trailers(usize),
}

/// What comes next of a body in chunks.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Some bytes.
    Data(Bytes),
    /// More must be read first.
    More,
    /// The end, with the trailers.
    End(HeaderMap),
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            state: State::Size,
            extensions: 0,
        }
    }
}

impl Chunked {
    /// Takes what comes next out of what was read.
    ///
    /// # Errors
    ///
    /// What is wrong with it; nothing of the connection is of use after that.
    pub fn take(&mut self, from: &mut BytesMut) -> Result<Step, &'static str> {
        loop {
            match &mut self.state {
                State::Size => {
                    let Some(end) = from.iter().take(MAX_LINE).position(|byte| *byte == b'\n')
                    else {
                        return if from.len() >= MAX_LINE {
                            Err("the line of a chunk's size is too long")
                        } else {
                            Ok(Step::More)
                        };
                    };
                    let line = from.split_to(end + 1);
                    let (size, extension) = size_of(&line).ok_or("a chunk's size is none")?;
                    self.extensions += extension;
                    if self.extensions > MAX_EXTENSIONS {
                        return Err("the extensions of chunks are too long");
                    }
                    self.state = match size {
                        0 => State::Trailers(0),
                        size => State::Data(size),
                    };
                }
                State::Data(left) => {
                    if from.is_empty() {
                        return Ok(Step::More);
                    }
                    let take = from.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= take as u64;
                    if *left == 0 {
                        self.state = State::DataEnd;
                    }
                    return Ok(Step::Data(from.split_to(take).freeze()));
                }
                State::DataEnd => match &from[..] {
                    [b'\r', b'\n', ..] => {
                        drop(from.split_to(2));
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(Step::More),
                    _ => return Err("a chunk is longer than its size"),
                },
                State::Trailers(seen) => {
                    let trailers = section::take_trailers(from, seen)?;
                    return Ok(trailers.map_or(Step::More, Step::End));
                }
            }
        }
    }
}

/// The size that a line says, and the length of its extensions. A line that ends otherwise than with
/// CRLF is none: to another reader it might be one.
fn size_of(line: &[u8]) -> Option<(u64, usize)> {
    let line = line.strip_suffix(b"\r\n")?;
    // Nor has it a bare CR, or another control.
    if line
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return None;
    }
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let digits = digits.count();
    let extension = line[digits..].trim_ascii_start();
    let is_size = (1..=MAX_DIGITS).contains(&digits);
    if !is_size || !(extension.is_empty() || extension.starts_with(b";")) {
        return None;
    }
    let size = u64::from_str_radix(str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
    Some((size, extension.len()))
}

/// Digits of 64 bits.
const MAX_DIGITS: usize = 16;
/// Bytes of one line with a size and extensions.
const MAX_LINE: usize = 4 << 10;
/// Bytes of extensions in one body.
const MAX_EXTENSIONS: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for size in [0, 1, 9, 15, 16, 255, 256, 4095, 4096, 70_000] {
            let data = vec![b'x'; size];
            let mut out = Chunks::default();
            put(data.clone().into(), &mut out);
            let trailers = HeaderMap::from_iter([(
                http::HeaderName::from_static("x-sum"),
                http::HeaderValue::from_static("1"),
            )]);
            put_last(&trailers, out.small());
            let bytes = out.as_slices().concat();
            let first = if size == 0 { 0 } else { size };
            assert!(bytes.starts_with(format!("{first:x}\r\n").as_bytes()));
            assert_eq!(read(&bytes, 1000), Ok((data, Some(trailers), 0)));
        }
    }

    /// Takes the whole of `bytes`, which come in pieces.
    fn read(
        bytes: &[u8],
        piece: usize,
    ) -> Result<(Vec<u8>, Option<HeaderMap>, usize), &'static str> {
        let (mut chunked, mut from, mut data) = (Chunked::default(), BytesMut::new(), Vec::new());
        let mut pieces = bytes.chunks(piece.max(1));
        loop {
            match chunked.take(&mut from)? {
                Step::Data(more) => data.extend_from_slice(&more),
                Step::End(trailers) => {
                    let rest = from.len() + pieces.map(<[u8]>::len).sum::<usize>();
                    return Ok((data, Some(trailers), rest));
                }
                Step::More => match pieces.next() {
                    Some(piece) => from.extend_from_slice(piece),
                    None => return Ok((data, None, 0)),
                },
            }
        }
    }

    proptest! {
        #[test]
        fn any_body_in_any_pieces_is_read_as_it_was_written(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8),
            piece in 1_usize..400,
            trailers in any::<bool>(),
        ) {
            let mut bytes = Vec::new();
            for (number, chunk) in chunks.iter().enumerate() {
                let extension = if number % 2 == 0 { "" } else { ";name=\"v\"" };
                bytes.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n");
            if trailers {
                bytes.extend_from_slice(b"x-sum: 1\r\n");
            }
            bytes.extend_from_slice(b"\r\n");
            let whole = bytes.len();
            bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
            let (data, fields, rest) = read(&bytes, piece).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!(fields.map(|fields| fields.len()), Some(usize::from(trailers)));
            prop_assert_eq!(rest, 17);
            // A body that is cut never ends.
            for cut in 0..whole {
                prop_assert_eq!(read(&bytes[..cut], piece).unwrap().1, None);
            }
        }

        #[test]
        fn garbage_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50) {
            drop(read(&bytes, piece));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bytes in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhelloo\r\n0\r\n\r\n",
            b"\r\n",
            b"-5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5 5\r\nhello\r\n",
            b"5;a\rb\r\nhello\r\n",
            b"5;a\0b\r\nhello\r\n",
            b"5\r\r\nhello\r\n",
            b"10000000000000005\r\nhello\r\n",
            b"0\r\nno field\r\n\r\n",
            b"0\r\nbad name: 1\r\n\r\n",
        ] {
            assert!(
                read(bytes, 3).is_err(),
                "{:?}",
                bytes.escape_ascii().to_string()
            );
        }
        let long = [b"5;", &[b'a'; MAX_LINE][..]].concat();
        assert!(read(&long, 100).is_err());
        let many = [b"1;", &[b'a'; 1000][..], b"\r\nx\r\n"].concat().repeat(17);
        assert!(read(&many, 100).is_err());
        // These are odd, but say one thing.
        assert!(read(b"5 \r\nhello\r\n000\r\n\r\n", 3).unwrap().1.is_some());
        assert!(
            read(b"A\t;x\r\n0123456789\r\n0\r\n\r\n", 3)
                .unwrap()
                .1
                .is_some()
        );
    }
}
