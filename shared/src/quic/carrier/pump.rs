//! The task of a carrier: TLS on one side, the queues on the other.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read as _, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, Sleep, sleep};

use super::inbox::{Inbox, Ready};
use super::{Carrier, Ended};
use crate::quic::tuning;
use crate::wire::carrier;

/// Moves bytes until the carrier ends.
pub(super) struct Pump {
    tcp: TcpStream,
    tls: rustls::Connection,
    /// What was decrypted before the pump began.
    read: Vec<u8>,
    inbox: Arc<Inbox>,
    carrier: Ready,
    /// What TLS has not taken yet of what is to be sent, from this byte on.
    sending: Vec<u8>,
    sent: usize,
    /// When a datagram came last.
    heard: Instant,
    /// Since when the peer takes nothing, though there is something for it.
    stuck: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Pump {
    pub(super) fn new(carrier: Carrier, inbox: Arc<Inbox>, ready: Ready) -> Self {
        let Carrier { tcp, tls, read } = carrier;
        Self {
            tcp,
            tls,
            read,
            inbox,
            carrier: ready,
            sending: Vec::new(),
            sent: 0,
            heard: Instant::now(),
            stuck: None,
            timer: Box::pin(sleep(TICK)),
        }
    }

    /// Goes on until the carrier ends, and says why. What was to be sent when it is closed is sent.
    pub(super) async fn run(mut self) -> Ended {
        let ended = poll_fn(|cx| self.poll(cx)).await;
        // The alert that says why, or that this was the end. The peer sees the end in any case.
        self.tls.send_close_notify();
        drop(self.tls.write_tls(&mut Now(&self.tcp)));
        ended
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.carrier.queues.task.register(cx.waker());
        let outcome = self.go_on(cx);
        match outcome {
            Err(ended) => Poll::Ready(ended),
            Ok(()) => Poll::Pending,
        }
    }

    fn go_on(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let queues = self.carrier.queues.clone();
        self.deliver_read()?;
        loop {
            let wrote = self.write(cx)?;
            let read = self.read(cx)?;
            if !wrote && !read {
                break;
            }
        }
        if queues.is_closed() {
            let Some(since) = self.stuck else {
                return Err(queues.why().unwrap_or(Ended::Here));
            };
            self.wake_by(since + STALL);
        }
        self.watch_time(cx)
    }

    /// Writes as much as the kernel takes. Whether it took something.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut took = false;
        loop {
            // What TLS has taken cannot be dropped any more, so it is given nothing while it waits.
            if self.sent == self.sending.len() && !self.tls.wants_write() {
                self.sending.clear();
                self.sent = 0;
                self.carrier.queues.take_outgoing(&mut self.sending);
            }
            let taken = self.tls.writer().write(&self.sending[self.sent..]);
            self.sent += taken.map_err(Ended::Tcp)?;
            if !self.tls.wants_write() {
                self.stuck = None;
                return Ok(took);
            }
            if self
                .tcp
                .poll_write_ready(cx)
                .map_err(Ended::Tcp)?
                .is_pending()
            {
                if self.stuck.is_none() {
                    self.stuck = Some(Instant::now());
                    self.wake_by(Instant::now() + STALL);
                }
                return Ok(took);
            }
            match self.tls.write_tls(&mut Now(&self.tcp)) {
                Ok(_) => (took, self.stuck) = (true, None),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Ended::Tcp(error)),
            }
        }
    }

    /// Reads what has come, at most as much as may wait. Whether something had.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let queues = &self.carrier.queues;
        let room = queues.room();
        if room == 0 {
            return Ok(false);
        }
        loop {
            if self
                .tcp
                .poll_read_ready(cx)
                .map_err(Ended::Tcp)?
                .is_pending()
            {
                return Ok(false);
            }
            let (tcp, tls) = (&self.tcp, &mut self.tls);
            let mut came = false;
            let (is_news, outcome) = queues.receive(|to| {
                read(tcp, tls, room, to).map(|something| {
                    came = something;
                })
            });
            if is_news {
                self.heard = Instant::now();
                self.inbox.announce(self.carrier.clone());
            }
            outcome?;
            if came {
                return Ok(true);
            }
            // It was not readable after all, so whether it is must be asked again.
        }
    }

    /// Delivers what was read before this task began.
    fn deliver_read(&mut self) -> Result<(), Ended> {
        if self.read.is_empty() {
            return Ok(());
        }
        let read = std::mem::take(&mut self.read);
        let (is_news, outcome) = self.carrier.queues.receive(|to| {
            to.extend_from_slice(&read);
            Ok(())
        });
        if is_news {
            self.inbox.announce(self.carrier.clone());
        }
        outcome
    }

    /// What happens when nothing happens.
    fn watch_time(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now - self.heard >= tuning::IDLE {
                return Err(Ended::Silent);
            }
            if let Some(since) = self.stuck {
                let queues = &self.carrier.queues;
                if now - since >= tuning::IDLE || queues.is_closed() {
                    return Err(Ended::Stuck);
                }
                if now - since >= STALL {
                    queues.stall();
                }
            }
            self.carrier.queues.shrink();
            self.timer.as_mut().reset(now + TICK);
        }
        Ok(())
    }

    fn wake_by(&mut self, at: Instant) {
        if at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        let queues = &self.carrier.queues;
        queues.close(Ended::Here);
        queues.ended.cancel();
    }
}

/// Appends what has come, decrypted, to `to`: at most `most` bytes of it. Whether anything had come.
pub(super) fn read(
    tcp: &TcpStream,
    tls: &mut rustls::Connection,
    most: usize,
    to: &mut Vec<u8>,
) -> Result<bool, Ended> {
    let mut bytes = [0; AT_ONCE];
    let most = most.min(bytes.len());
    let mut came = true;
    let mut rest = match tcp.try_read(&mut bytes[..most]) {
        Ok(0) => return Err(Ended::Peer),
        Ok(length) => &bytes[..length],
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            came = false;
            &[]
        }
        Err(error) => return Err(Ended::Tcp(error)),
    };
    loop {
        let state = tls.process_new_packets().map_err(Ended::Tls)?;
        let plain = state.plaintext_bytes_to_read();
        let end = to.len();
        to.resize(end + plain, 0);
        tls.reader()
            .read_exact(&mut to[end..])
            .map_err(Ended::Tcp)?;
        if state.peer_has_closed() {
            return Err(Ended::Peer);
        }
        if rest.is_empty() {
            return Ok(came);
        }
        tls.read_tls(&mut rest).map_err(Ended::Tcp)?;
    }
}

/// What came together with the end of the handshake: no socket tells of it any more. Errors show with the
/// next read.
pub(super) fn decrypted(tls: &mut rustls::Connection) -> Vec<u8> {
    let plain = tls
        .process_new_packets()
        .map_or(0, |state| state.plaintext_bytes_to_read());
    let mut read = vec![0; plain];
    if tls.reader().read_exact(&mut read).is_err() {
        read.clear();
    }
    read
}

/// The first datagram that is not empty, if it is whole.
pub(super) fn first(mut bytes: &[u8]) -> Result<Option<&[u8]>, carrier::TooLong> {
    loop {
        match carrier::first(bytes)? {
            Some([]) => bytes = &bytes[carrier::HEADER..],
            other => return Ok(other),
        }
    }
}

/// Writes what the kernel takes now.
struct Now<'a>(&'a TcpStream);

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that one read takes at most.
const AT_ONCE: usize = 32 << 10;
/// A peer that takes nothing for as long has stalled.
const STALL: Duration = Duration::from_secs(1);
/// How often a carrier is looked at on which nothing happens.
const TICK: Duration = Duration::from_secs(10);
