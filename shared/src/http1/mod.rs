//! What both ends of a tunnel need of HTTP/1.1 as text (RFC 9112): the relay reads requests, the agent
//! responses.
//!
//! - [`section`]: fields as lines, and where they end;
//! - [`chunked`]: bodies in chunks, read and written.
//!
//! It is strict: what two readers might read in two ways is an error.

pub mod chunked;
pub mod section;
