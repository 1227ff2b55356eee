//! Frames (RFC 9114 section 7), taken out of a stream as its chunks come. Data is handed on in the memory in
//! which it arrived; what is not known is skipped, however long it is; anything else is small or refused
//! before it is read.

use std::mem;

use adit_shared::wire::varint;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::code::{Code, Violation};

/// What kind of stream frames are read from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum On {
    /// A visitor's request.
    Request,
    /// The visitor's control stream.
    Control,
}

/// What a stream has next.
#[derive(Debug, Eq, PartialEq)]
pub enum Piece {
    /// Some of what DATA frames carry.
    Data(Bytes),
    /// A HEADERS frame, whole.
    Headers(Bytes),
    /// A HEADERS frame that is larger than allowed. What it has is skipped.
    TooLarge,
    /// A SETTINGS frame, whole.
    Settings(Bytes),
    /// A GOAWAY frame.
    Goaway(u64),
    /// A MAX_PUSH_ID frame.
    MaxPushId(u64),
    /// A CANCEL_PUSH frame.
    CancelPush(u64),
}

/// Takes frames out of chunks.
#[derive(Debug)]
pub struct Frames {
    on: On,
    /// Bytes of a HEADERS frame.
    most: u64,
    chunk: Bytes,
    /// What has come of a frame's beginning, or of a frame that is taken whole.
    part: BytesMut,
    state: State,
    /// No frame has begun yet.
    is_first: bool,
    /// Frames that asked for nothing, since somebody looked.
    idle: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Type and length of a frame.
    Begin,
    /// A frame that is taken whole, of this length.
    Whole(Kind, u64),
    /// Bytes of a DATA frame that are left.
    Data(u64),
    /// Bytes that nobody wants.
    Skip(u64),
}

/// Frames that are taken whole.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Headers,
    Settings,
    Goaway,
    MaxPushId,
    CancelPush,
}

impl Frames {
    /// Of a stream whose HEADERS frames have this many bytes at most.
    pub fn new(on: On, most: usize) -> Self {
        Self {
            on,
            most: most as u64,
            chunk: Bytes::new(),
            part: BytesMut::new(),
            state: State::Begin,
            is_first: true,
            idle: 0,
        }
    }

    /// Whether all that was pushed was taken.
    pub fn is_empty(&self) -> bool {
        self.chunk.is_empty()
    }

    /// Whether the stream may end here.
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Begin) && self.part.is_empty()
    }

    /// How many frames came since the last time that ask for nothing: of types that nobody knows, DATA without
    /// data, and all on the control stream.
    pub fn take_idle(&mut self) -> u32 {
        mem::take(&mut self.idle)
    }

    /// The next bytes of the stream, once those before were taken.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.is_empty(), "the chunk before was taken");
        self.chunk = chunk;
    }

    /// The next piece; none when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`Violation`].
    pub fn take(&mut self) -> Result<Option<Piece>, Violation> {
        while !self.chunk.is_empty() {
            match self.state {
                State::Begin => {
                    if let Some((kind, len)) = self.begin()
                        && let Some(piece) = self.enter(kind, len)?
                    {
                        return Ok(Some(piece));
                    }
                }
                State::Whole(kind, len) => {
                    let wanted = len - self.part.len() as u64;
                    let some = self.some(wanted);
                    let payload = if self.part.is_empty() && some.len() as u64 == len {
                        some
                    } else {
                        self.part.put_slice(&some);
                        if (self.part.len() as u64) < len {
                            continue;
                        }
                        self.part.split().freeze()
                    };
                    self.state = State::Begin;
                    return whole(kind, payload).map(Some);
                }
                State::Data(left) => {
                    let data = self.some(left);
                    self.state = State::Data(left - data.len() as u64).rest();
                    return Ok(Some(Piece::Data(data)));
                }
                State::Skip(left) => {
                    let skipped = self.some(left).len() as u64;
                    self.state = State::Skip(left - skipped).rest();
                }
            }
        }
        Ok(None)
    }

    /// Type and length of the next frame, when both have come.
    fn begin(&mut self) -> Option<(u64, u64)> {
        if self.part.is_empty()
            && let Some((kind, len, used)) = kind_and_length(&self.chunk)
        {
            self.chunk.advance(used);
            return Some((kind, len));
        }
        // They are cut: rare, so a byte at a time.
        while self.chunk.has_remaining() {
            self.part.put_u8(self.chunk.get_u8());
            if let Some((kind, len, _)) = kind_and_length(&self.part) {
                self.part.clear();
                return Some((kind, len));
            }
        }
        None
    }

    fn enter(&mut self, kind: u64, len: u64) -> Result<Option<Piece>, Violation> {
        if mem::take(&mut self.is_first) && self.on == On::Control && kind != SETTINGS {
            let what = "the control stream does not begin with settings";
            return Err(Violation::new(Code::MissingSettings, what));
        }
        if !matches!((kind, len), (HEADERS, _) | (DATA, 1..)) {
            self.idle = self.idle.saturating_add(1);
        }
        let (state, most) = match (kind, self.on) {
            (DATA, On::Request) => {
                self.state = State::Data(len).rest();
                return Ok(None);
            }
            (HEADERS, On::Request) if len > self.most => {
                self.state = State::Skip(len);
                return Ok(Some(Piece::TooLarge));
            }
            (HEADERS, On::Request) => (Kind::Headers, len),
            (SETTINGS, On::Control) => (Kind::Settings, SETTINGS_MOST),
            (GOAWAY, On::Control) => (Kind::Goaway, 8),
            (MAX_PUSH_ID, On::Control) => (Kind::MaxPushId, 8),
            (CANCEL_PUSH, On::Control) => (Kind::CancelPush, 8),
            (DATA | HEADERS | SETTINGS | GOAWAY | MAX_PUSH_ID | CANCEL_PUSH | PUSH_PROMISE, _) => {
                return Err(Violation::new(
                    Code::FrameUnexpected,
                    "a frame is on a stream where it may not be",
                ));
            }
            // What HTTP/2 had and HTTP/3 has not (RFC 9114 section 7.2.8).
            (2 | 6 | 8 | 9, _) => {
                return Err(Violation::new(
                    Code::FrameUnexpected,
                    "a frame is of HTTP/2",
                ));
            }
            _ => {
                self.state = State::Skip(len).rest();
                return Ok(None);
            }
        };
        if len > most {
            return Err(match state {
                Kind::Settings => Violation::new(Code::ExcessiveLoad, "settings are too many"),
                _ => Violation::new(Code::FrameError, "a frame is too long"),
            });
        }
        if len == 0 {
            return whole(state, Bytes::new()).map(Some);
        }
        self.state = State::Whole(state, len);
        Ok(None)
    }

    /// At most this many bytes of the chunk.
    fn some(&mut self, most: u64) -> Bytes {
        let len = usize::try_from(most).unwrap_or(usize::MAX);
        self.chunk.split_to(len.min(self.chunk.len()))
    }
}

impl State {
    /// Itself while something is left.
    fn rest(self) -> Self {
        match self {
            Self::Data(0) | Self::Skip(0) => Self::Begin,
            other => other,
        }
    }
}

fn kind_and_length(mut from: &[u8]) -> Option<(u64, u64, usize)> {
    let all = from.len();
    let kind = varint::get(&mut from).ok()?;
    let len = varint::get(&mut from).ok()?;
    Some((kind, len, all - from.len()))
}

fn whole(kind: Kind, payload: Bytes) -> Result<Piece, Violation> {
    let number = |mut payload: Bytes| match varint::get(&mut payload) {
        Ok(number) if payload.is_empty() => Ok(number),
        _ => Err(Violation::new(
            Code::FrameError,
            "a frame does not have one number",
        )),
    };
    Ok(match kind {
        Kind::Headers => Piece::Headers(payload),
        Kind::Settings => Piece::Settings(payload),
        Kind::Goaway => Piece::Goaway(number(payload)?),
        Kind::MaxPushId => Piece::MaxPushId(number(payload)?),
        Kind::CancelPush => Piece::CancelPush(number(payload)?),
    })
}

/// Writes the header of a DATA frame of `len` bytes.
pub(super) fn put_data(len: u64, to: &mut BytesMut) {
    varint::put(to, DATA);
    varint::put(to, len.min(varint::MAX));
}

/// Writes a HEADERS frame, whose field section `put` adds.
pub(super) fn put_headers(to: &mut BytesMut, put: impl FnOnce(&mut BytesMut)) {
    varint::put(to, HEADERS);
    // The length in four bytes, since it is not known yet.
    let at = to.len();
    to.put_u32(0);
    put(to);
    let len = to.len() - at - 4;
    // A head is far smaller than 2^30 bytes.
    let length = 0x8000_0000 | u32::try_from(len).unwrap_or_default();
    to[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Writes a GOAWAY frame: no request from `id` on is served.
pub(super) fn put_goaway(id: u64, to: &mut BytesMut) {
    varint::put(to, GOAWAY);
    varint::put(to, varint::len(id) as u64);
    varint::put(to, id);
}

/// Writes a SETTINGS frame.
pub(super) fn put_settings(settings: &[(u64, u64)], to: &mut BytesMut) {
    varint::put(to, SETTINGS);
    let len = |(name, value): &(u64, u64)| varint::len(*name) + varint::len(*value);
    varint::put(to, settings.iter().map(len).sum::<usize>() as u64);
    for (name, value) in settings {
        varint::put(to, *name);
        varint::put(to, *value);
    }
}

const DATA: u64 = 0x00;
const HEADERS: u64 = 0x01;
const CANCEL_PUSH: u64 = 0x03;
const SETTINGS: u64 = 0x04;
const PUSH_PROMISE: u64 = 0x05;
const GOAWAY: u64 = 0x07;
const MAX_PUSH_ID: u64 = 0x0d;
/// Bytes of a SETTINGS frame: many times what anybody has to say.
const SETTINGS_MOST: u64 = 4 << 10;

#[cfg(test)]
mod tests;
