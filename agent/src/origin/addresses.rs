//! Where a server is: its addresses, looked up once for all who ask at the same time.
//!
//! A lookup takes a thread of the system's, so a burst of new connections would start as many threads, and
//! what they touched would stay. `localhost` has two addresses besides, of which a server often has one:
//! that which answered is tried first from then on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The addresses of one server.
#[derive(Debug)]
pub(super) struct Addresses {
    host: String,
    port: u16,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    addresses: Arc<[SocketAddr]>,
    since: Instant,
}

impl Addresses {
    /// Of a server at `host`, a name or an address.
    pub(super) fn new(host: String, port: u16) -> Self {
        Self {
            host,
            port,
            known: Mutex::default(),
        }
    }

    /// Connects to the first address that answers. Safe to drop.
    ///
    /// # Errors
    ///
    /// That of the lookup, or of the last address.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let addresses = self.look_up().await?;
        let mut last = io::ErrorKind::NotFound.into();
        for (at, address) in addresses.iter().enumerate() {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    if at > 0 {
                        self.prefer(&addresses, at).await;
                    }
                    // Small requests must not wait for an acknowledgement of the one before.
                    drop(stream.set_nodelay(true));
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whoever asks while another looks up waits for what that one finds.
    async fn look_up(&self) -> io::Result<Arc<[SocketAddr]>> {
        let mut known = self.known.lock().await;
        if let Some(known) = &*known
            && known.since.elapsed() < FRESH
        {
            return Ok(known.addresses.clone());
        }
        let found = lookup_host((&*self.host, self.port)).await?;
        let addresses: Arc<[_]> = found.collect();
        *known = Some(Known {
            addresses: addresses.clone(),
            since: Instant::now(),
        });
        Ok(addresses)
    }

    /// Puts the one that answered before the others.
    async fn prefer(&self, addresses: &Arc<[SocketAddr]>, at: usize) {
        let mut known = self.known.lock().await;
        let same = known.as_mut();
        if let Some(known) = same.filter(|known| Arc::ptr_eq(&known.addresses, addresses)) {
            let mut reordered = addresses.to_vec();
            reordered[..=at].rotate_right(1);
            known.addresses = reordered.into();
        }
    }
}

/// How long a lookup is good for. Names of containers change their addresses when those are started anew.
const FRESH: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use tokio::net::TcpListener;

    use super::*;

    /// Addresses of which the first one has no server.
    async fn first_is_dead() -> (Addresses, TcpListener) {
        let dead = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
        let alive = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let both = [dead.local_addr().unwrap(), alive.local_addr().unwrap()];
        let addresses = Addresses::new("localhost".into(), both[1].port());
        *addresses.known.lock().await = Some(Known {
            addresses: both.into(),
            since: Instant::now(),
        });
        (addresses, alive)
    }

    #[tokio::test]
    async fn the_address_that_answered_is_tried_first() {
        let (addresses, alive) = first_is_dead().await;
        let stream = addresses.connect().await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive.local_addr().unwrap());
        let known = addresses.look_up().await.unwrap();
        assert_eq!(known[0], alive.local_addr().unwrap());
        assert_eq!(known.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_serves_all_until_it_is_old() {
        let (addresses, _alive) = first_is_dead().await;
        let first = addresses.look_up().await.unwrap();
        let second = addresses.look_up().await.unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        tokio::time::advance(FRESH).await;
        let third = addresses.look_up().await.unwrap();
        assert!(!Arc::ptr_eq(&first, &third));
        assert!(third.iter().all(|address| address.ip().is_loopback()));
    }
}
