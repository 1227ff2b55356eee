//! A carrier as a socket: the agent's end.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tracing::{Span, debug};

use super::inbox::{Inbox, Ready};
use super::pump::Pump;
use super::queues::Queues;
use super::{Carrier, Ended};
use crate::task::Tasks;

/// One carrier, through which everything goes that QUIC sends. It ends when it is dropped, and so do
/// the connections on it, unless they move elsewhere.
#[derive(Debug)]
pub struct Line(Arc<Socket>);

impl Line {
    /// A line to the peer that QUIC knows as `remote`, which need not be at the other end of the TCP
    /// connection: a proxy may be. Its task is one of `tasks`.
    pub fn new(carrier: Carrier, remote: SocketAddr, tasks: &Tasks) -> Self {
        let (inbox, queues) = (Arc::new(Inbox::default()), Arc::new(Queues::new()));
        let ready = Ready {
            queues: queues.clone(),
            from: remote,
            to: None,
        };
        let port = carrier.tcp.local_addr().map_or(0, |local| local.port());
        let pump = Pump::new(carrier, inbox.clone(), ready);
        tasks.spawn(Span::current(), async move {
            let why = pump.run().await;
            debug!(%why, "carrier ended");
        });
        Self(Arc::new(Socket {
            inbox,
            queues,
            remote,
            port,
        }))
    }

    /// Ends when it carries no more. Safe to drop.
    pub async fn ended(&self) {
        self.0.queues.ended.cancelled().await;
    }

    /// As QUIC sees it.
    pub(in crate::quic) fn socket(&self) -> Arc<Socket> {
        self.0.clone()
    }
}

/// What QUIC has of a line.
#[derive(Debug)]
pub(in crate::quic) struct Socket {
    inbox: Arc<Inbox>,
    queues: Arc<Queues>,
    remote: SocketAddr,
    port: u16,
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.queues.send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inbox.poll(cx, bufs, meta).map(Ok)
    }

    /// Of the family of the relay's address, or QUIC would not send to that.
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(match self.remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, self.port).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, self.port).into(),
        })
    }

    /// Datagrams arrive as they are sent, so their size may be searched for. That goes on over UDP.
    fn may_fragment(&self) -> bool {
        false
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS
    }

    /// As much as UDP sockets read at once: the buffers are made for one and used for both.
    fn max_receive_segments(&self) -> usize {
        SEGMENTS
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.queues.close(Ended::Here);
    }
}

/// Waits for room.
#[derive(Debug)]
struct Room(Arc<Socket>);

impl UdpPoller for Room {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.queues.poll_room(cx).map(Ok)
    }
}

/// Datagrams in one buffer, as many as Linux takes.
const SEGMENTS: usize = 64;
