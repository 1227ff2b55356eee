//! A TCP way between agent and relay, to be dialled in the relay's place: it can be shut, stopped in
//! the middle, or broken.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adit_shared::task::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::Span;

use crate::Path;

/// What the way does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mood {
    /// Everything goes through.
    #[default]
    Open,
    /// Connections are accepted and closed.
    Shut,
    /// Nothing goes through, and nobody is told.
    Stopped,
    /// 100 KiB a second go through, each way.
    Slow,
}

/// A forwarder of TCP connections.
#[derive(Debug)]
pub struct TcpPath {
    /// Where the agent finds it.
    pub address: SocketAddr,
    mood: watch::Sender<Mood>,
    /// Those that are open.
    connections: Mutex<Tasks>,
    carried: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl TcpPath {
    /// Ways to a relay over UDP and TCP on one port, as a relay has them.
    pub async fn beside(udp: SocketAddr, tcp: SocketAddr, seed: u64) -> (Path, Arc<Self>) {
        loop {
            let path = Path::to(udp, seed).await;
            // Somebody else may have the port for TCP.
            if let Ok(listener) = TcpListener::bind(path.address).await {
                return (path, Self::on(listener, tcp));
            }
        }
    }

    fn on(listener: TcpListener, relay: SocketAddr) -> Arc<Self> {
        let path = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            mood: watch::Sender::new(Mood::Open),
            connections: Mutex::default(),
            carried: Arc::default(),
            tasks: Tasks::default(),
        });
        let accepting = Arc::downgrade(&path);
        path.tasks.spawn(Span::none(), async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(path) = accepting.upgrade() else {
                    return;
                };
                if *path.mood.borrow() != Mood::Shut {
                    path.connect(stream, relay);
                }
            }
        });
        path
    }

    fn connect(&self, agent: TcpStream, relay: SocketAddr) {
        let (mood, carried) = (self.mood.subscribe(), self.carried.clone());
        let tasks = self.connections.lock().unwrap().clone();
        let serving = tasks.clone();
        tasks.spawn(Span::none(), async move {
            // Little waits on the way, so that a sender soon sees when it is stopped.
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(64 << 10).unwrap();
            let relay = socket.connect(relay).await.unwrap();
            for stream in [&agent, &relay] {
                stream.set_nodelay(true).unwrap();
            }
            let (from_agent, to_agent) = agent.into_split();
            let (from_relay, to_relay) = relay.into_split();
            let (other, count) = (mood.clone(), carried.clone());
            serving.spawn(Span::none(), copy(from_agent, to_relay, other, count));
            copy(from_relay, to_agent, mood, carried).await;
        });
    }

    /// From now on the way does this.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Breaks every connection that is open.
    pub fn kill(&self) {
        std::mem::take(&mut *self.connections.lock().unwrap()).abort();
    }

    /// Bytes that went through, both ways.
    pub fn carried(&self) -> usize {
        self.carried.load(Ordering::Relaxed)
    }
}

impl Drop for TcpPath {
    fn drop(&mut self) {
        self.kill();
        self.tasks.abort();
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mood: watch::Receiver<Mood>,
    carried: Arc<AtomicUsize>,
) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        if mood.wait_for(|mood| *mood != Mood::Stopped).await.is_err() {
            return;
        }
        let is_slow = *mood.borrow() == Mood::Slow;
        let most = if is_slow { SIP } else { bytes.len() };
        let length = match from.read(&mut bytes[..most]).await {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
        carried.fetch_add(length, Ordering::Relaxed);
        if is_slow {
            sleep(BETWEEN_SIPS).await;
        }
    }
}

/// What a slow way lets through at once, and how often.
const SIP: usize = 2 << 10;
const BETWEEN_SIPS: Duration = Duration::from_millis(20);
