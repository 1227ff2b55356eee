//! Webhooks at the agent: what must be kept and known to verify them, and to notice those that came before.
//!
//! The engine is [`adit_shared::webhook`]; secrets never leave this process. Requests that no rule is about,
//! and that look like no webhook, never come here.
//!
//! - [`ahead`]: bodies that are read before the origin gets them;
//! - [`judge`]: what the rules say of a request;
//! - [`anew`]: what is signed once more;
//! - [`memory`]: the events that have come, and what was answered.

pub mod ahead;
pub mod anew;
pub mod judge;
pub mod memory;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use self::memory::Memory;
use crate::config::webhooks::BUDGET;

/// What all exchanges share. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Desk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// How much may be read ahead, in units of [`UNIT`].
    budget: Semaphore,
    memory: Mutex<Memory>,
}

impl Default for Desk {
    fn default() -> Self {
        Self(Arc::new(Shared {
            budget: Semaphore::new(BUDGET / UNIT),
            memory: Mutex::default(),
        }))
    }
}

impl Desk {
    pub(crate) fn budget(&self) -> &Semaphore {
        &self.0.budget
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each change is whole, so what another thread left behind is good.
        let memory = self.0.memory.lock();
        memory.unwrap_or_else(PoisonError::into_inner)
    }
}

/// In bytes.
pub(crate) const UNIT: usize = 1 << 10;
