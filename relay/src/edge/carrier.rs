//! Agents whose networks let no UDP through come to the same port as visitors, with a protocol of
//! their own under TLS. From then on their connections carry QUIC's datagrams, on the shard that has
//! their session: a new one is let in where it was accepted.

use std::io;
use std::sync::Arc;

use adit_shared::quic::carrier::{Carrier, Carriers, Parked};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::serve::Service;
use crate::addresses::Connected;
use crate::metrics::Metrics;

/// The way in for carriers, on one shard.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where QUIC takes them.
    pub carriers: Carriers,
    /// One permit for each, over all shards.
    pub permits: Arc<Semaphore>,
}

/// Serves a connection whose TLS handshake agreed on carrying datagrams, of which one must have come
/// by `deadline`. It stays a connection of its `address`.
pub(super) async fn serve(
    stream: TlsStream<TcpStream>,
    deadline: Instant,
    address: Option<Connected>,
    service: Arc<Service>,
) {
    let Some(door) = &service.door else {
        return debug!("carrier refused: no agents come here");
    };
    let Ok(permit) = door.permits.clone().try_acquire_owned() else {
        service.metrics.carriers_refused.inc();
        service.metrics.limited("carriers");
        return debug!("carrier refused: there are too many");
    };
    let (tcp, tls) = stream.into_inner();
    let mut carrier = Carrier::new(tcp, tls);
    let shard = timeout_at(deadline, carrier.shard(service.neighbours.count())).await;
    let shard = match shard {
        Ok(Ok(shard)) => shard,
        Ok(Err(why)) => return debug!(%why, "carrier did not begin"),
        Err(_) => return debug!("carrier did not begin in time"),
    };
    let seat = Seat::new(permit, address, &service);
    match shard.filter(|shard| *shard != service.neighbours.here()) {
        // Elsewhere nobody knows its session: there is no point in keeping it.
        Some(shard) => match carrier.leave() {
            Ok(carrier) => service
                .neighbours
                .hand_over_carrier(Handed { carrier, seat }, shard),
            Err(error) => debug!(%error, "carrier failed"),
        },
        None => attach(carrier, seat, &service),
    }
}

fn attach(carrier: Carrier, seat: Seat, service: &Service) {
    if let Some(door) = &service.door
        && let Err(error) = door.carriers.attach(carrier, seat)
    {
        debug!(%error, "carrier failed");
    }
}

/// A carrier on its way from one shard to another.
#[derive(Debug)]
pub(super) struct Handed {
    carrier: Parked,
    seat: Seat,
}

impl Handed {
    /// Puts it on the current runtime, and counts it for its `service`.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub(super) fn arrive(self, service: &Service) -> io::Result<()> {
        attach(self.carrier.arrive()?, self.seat.moved(service), service);
        Ok(())
    }
}

/// Counts a carrier as one until it is dropped.
#[derive(Debug)]
struct Seat {
    metrics: Arc<Metrics>,
    permit: Option<OwnedSemaphorePermit>,
    address: Option<Connected>,
}

impl Seat {
    fn new(permit: OwnedSemaphorePermit, address: Option<Connected>, service: &Service) -> Self {
        let metrics = service.metrics.clone();
        metrics.carriers.inc();
        Self {
            metrics,
            permit: Some(permit),
            address,
        }
    }

    fn moved(mut self, service: &Service) -> Self {
        service.metrics.carriers.inc();
        Self {
            metrics: service.metrics.clone(),
            permit: self.permit.take(),
            address: self.address.take(),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.metrics.carriers.dec();
    }
}
