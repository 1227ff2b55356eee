//! The public side: listeners in, one service out.
//!
//! - [`tls`]: which certificate is shown;
//! - [`answer`]: every failure as the visitor sees it;
//! - `notice`: the page that browsers see before the first of a tunnel;
//! - [`serve`]: what all HTTP versions share;
//! - `bucket`: what a visitor may do so often;
//! - [`http1`], [`http2`], [`http3`]: one connection each;
//! - [`redirect`]: cleartext visitors of a public relay are sent to HTTPS;
//! - [`proxied`]: where a connection comes from that a load balancer passes on;
//! - `sniff`: the first bytes of a connection, looked at and kept;
//! - [`connection`]: what a connection opens with, and which shard serves it;
//! - [`carrier`]: agents that come where visitors do, because UDP is blocked;
//! - [`neighbours`]: the way to the other shards;
//! - [`tcp`]: listeners, bound and accepting.

pub mod answer;
mod bucket;
pub mod carrier;
pub mod connection;
pub mod http1;
pub mod http2;
pub mod http3;
pub mod neighbours;
pub mod notice;
pub mod proxied;
pub mod redirect;
pub mod serve;
pub mod sniff;
pub mod tcp;
pub mod tls;
