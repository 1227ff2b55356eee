//! The protocol `adit/1`, as bytes. `docs/protocol.md` is the normative text.
//!
//! Pure encoding and decoding: nothing here reads a socket or knows what a request means. Every
//! decoder takes bytes from a stranger, so each one is bounded, never panics, and says
//! "incomplete" for a prefix of a valid message.
//!
//! - [`varint`]: QUIC's variable-length integer, the only number format of the protocol;
//! - [`code`]: why a stream was reset or a connection closed;
//! - [`table`]: the header fields that travel as one byte;
//! - [`head`]: a request or response head, and trailers;
//! - [`frame`]: what an exchange stream is made of;
//! - [`control`]: the messages of the control stream.

pub mod code;
pub mod control;
pub mod frame;
pub mod head;
pub mod table;
pub mod varint;

/// The application protocol that agents and relays negotiate in the handshake.
pub const ALPN: &[u8] = b"adit/1";
