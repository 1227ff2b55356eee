//! The public side: listeners in, one service out.
//!
//! - [`tls`]: which certificate is shown;
//! - [`answer`]: every failure as the visitor sees it;
//! - [`serve`]: what all HTTP versions do with a request;
//! - [`interim`]: interim heads on HTTP/1.1;
//! - [`http1`], [`http2`]: one connection each;
//! - [`redirect`]: cleartext visitors of a public relay are sent to HTTPS;
//! - `sniff`: the first bytes of a connection, looked at and kept;
//! - [`connection`]: what a connection opens with, and which shard serves it;
//! - [`neighbours`]: the way to the other shards;
//! - [`tcp`]: listeners, bound and accepting.

pub mod answer;
pub mod connection;
pub mod http1;
pub mod http2;
pub mod interim;
pub mod neighbours;
pub mod redirect;
pub mod serve;
mod sniff;
pub mod tcp;
pub mod tls;
