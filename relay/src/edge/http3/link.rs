//! What the requests of one connection have in common.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use adit_shared::quic::Connection;
use tokio::sync::Notify;

use super::super::bucket::Bucket;
use super::super::serve::Service;
use super::code::{Code, Violation};
use super::qpack::Limit;
use crate::forward::Visitor;

/// One connection of a visitor.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) service: Arc<Service>,
    pub(super) visitor: Visitor,
    /// Of a field section.
    pub(super) limit: Limit,
    requests: AtomicU32,
    /// There is no request any more.
    idle: Notify,
    uploads: AtomicU32,
    resets: Mutex<Bucket>,
    idle_frames: Mutex<Bucket>,
    /// It was closed because of those.
    sent_away: AtomicBool,
}

impl Link {
    pub(super) fn new(connection: Connection, service: Arc<Service>, visitor: Visitor) -> Self {
        let head = service.forward.head;
        Self {
            connection,
            service,
            visitor,
            limit: Limit {
                bytes: head.bytes + PSEUDO_BYTES,
                fields: head.fields + PSEUDO,
            },
            requests: AtomicU32::new(0),
            idle: Notify::new(),
            uploads: AtomicU32::new(0),
            resets: Mutex::new(Bucket::of_resets()),
            idle_frames: Mutex::new(Bucket::of_controls()),
            sent_away: AtomicBool::new(false),
        }
    }

    /// Bytes of a HEADERS frame. Those that stay within the limit are not larger, but for what says how long
    /// each name and value is.
    pub(super) fn most(&self) -> usize {
        self.limit.bytes + 8 * self.limit.fields
    }

    /// Counts a request until what it returns is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Request {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.resets().put(1);
        Request(self.clone())
    }

    /// The visitor gave a request up, or broke it so that we have to: with this code, noted in its `fate`.
    /// One that does so with nearly all of them is sent away (CVE-2023-44487, CVE-2025-8671).
    pub(super) fn given_up(&self, fate: &Fate, code: Code) {
        // Whatever is noticed next of the same request counts no more.
        if fate.set(code).is_err() {
            return;
        }
        if self.resets().take(2).is_none() && !self.sent_away.swap(true, Ordering::Relaxed) {
            self.service.metrics.limited("frames");
            let what = "most requests are given up";
            self.close(&Violation::new(Code::ExcessiveLoad, what));
        }
    }

    /// So many frames came that ask for nothing.
    ///
    /// # Errors
    ///
    /// When there are more than anybody needs.
    pub(super) fn came_idle(&self, frames: u32) -> Result<(), Violation> {
        if frames == 0 || lock(&self.idle_frames).take(frames).is_some() {
            return Ok(());
        }
        if !self.sent_away.swap(true, Ordering::Relaxed) {
            self.service.metrics.limited("frames");
        }
        let what = "it sends more frames than anybody needs";
        Err(Violation::new(Code::ExcessiveLoad, what))
    }

    fn resets(&self) -> MutexGuard<'_, Bucket> {
        lock(&self.resets)
    }

    /// Whether there is a request.
    pub(super) fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Ends when the last request has ended, or has done so before. Safe to drop.
    pub(super) async fn idle(&self) {
        while self.is_busy() {
            self.idle.notified().await;
        }
    }

    /// Makes room for an upload of this length, until what it returns is dropped; nothing for one that
    /// needs none.
    pub(super) fn uploading(self: &Arc<Self>, length: Option<u64>) -> Option<Uploading> {
        if length.is_some_and(|length| length <= SMALL) {
            return None;
        }
        let uploads = self.uploads.fetch_add(1, Ordering::Relaxed) + 1;
        self.connection.allow_uploads(uploads);
        Some(Uploading(self.clone()))
    }

    /// Ends the connection of a visitor that broke the protocol.
    pub(super) fn close(&self, violation: &Violation) {
        tracing::debug!(side = "visitor", error = %violation, "connection closed");
        self.connection
            .close_as(violation.code.number(), violation.what);
    }
}

/// Why a request was given up, if it was: its body and its response may both come to that.
pub(super) type Fate = Arc<OnceLock<Code>>;

/// A request that is counted.
#[derive(Debug)]
pub(super) struct Request(Arc<Link>);

impl Drop for Request {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.idle.notify_one();
        }
    }
}

/// An upload that has room.
#[derive(Debug)]
pub(super) struct Uploading(Arc<Link>);

impl Drop for Uploading {
    fn drop(&mut self) {
        let uploads = self.0.uploads.fetch_sub(1, Ordering::Relaxed) - 1;
        self.0.connection.allow_uploads(uploads);
    }
}

fn lock(bucket: &Mutex<Bucket>) -> MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pseudo-header fields, and bytes of their names and of what they say besides the target.
const PSEUDO: usize = 5;
const PSEUDO_BYTES: usize = 1 << 10;
/// Bytes of an upload that may wait to be read without room of its own.
const SMALL: u64 = 16 << 10;
