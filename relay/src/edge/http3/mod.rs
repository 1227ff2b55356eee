//! Visitors that speak HTTP/3 (RFC 9114): a server of our own, since what there is keeps whatever a stranger
//! sends until a frame is whole.
//!
//! - [`code`]: what streams and connections are given up with;
//! - [`frame`], [`qpack`], [`settings`]: bytes, without any I/O;
//! - [`request`]: what a head says;
//! - `link`: what the requests of a connection share;
//! - `inflow`, `incoming`, `outgoing`, `switch`: streams, bodies in and out, raw bytes;
//! - `stream`: one request;
//! - `peer`, `control`: the streams of the connection as a whole, the visitor's and ours;
//! - `connection`: all of them.
//!
//! Nothing of a stream is kept but a head, which is small, and what its window lets in: data is handed on as it
//! comes, what is not known is skipped, and a head that is too large is refused by its declared length. A
//! connection stays on the shard to which its first packet came; exchanges with agents of other shards cross
//! threads.

pub mod code;
mod connection;
mod control;
pub mod frame;
mod incoming;
mod inflow;
mod link;
mod outgoing;
mod peer;
pub mod qpack;
pub mod request;
pub mod settings;
mod stream;
mod switch;

use std::net::SocketAddr;
use std::sync::Arc;

use adit_shared::quic::endpoint::Accepted;
use tokio::sync::Semaphore;
use tracing::debug_span;

use self::code::Code;
use self::link::Link;
use super::connection::Admitted;
use super::serve::Service;
use crate::forward::Visitor;

/// Where visitors go that come over QUIC.
#[derive(Clone, Debug)]
pub struct Door {
    /// What serves them.
    pub service: Arc<Service>,
    /// One permit for each connection of a visitor, whatever it speaks.
    pub connections: Arc<Semaphore>,
}

impl Door {
    /// Serves a connection that was just accepted, on a task of its own.
    pub fn admit(&self, accepted: Accepted, remote: SocketAddr) {
        let Accepted {
            connection,
            server_name,
            ..
        } = accepted;
        let service = &self.service;
        let refuse = |limit| {
            service.metrics.visitors_refused.inc();
            service.metrics.limited(limit);
            connection.close_as(Code::ExcessiveLoad.number(), "too many connections");
        };
        let Ok(permit) = self.connections.clone().try_acquire_owned() else {
            return refuse("visitors");
        };
        let address = match service.addresses.connect(remote.ip()) {
            Ok(address) => address,
            Err(bound) => return refuse(bound.name()),
        };
        let admitted = Admitted::new(remote, permit, address, service);
        let server_name = server_name.and_then(|name| name.parse().ok());
        let visitor = Visitor::new(remote, true, server_name, admitted.asker());
        let link = Arc::new(Link::new(connection, service.clone(), visitor));
        let metrics = service.metrics.clone();
        let work = async move {
            metrics.visitors_over_http3.inc();
            connection::serve(&link).await;
            metrics.visitors_over_http3.dec();
            drop(admitted);
        };
        service.tasks.spawn(debug_span!("visitor", %remote), work);
    }
}
