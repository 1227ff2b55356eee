//! What each address has in an inbox, so that one alone cannot fill it: whoever can send a request to a host
//! whose agent is away gets it kept, and nobody at the relay can tell whether it is genuine.

use std::collections::HashMap;

use adit_shared::name::Host;

use super::Limits;

/// An address as the database knows it: a number from which nobody without the key can tell it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Sender(pub(super) i64);

/// What is kept of each sender.
#[derive(Debug, Default)]
pub(super) struct Shares(HashMap<(Host, Sender), Share>);

/// What one sender has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

impl Shares {
    /// Whether a sender may have `bytes` more kept.
    pub(super) fn has_room(
        &self,
        host: &Host,
        sender: Sender,
        bytes: u64,
        limits: &Limits,
    ) -> bool {
        let share = self.0.get(&(host.clone(), sender));
        let share = share.copied().unwrap_or_default();
        share.count < limits.requests_per_address && share.bytes + bytes <= limits.bytes_per_address
    }

    pub(super) fn add(&mut self, host: &Host, sender: Sender, more: Share) {
        let share = self.0.entry((host.clone(), sender)).or_default();
        share.count += more.count;
        share.bytes += more.bytes;
    }

    /// One request of a sender is gone.
    pub(super) fn leave(&mut self, host: &Host, sender: Sender, bytes: u64) {
        let key = (host.clone(), sender);
        let Some(share) = self.0.get_mut(&key) else {
            return;
        };
        share.count = share.count.saturating_sub(1);
        share.bytes = share.bytes.saturating_sub(bytes);
        if share.count == 0 {
            self.0.remove(&key);
        }
    }

    pub(super) fn forget(&mut self, host: &Host) {
        self.0.retain(|(one, _), _| one != host);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
