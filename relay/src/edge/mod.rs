//! The public side: listeners in, one service out.
//!
//! - [`tls`]: which certificate is shown;
//! - [`answer`]: every failure as the visitor sees it;
//! - [`serve`]: what all HTTP versions do with a request;
//! - [`interim`]: interim heads on HTTP/1.1;
//! - [`http1`], [`http2`]: one connection each;
//! - [`redirect`]: cleartext visitors of a public relay are sent to HTTPS;
//! - [`tcp`]: listeners and handshakes.

pub mod answer;
pub mod http1;
pub mod http2;
pub mod interim;
pub mod redirect;
pub mod serve;
pub mod tcp;
pub mod tls;
