//! A UDP socket under QUIC.
//!
//! The library's own waits for the socket to be readable and writable at once, always. A socket on which
//! little is sent becomes writable with every packet that leaves the kernel, so each packet woke the
//! program once for nothing. This one asks for writability only while there is no room. It reads once for
//! each wake, too, instead of once more to hear that there is nothing; and an error of the socket ends in
//! silence, which QUIC notices, rather than in reading it again for ever.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A socket that the current runtime drives.
pub(super) struct Udp {
    io: AsyncFd<UdpSocket>,
    state: UdpSocketState,
    /// The kernel had no room for the last packet.
    is_full: AtomicBool,
    /// Nothing leaves any more.
    is_mute: AtomicBool,
}

impl Udp {
    /// Puts a nonblocking socket on the current runtime.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Arc<Self>> {
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Arc::new(Self {
            io: watch(socket, Interest::READABLE)?,
            state,
            is_full: AtomicBool::new(false),
            is_mute: AtomicBool::new(false),
        }))
    }

    /// Sends nothing from now on.
    pub(super) fn mute(&self) {
        self.is_mute.store(true, Ordering::Relaxed);
    }
}

impl AsyncUdpSocket for Udp {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room {
            socket: self,
            waiting: None,
        })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.is_mute.load(Ordering::Relaxed) {
            return Ok(());
        }
        let sent = self.state.send(self.io.get_ref().into(), transmit);
        if let Err(error) = &sent
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.is_full.store(true, Ordering::Relaxed);
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let room = bufs.len().min(meta.len());
        loop {
            let mut readable = ready!(self.io.poll_read_ready(cx))?;
            match self.state.recv(self.io.get_ref().into(), bufs, meta) {
                Ok(count) => {
                    // All that there was, where one call reads many packets; what comes from now on
                    // wakes us anew. Elsewhere a call reads one, and more may wait behind it.
                    if READS_MANY && count < room {
                        readable.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    readable.clear_ready();
                    if error.kind() != io::ErrorKind::WouldBlock {
                        tracing::debug!(%error, "cannot read the udp socket");
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }
}

impl fmt::Debug for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Udp")
            .field("io", self.io.get_ref())
            .finish_non_exhaustive()
    }
}

/// Waits for room in the kernel.
#[derive(Debug)]
struct Room {
    socket: Arc<Udp>,
    /// The same socket once more, while there is none: one that is always waited for would wake us with
    /// every packet.
    waiting: Option<AsyncFd<UdpSocket>>,
}

impl UdpPoller for Room {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting.is_none() {
            if !self.socket.is_full.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            let again = self.socket.io.get_ref().try_clone()?;
            self.waiting = Some(watch(again, Interest::WRITABLE)?);
        }
        if let Some(waiting) = &self.waiting {
            drop(ready!(waiting.poll_write_ready(cx))?);
        }
        self.waiting = None;
        self.socket.is_full.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

/// Whether one call to the system reads as many packets as there is room for.
const READS_MANY: bool = cfg!(target_os = "linux");

#[allow(
    deprecated,
    reason = "what replaces it is unsafe; a socket of the standard library keeps its descriptor"
)]
fn watch(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    AsyncFd::with_interest(socket, interest)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn socket() -> Arc<Udp> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Udp::new(socket).unwrap()
    }

    async fn receive(socket: &Udp) -> Vec<usize> {
        let mut bytes = [[0; 2048]; 2];
        let mut bufs = bytes.each_mut().map(|one| IoSliceMut::new(one));
        let mut meta = [RecvMeta::default(); 2];
        let receive = std::future::poll_fn(|cx| socket.poll_recv(cx, &mut bufs, &mut meta));
        let count = receive.await.unwrap();
        meta[..count].iter().map(|meta| meta.len).collect()
    }

    fn packet(to: SocketAddr, contents: &[u8]) -> Transmit<'_> {
        Transmit {
            destination: to,
            ecn: None,
            contents,
            segment_size: None,
            src_ip: None,
        }
    }

    #[tokio::test]
    async fn every_packet_arrives_however_they_come() {
        let (one, other) = (socket(), socket());
        let to = other.local_addr().unwrap();
        let mut expected = 0;
        for round in 1..=5 {
            for _ in 0..round {
                one.try_send(&packet(to, &[7; 100])).unwrap();
                expected += 100;
            }
            while expected > 0 {
                let came = timeout(Duration::from_secs(5), receive(&other)).await;
                expected -= came.unwrap().iter().sum::<usize>();
            }
        }
    }

    #[tokio::test]
    async fn a_sender_without_room_is_woken_when_there_is_some() {
        let (one, other) = (socket(), socket());
        let to = other.local_addr().unwrap();
        let mut room = one.clone().create_io_poller();
        let mut writable = async || {
            let room = std::future::poll_fn(|cx| room.as_mut().poll_writable(cx));
            timeout(Duration::from_secs(5), room)
                .await
                .unwrap()
                .unwrap();
        };
        writable().await;
        one.is_full.store(true, Ordering::Relaxed);
        writable().await;
        assert!(!one.is_full.load(Ordering::Relaxed));
        one.try_send(&packet(to, b"more")).unwrap();
        assert_eq!(receive(&other).await, [4]);
    }
}
