//! HTTP message bodies between streams: the hot path.
//!
//! - [`recv`]: a stream's frames as an HTTP body;
//! - [`send`]: an HTTP body as frames on a stream;
//! - [`h2`]: the same two for a stream of HTTP/2.
//!
//! Data stays in the memory in which it arrived. Nothing here queues: a body is asked for its next
//! piece only when the piece before it was taken by the transport.

pub mod ahead;
pub mod h2;
pub mod recv;
pub mod send;
