//! What an exchange stream is made of: a head, then data, perhaps trailers, then an end.
//!
//! Each frame is a type (one byte), a length (varint) and a payload. An end is always said, by an
//! `END` frame or by the flag of a head, so a stream that merely stops was cut.

use std::mem;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::StatusCode;
use thiserror::Error;

use super::fields::{Fields, HeadTooLarge, MAX_HEAD};
use super::head;
use super::varint::{self, Malformed};

const DATA: u8 = 0x00;
const REQUEST: u8 = 0x01;
const RESPONSE: u8 = 0x02;
const INTERIM: u8 = 0x03;
const TRAILERS: u8 = 0x04;
const END: u8 = 0x05;

/// Appends a request head frame.
///
/// # Errors
///
/// [`HeadTooLarge`] when the peer would refuse it; then nothing was appended.
pub fn put_request(to: &mut BytesMut, head: &head::Request) -> Result<(), HeadTooLarge> {
    put_section(to, REQUEST, |to| head.encode(to))
}

/// Appends a response head frame, interim or final by its status.
///
/// # Errors
///
/// [`HeadTooLarge`] when the peer would refuse it; then nothing was appended.
pub fn put_response(to: &mut BytesMut, head: &head::Response) -> Result<(), HeadTooLarge> {
    let kind = if is_interim(head.status) {
        INTERIM
    } else {
        RESPONSE
    };
    put_section(to, kind, |to| head.encode(to))
}

/// Appends a trailers frame.
///
/// # Errors
///
/// [`HeadTooLarge`] when the peer would refuse it; then nothing was appended.
pub fn put_trailers(to: &mut BytesMut, fields: &Fields) -> Result<(), HeadTooLarge> {
    put_section(to, TRAILERS, |to| fields.encode(to))
}

/// Appends the header of a data frame; `len` bytes of data must follow it on the stream.
pub fn put_data_header(to: &mut impl BufMut, len: usize) {
    to.put_u8(DATA);
    varint::put(to, len as u64);
}

/// Appends an end frame.
pub fn put_end(to: &mut impl BufMut) {
    to.put_slice(&[END, 0]);
}

/// True for a 1xx status after which another head follows. 101 is final: raw bytes follow it.
pub fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// The bytes of the stream are not what the protocol allows.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum FrameError {
    /// A head or trailer section does not decode.
    #[error("malformed head: {0}")]
    Head(Malformed),
    /// A head or trailer section is above the limit.
    #[error("a head of {0} bytes is too large")]
    HeadTooLarge(u64),
    /// A frame came where it may not.
    #[error("frame of type {0:#04x} out of order")]
    Order(u8),
    /// The stream ended before the message did.
    #[error("the stream ended before the message did")]
    Truncated,
}

/// Which half of an exchange a [`Reader`] reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// What the relay sends.
    Request,
    /// What the agent sends.
    Response,
}

/// One thing that a peer said on an exchange stream. Heads are boxed: they are handed on through many
/// calls.
#[derive(Debug, PartialEq)]
pub enum Part {
    /// The head of the request.
    Request(Box<head::Request>),
    /// A 1xx head; another head follows.
    Interim(Box<head::Response>),
    /// The final head.
    Response(Box<head::Response>),
    /// Some bytes of the body, in the memory in which they arrived.
    Data(Bytes),
    /// The trailers; the end follows.
    Trailers(Fields),
    /// The message is whole.
    End,
}

/// Turns received chunks into [`Part`]s, in the only order that is allowed.
///
/// Feed it with [`push`](Self::push) when [`next_part`](Self::next_part) gives nothing. It holds at most one
/// chunk, and one head section while that is incomplete.
#[derive(Debug)]
pub struct Reader {
    side: Side,
    expect: Expect,
    frame: Frame,
    chunk: Bytes,
    /// Frames that have begun, since somebody looked.
    begun: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expect {
    Head,
    Body,
    End,
    /// The message is whole; nothing may follow.
    Nothing,
    /// A 101 was read: whatever follows is not framed.
    Raw,
}

#[derive(Debug)]
enum Frame {
    /// The header of a frame, as far as it has come.
    Header(Start),
    /// Bytes of data still to come.
    Data(u64),
    /// A section that is gathered because it came in several chunks.
    Section {
        kind: u8,
        len: usize,
        bytes: BytesMut,
    },
}

/// The start of a frame's header, while it is incomplete.
#[derive(Debug, Default)]
struct Start {
    /// A type and the longest length.
    bytes: [u8; 9],
    len: usize,
}

impl Reader {
    /// A reader at the start of a stream.
    pub fn new(side: Side) -> Self {
        Self {
            side,
            expect: Expect::Head,
            frame: Frame::Header(Start::default()),
            chunk: Bytes::new(),
            begun: 0,
        }
    }

    /// Takes the next chunk. The chunk before it must have been read to its end.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "read to the end before pushing");
        self.chunk = chunk;
    }

    /// The next part, or `None` when more chunks are needed.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; the stream is useless after it.
    pub fn next_part(&mut self) -> Result<Option<Part>, FrameError> {
        loop {
            match &mut self.frame {
                Frame::Header(start) => {
                    if self.chunk.is_empty() {
                        return Ok(None);
                    }
                    let Some((kind, len)) = take_header(start, &mut self.chunk) else {
                        return Ok(None);
                    };
                    self.check_order(kind)?;
                    self.begun += 1;
                    self.frame = match kind {
                        DATA => Frame::Data(len),
                        _ if len > MAX_HEAD as u64 => return Err(FrameError::HeadTooLarge(len)),
                        kind => Frame::Section {
                            kind,
                            len: len as usize,
                            bytes: BytesMut::new(),
                        },
                    };
                }
                Frame::Data(0) => self.frame = Frame::Header(Start::default()),
                Frame::Data(left) => {
                    if self.chunk.is_empty() {
                        return Ok(None);
                    }
                    let take = self
                        .chunk
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= take as u64;
                    return Ok(Some(Part::Data(self.chunk.split_to(take))));
                }
                Frame::Section { kind, len, bytes } => {
                    let kind = *kind;
                    let payload = if bytes.is_empty() && self.chunk.len() >= *len {
                        self.chunk.split_to(*len)
                    } else {
                        let take = self.chunk.len().min(*len - bytes.len());
                        bytes.extend_from_slice(&self.chunk.split_to(take));
                        if bytes.len() < *len {
                            return Ok(None);
                        }
                        bytes.split().freeze()
                    };
                    self.frame = Frame::Header(Start::default());
                    return self.section(kind, payload).map(Some);
                }
            }
        }
    }

    /// How many frames have begun since the last time: those without data are passed over.
    pub fn take_begun(&mut self) -> usize {
        mem::take(&mut self.begun)
    }

    /// True when the message is whole.
    pub fn is_done(&self) -> bool {
        self.expect == Expect::Nothing
    }

    /// After a 101: the raw bytes that came with the head.
    pub fn into_rest(self) -> Bytes {
        self.chunk
    }

    fn check_order(&self, kind: u8) -> Result<(), FrameError> {
        let fits = match self.expect {
            Expect::Head => match self.side {
                Side::Request => kind == REQUEST,
                Side::Response => matches!(kind, RESPONSE | INTERIM),
            },
            Expect::Body => matches!(kind, DATA | TRAILERS | END),
            Expect::End => kind == END,
            Expect::Nothing | Expect::Raw => false,
        };
        fits.then_some(()).ok_or(FrameError::Order(kind))
    }

    fn section(&mut self, kind: u8, payload: Bytes) -> Result<Part, FrameError> {
        let after_head = |end| if end { Expect::Nothing } else { Expect::Body };
        match kind {
            REQUEST => {
                let head = head::Request::decode(payload).map_err(whole)?;
                self.expect = after_head(head.end);
                Ok(Part::Request(Box::new(head)))
            }
            INTERIM | RESPONSE => {
                let head = head::Response::decode(payload).map_err(whole)?;
                if is_interim(head.status) != (kind == INTERIM) {
                    return Err(FrameError::Head(Malformed::Invalid(
                        "status of another frame type",
                    )));
                }
                if kind == INTERIM {
                    return Ok(Part::Interim(Box::new(head)));
                }
                self.expect = match head.status {
                    StatusCode::SWITCHING_PROTOCOLS => Expect::Raw,
                    _ => after_head(head.end),
                };
                Ok(Part::Response(Box::new(head)))
            }
            TRAILERS => {
                self.expect = Expect::End;
                let fields = Fields::decode(payload).map_err(whole)?;
                Ok(Part::Trailers(fields))
            }
            _ => {
                if !payload.is_empty() {
                    return Err(FrameError::Head(Malformed::Invalid(
                        "an end with a payload",
                    )));
                }
                self.expect = Expect::Nothing;
                Ok(Part::End)
            }
        }
    }
}

/// Takes type and length of a frame; `start` keeps them while they are incomplete.
fn take_header(start: &mut Start, chunk: &mut Bytes) -> Option<(u8, u64)> {
    if start.len == 0 {
        let mut ahead: &[u8] = chunk;
        let kind = ahead.get_u8();
        if let Ok(len) = varint::get(&mut ahead) {
            let taken = chunk.len() - ahead.len();
            chunk.advance(taken);
            return Some((kind, len));
        }
    }
    // It is whole before it is full.
    while chunk.has_remaining() && start.len < start.bytes.len() {
        start.bytes[start.len] = chunk.get_u8();
        start.len += 1;
        if let Ok(len) = varint::get(&mut &start.bytes[1..start.len]) {
            return Some((start.bytes[0], len));
        }
    }
    None
}

/// A section that was announced with its length cannot become whole by further bytes.
fn whole(error: Malformed) -> FrameError {
    FrameError::Head(match error {
        Malformed::Incomplete => Malformed::Invalid("section is shorter than its parts"),
        invalid @ Malformed::Invalid(_) => invalid,
    })
}

/// Appends a frame whose length is known only after its payload: four bytes are kept for it.
fn put_section(
    to: &mut BytesMut,
    kind: u8,
    payload: impl FnOnce(&mut BytesMut),
) -> Result<(), HeadTooLarge> {
    let start = to.len();
    to.put_u8(kind);
    to.put_u32(0);
    payload(to);
    let len = to.len() - start - 5;
    if len > MAX_HEAD {
        to.truncate(start);
        return Err(HeadTooLarge);
    }
    let len = (len as u32 | 0x8000_0000).to_be_bytes();
    to[start + 1..start + 5].copy_from_slice(&len);
    Ok(())
}

#[cfg(test)]
mod tests;
