//! Many agents in one process: each with an identity, a connection, a claim and a back-off of its own, as
//! the `agent` program would have them.
//!
//! They share a few sockets. One socket each would be thousands of receive buffers of 13 MB, which a
//! process that reconnects has in memory for real: more than most machines have.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use adit_shared::backoff::Backoff;
use adit_shared::control::{Receiver, Sender};
use adit_shared::identity::Identity;
use adit_shared::quic::Connection;
use adit_shared::quic::endpoint::Dialer;
use adit_shared::quic::tls::{self, Trust};
use adit_shared::stream::{RecvHalf, SendHalf};
use adit_shared::wire::ALPN;
use adit_shared::wire::control::{Claim, EXPORTER_LABEL, Hello, Message};
use anyhow::{Context as _, bail};
use tokio::time::timeout;

use super::{obey, say, spawn};

/// Starts them, and answers each line with how they stand.
pub(super) async fn run(relay: SocketAddr, ca: &Path, count: u64) -> anyhow::Result<()> {
    let trust = Trust::Roots(tls::read_certificates(ca)?);
    let tls = Arc::new(tls::client(&trust, &[ALPN])?);
    let sockets: Result<Vec<_>, _> = (0..SOCKETS).map(|_| Dialer::bind(relay)).collect();
    let counts = Arc::new(Counts::default());
    for dialer in sockets?
        .iter()
        .cycle()
        .zip(0..count)
        .map(|(dialer, _)| dialer)
    {
        let agent = Agent {
            relay,
            tls: tls.clone(),
            dialer: dialer.clone(),
            identity: Identity::generate()?,
            counts: counts.clone(),
        };
        spawn(agent.stay());
    }
    say(&serde_json::json!({ "count": count }))?;
    obey(|_| {
        let [online, sessions, failed] = [&counts.online, &counts.sessions, &counts.failed]
            .map(|count| count.load(Ordering::Relaxed));
        async move {
            Ok(serde_json::json!({ "online": online, "sessions": sessions, "failed": failed }))
        }
    })
    .await
}

#[derive(Debug, Default)]
struct Counts {
    /// Agents that are served now.
    online: AtomicU64,
    /// Sessions there have been.
    sessions: AtomicU64,
    /// Attempts that came to nothing.
    failed: AtomicU64,
}

struct Agent {
    relay: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    dialer: Dialer,
    identity: Identity,
    counts: Arc<Counts>,
}

impl Agent {
    /// One session after the other, with the waits of the `agent` program between them.
    async fn stay(self) {
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        loop {
            match self.join().await {
                Ok((connection, sender, receiver)) => {
                    let since = Instant::now();
                    self.counts.sessions.fetch_add(1, Ordering::Relaxed);
                    self.counts.online.fetch_add(1, Ordering::Relaxed);
                    let is_draining = attend(receiver).await;
                    self.counts.online.fetch_sub(1, Ordering::Relaxed);
                    if since.elapsed() > SETTLED {
                        backoff.reset();
                    }
                    if is_draining {
                        // What is in flight would go on there until the relay closes.
                        spawn(async move {
                            connection.closed().await;
                            drop(sender);
                        });
                        continue;
                    }
                }
                Err(_) => {
                    self.counts.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// From nothing to a tunnel that is served.
    async fn join(&self) -> anyhow::Result<(Connection, Sender, Receiver)> {
        let dial = self.dialer.dial(self.relay, "localhost", self.tls.clone());
        let connection = timeout(ATTEMPT, dial).await??;
        timeout(PATIENCE, self.register(connection)).await?
    }

    async fn register(
        &self,
        connection: Connection,
    ) -> anyhow::Result<(Connection, Sender, Receiver)> {
        let (send, recv) = connection.open().await?;
        let mut sender = Sender::new(SendHalf::new(send));
        let mut receiver = Receiver::new(RecvHalf::new(recv));
        let material = connection.export(EXPORTER_LABEL).context("no proof")?;
        let hello = Hello {
            key: self.identity.public_key(),
            signature: self.identity.sign(&material),
            instance: [0; 16],
            token: String::new(),
            version: "bench".into(),
            exchanges: adit_shared::quic::tuning::EXCHANGES.into(),
        };
        sender.send(&Message::Hello(hello)).await?;
        let claim = Claim {
            tunnel: 0,
            label: "bench".into(),
            name: String::new(),
            host: String::new(),
        };
        sender.send(&Message::Claim(claim)).await?;
        loop {
            match receiver.next().await? {
                Some(Message::Welcome(_)) => {}
                Some(Message::Granted(_)) => return Ok((connection, sender, receiver)),
                other => bail!("not granted: {other:?}"),
            }
        }
    }
}

/// Listens until the session is over; says whether the relay announced it.
async fn attend(mut receiver: Receiver) -> bool {
    loop {
        match receiver.next().await {
            Ok(Some(Message::Drain { .. })) => return true,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return false,
        }
    }
}

const SOCKETS: usize = 20;
/// As in the `agent` program.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(15);
const SETTLED: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);
