//! Webhooks at the agent: what must be kept and known to verify them, and to notice those that came before.
//!
//! The engine is [`adit_shared::webhook`]; secrets never leave this process. Requests that no rule is about,
//! and that look like no webhook, never come here.
//!
//! - [`anew`]: what is signed once more;
//! - [`memory`]: the events that have come, and what was answered;
//! - [`past`]: events on disk, across restarts.

pub mod anew;
pub mod memory;
pub mod past;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adit_shared::webhook::Fetch;
use adit_shared::webhook::fetch::Way;
use tokio::sync::Semaphore;
use tracing::warn;

use self::memory::Memory;
use self::past::Past;
use crate::config::webhooks::BUDGET;

/// What all exchanges share. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Desk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// How much may be read ahead, in units of [`UNIT`].
    budget: Semaphore,
    memory: Mutex<Memory>,
    past: Option<Past>,
    fetch: Fetch,
}

impl Desk {
    /// Remembers events in the file `past`, if there is to be one, and fetches by `way`.
    pub(crate) fn new(past: Option<PathBuf>, way: Way) -> Self {
        let opened = past.and_then(|path| match Past::open(path) {
            Ok(opened) => Some(opened),
            Err(error) => {
                warn!(%error, "events are not known across restarts");
                None
            }
        });
        let past = opened.as_ref().map(|(past, _)| past.clone());
        let memory =
            opened.map_or_else(Memory::default, |(past, events)| Memory::of(past, &events));
        Self(Arc::new(Shared {
            budget: Semaphore::new(BUDGET / UNIT),
            memory: Mutex::new(memory),
            past,
            fetch: Fetch::new(way),
        }))
    }

    /// Waits until the events that have come are on disk. Safe to drop.
    pub(crate) async fn flush(&self) {
        if let Some(past) = &self.0.past {
            past.flush().await;
        }
    }

    /// What fetches certificates.
    pub(crate) fn fetch(&self) -> &Fetch {
        &self.0.fetch
    }

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
