//! The sessions that are open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use adit_shared::name::SessionId;

use crate::session::Session;

/// The sessions that are open. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<HashMap<SessionId, Arc<Session>>>>);

impl Sessions {
    /// Adds a session until the guard is dropped; nothing when `limit` are open.
    pub fn add(&self, session: &Arc<Session>, limit: usize) -> Option<Listed> {
        let mut sessions = self.lock();
        if sessions.len() >= limit {
            return None;
        }
        sessions.insert(session.id, session.clone());
        Some(Listed {
            sessions: self.clone(),
            id: session.id,
        })
    }

    /// All of them, oldest first.
    pub fn list(&self) -> Vec<Arc<Session>> {
        let mut list: Vec<_> = self.lock().values().cloned().collect();
        list.sort_by_key(|session| session.id);
        list
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a session listed.
#[derive(Debug)]
pub struct Listed {
    sessions: Sessions,
    id: SessionId,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.id);
    }
}
