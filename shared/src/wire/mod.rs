//! The protocol `adit/1`, as bytes. `docs/protocol.md` is the normative text.
//!
//! Pure encoding and decoding: nothing here reads a socket or knows what a request means. Every
//! decoder takes bytes from a stranger, so each one is bounded, never panics, and says
//! "incomplete" for a prefix of a valid message.
//!
//! - [`varint`]: QUIC's variable-length integer, the only number format of the protocol;
//! - [`code`]: why a stream was reset or a connection closed;
//! - [`table`]: the header fields that travel as one byte;
//! - [`fields`]: header fields, in heads and as trailers;
//! - [`head`]: a request or response head;
//! - [`frame`]: what an exchange stream is made of;
//! - [`control`]: the messages of the control stream;
//! - [`inbox`], [`mirror`]: those of them about inboxes, and about mirrors;
//! - [`datagram`]: what travels beside the streams;
//! - [`carrier`]: QUIC's datagrams on a byte stream, where UDP is blocked.

pub mod arrival;
pub mod carrier;
pub mod code;
pub mod control;
pub mod datagram;
pub mod fields;
pub mod frame;
pub mod head;
pub mod inbox;
pub mod mirror;
pub mod table;
pub mod varint;

/// The application protocol that agents and relays negotiate in the handshake.
pub const ALPN: &[u8] = b"adit/1";

/// The application protocol of a TLS connection over TCP that carries QUIC's datagrams, see
/// [`carrier`].
pub const CARRIER_ALPN: &[u8] = b"adit-udp/1";
