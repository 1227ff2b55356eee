//! What stands before the origin, and sees when something of an upload comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::lasting::Marks;

/// A listener that hands everything on to the origin; gone when dropped.
pub(super) struct Sink {
    /// Where agents find it.
    pub address: SocketAddr,
    /// When something of an upload came.
    pub marks: Marks,
    taken: Arc<AtomicU64>,
    _accepting: JoinSet<()>,
}

impl Sink {
    /// One before `origin`.
    pub(super) async fn before(origin: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, marks) = (listener.local_addr()?, Marks::default());
        let taken = Arc::<AtomicU64>::default();
        let mut accepting = JoinSet::new();
        let of = (marks.clone(), taken.clone());
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((agent, _)) = listener.accept().await {
                let Ok(there) = TcpStream::connect(origin).await else {
                    continue;
                };
                let ((from_agent, to_agent), (from_origin, to_origin)) =
                    (agent.into_split(), there.into_split());
                connections.spawn(copy(from_agent, to_origin, Some(of.clone())));
                connections.spawn(copy(from_origin, to_agent, None));
            }
        });
        Ok(Self {
            address,
            marks,
            taken,
            _accepting: accepting,
        })
    }

    /// How many bytes of uploads came so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    tell: Option<(Marks, Arc<AtomicU64>)>,
) {
    let mut buffer = vec![0; 64 << 10];
    let mut is_upload = None;
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        let is_upload = *is_upload.get_or_insert_with(|| buffer.starts_with(b"PUT "));
        if let (true, Some((marks, taken))) = (is_upload, &tell) {
            marks.mark();
            taken.fetch_add(read as u64, Ordering::Relaxed);
        }
    }
}
