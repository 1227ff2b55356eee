//! Why a stream or a connection is given up (RFC 9114 section 8.1, RFC 9204 section 6).

use std::fmt;

/// A code of HTTP/3 or QPACK.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Code {
    /// Nothing is wrong.
    NoError = 0x100,
    /// The relay's own fault, or the origin's.
    InternalError = 0x102,
    /// A stream that may not be opened.
    StreamCreationError = 0x103,
    /// A stream that must last has ended.
    ClosedCriticalStream = 0x104,
    /// A frame where it may not be.
    FrameUnexpected = 0x105,
    /// A frame that does not fit its type or its stream.
    FrameError = 0x106,
    /// More than there may be.
    ExcessiveLoad = 0x107,
    /// An identifier that is out of order.
    IdError = 0x108,
    /// Settings that may not be.
    SettingsError = 0x109,
    /// The first frame is none of settings.
    MissingSettings = 0x10a,
    /// The request was not looked at.
    RequestRejected = 0x10b,
    /// Nobody wants the response.
    RequestCancelled = 0x10c,
    /// The request ended before it was whole.
    RequestIncomplete = 0x10d,
    /// The request is malformed.
    MessageError = 0x10e,
    /// A field section cannot be decompressed.
    QpackDecompressionFailed = 0x200,
    /// The peer's encoder said what it may not.
    QpackEncoderStreamError = 0x201,
    /// The peer's decoder said what it may not.
    QpackDecoderStreamError = 0x202,
}

impl Code {
    /// As QUIC carries it.
    pub const fn number(self) -> u64 {
        self as u64
    }
}

/// The peer broke the protocol, which ends the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Violation {
    /// What it is called.
    pub code: Code,
    /// What it is.
    pub what: &'static str,
}

impl Violation {
    pub(super) const fn new(code: Code, what: &'static str) -> Self {
        Self { code, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for Violation {}
