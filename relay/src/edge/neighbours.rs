//! The way to the other shards: a visitor's connection goes to the one whose session serves its
//! host, so that its exchanges cross no thread.
//!
//! It goes there whole, with its place among the relay's connections. A shard that takes no more
//! leaves it where it was accepted; there its exchanges cross threads, and nothing else is different.

use std::sync::Arc;

use adit_shared::name::Host;
use tokio::sync::mpsc;
use tracing::debug_span;

use super::carrier;
use super::connection::{Handed, Opened};
use super::serve::Service;
use crate::route::Routes;

/// The shards of a relay, as one of them sees them.
#[derive(Clone, Debug)]
pub struct Neighbours {
    here: u16,
    inboxes: Arc<[mpsc::Sender<Guest>]>,
}

/// What the other shards hand to one.
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<Guest>);

/// What one shard hands to another.
enum Guest {
    Visitor(Handed),
    Carrier(Box<carrier::Handed>),
}

impl Neighbours {
    /// As many shards, each with what it needs to know the others.
    pub fn all(shards: u16) -> Vec<(Self, Inbox)> {
        let channels = (0..shards).map(|_| mpsc::channel(WAITING));
        let (inboxes, outboxes): (Vec<_>, Vec<_>) = channels.unzip();
        let inboxes: Arc<[_]> = inboxes.into();
        let one = |(here, outbox)| {
            let inboxes = inboxes.clone();
            (Self { here, inboxes }, Inbox(outbox))
        };
        (0..shards).zip(outboxes).map(one).collect()
    }

    /// The number of the shard that sees them.
    pub fn here(&self) -> u16 {
        self.here
    }

    /// How many shards there are.
    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.inboxes.len()).unwrap_or(u16::MAX)
    }

    /// Whether there are any.
    pub fn exist(&self) -> bool {
        self.inboxes.len() > 1
    }

    /// Which other shard has the session that serves `host`.
    pub(super) fn owner(&self, host: &Host, routes: &Routes) -> Option<u16> {
        let shard = routes.find(host)?.shard()?;
        (shard != self.here).then_some(shard)
    }

    /// Hands a connection to `shard`; it comes back when that takes no more.
    pub(super) fn hand_over(&self, opened: Opened, shard: u16) -> Option<Opened> {
        let inbox = self.inboxes.get(usize::from(shard));
        let Some(Ok(room)) = inbox.map(mpsc::Sender::try_reserve) else {
            return Some(opened);
        };
        // It fails only when the socket does.
        if let Ok(handed) = opened.leave() {
            room.send(Guest::Visitor(handed));
        }
        None
    }

    /// Hands an agent's connection to `shard`. It is dropped when that takes no more: the agent tries
    /// again.
    pub(super) fn hand_over_carrier(&self, carrier: carrier::Handed, shard: u16) {
        let inbox = self.inboxes.get(usize::from(shard));
        if let Some(Ok(room)) = inbox.map(mpsc::Sender::try_reserve) {
            room.send(Guest::Carrier(Box::new(carrier)));
        }
    }
}

impl Inbox {
    /// Serves what is handed over until the service's tasks are stopped, and then what was under way to here.
    /// Dropping it closes the connections that wait.
    pub async fn serve(mut self, service: Arc<Service>) {
        loop {
            let handed = tokio::select! {
                biased;
                () = service.tasks.stopped() => break,
                handed = self.0.recv() => handed,
            };
            let Some(guest) = handed else { return };
            take(guest, &service);
        }
        // Those that are on their way were accepted before.
        self.0.close();
        while let Some(guest) = self.0.recv().await {
            take(guest, &service);
        }
    }
}

fn take(guest: Guest, service: &Arc<Service>) {
    // Either fails only when the socket does.
    match guest {
        Guest::Visitor(handed) => {
            if let Ok(opened) = handed.arrive(service) {
                let span = debug_span!("visitor", remote = %opened.remote());
                service.tasks.spawn(span, opened.serve(service.clone()));
            }
        }
        Guest::Carrier(handed) => drop(handed.arrive(service)),
    }
}

/// Connections that may wait for a shard.
const WAITING: usize = 256;
