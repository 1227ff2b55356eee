//! Events as they come, as server-sent events.
//!
//! First how things stand, then all exchanges that are kept, then whatever changes: `exchange` with how one
//! stands now, `gone` with the id of one that the filter no longer wants, `clear` when all were forgotten,
//! `event` with each life event in the shape of [`crate::status::json`], `status` with how things stand. Each
//! exchange carries a number; a reader that says which it had last gets what changed since.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::answer::Body;
use super::api::Standing;
use crate::capture::Capture;
use crate::capture::filter::Filter;
use crate::capture::summary::Summary;
use crate::status::{Event, Status, json};

/// Everything from now on, and before it what changed since the message `last`.
pub(super) fn events(
    status: &Status,
    capture: &Capture,
    filter: Filter,
    last: Option<&str>,
) -> Body {
    let epoch = capture.epoch();
    let seen = last.and_then(|last| {
        let (run, seen) = last.split_once('-')?;
        (run == epoch).then(|| seen.parse().ok())?
    });
    let mut waiting = VecDeque::from([standing(status, capture)]);
    if seen.is_none() {
        waiting.push_back(message("clear", "", "{}"));
    }
    let mut changes = capture.changes();
    // What is there already is news to this reader.
    changes.mark_changed();
    let reader = Reader {
        status: status.clone(),
        capture: capture.clone(),
        events: status.subscribe(),
        changes,
        filter,
        epoch,
        seen: seen.unwrap_or(0),
        shown: HashSet::new(),
        paused: capture.is_paused(),
        waiting,
        due: Instant::now() + INTERVAL,
        next: Instant::now(),
    };
    let frames = stream::unfold(reader, |mut reader| async move {
        let text = reader.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(text)), reader))
    });
    StreamBody::new(frames).boxed_unsync()
}

struct Reader {
    status: Status,
    capture: Capture,
    events: Receiver<Event>,
    changes: watch::Receiver<u64>,
    filter: Filter,
    epoch: String,
    seen: u64,
    /// What the reader has of the filter's matches.
    shown: HashSet<u64>,
    /// Whether capture was paused when that was said last.
    paused: bool,
    waiting: VecDeque<Bytes>,
    /// When how things stand is said again.
    due: Instant,
    /// When changes are looked at again: many of them make one message.
    next: Instant,
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(text) = self.waiting.pop_front() {
                return Some(text);
            }
            let next = self.next;
            let changes = &mut self.changes;
            let changed = async {
                changes.changed().await?;
                sleep_until(next).await;
                Ok::<_, watch::error::RecvError>(())
            };
            tokio::select! {
                biased;
                () = sleep_until(self.due) => {
                    self.due = Instant::now() + INTERVAL;
                    return Some(standing(&self.status, &self.capture));
                }
                event = self.events.recv() => match event {
                    // Exchanges are told in full.
                    Ok(Event::Request(_)) | Err(RecvError::Lagged(_)) => {}
                    Ok(event) => {
                        self.waiting.push_back(standing(&self.status, &self.capture));
                        let line = json::line(&event, SystemTime::now());
                        return Some(message("event", "", &line));
                    }
                    Err(RecvError::Closed) => return None,
                },
                changed = changed => {
                    changed.ok()?;
                    self.changes.mark_unchanged();
                    self.look();
                }
            }
        }
    }

    /// Tells what changed.
    fn look(&mut self) {
        self.next = Instant::now() + PACE;
        let paused = self.capture.is_paused();
        if std::mem::replace(&mut self.paused, paused) != paused {
            self.waiting
                .push_back(standing(&self.status, &self.capture));
        }
        let (changed, now, is_cleared) = self.capture.since(self.seen);
        if is_cleared && self.seen > 0 {
            self.shown.clear();
            self.waiting.push_back(message("clear", "", "{}"));
        }
        self.seen = now;
        let mut text = String::new();
        for exchange in changed {
            let id = format!("{}-{}", self.epoch, exchange.revision());
            if self.filter.wants(&exchange) {
                self.shown.insert(exchange.id);
                let row = serde_json::to_string(&Summary::of(&exchange)).unwrap_or_default();
                put(&mut text, "exchange", &id, &row);
            } else if self.shown.remove(&exchange.id) {
                put(
                    &mut text,
                    "gone",
                    &id,
                    &format!("{{\"id\":{}}}", exchange.id),
                );
            }
        }
        if !text.is_empty() {
            self.waiting.push_back(text.into());
        }
    }
}

fn standing(status: &Status, capture: &Capture) -> Bytes {
    let now = Standing::of(status, capture);
    message(
        "status",
        "",
        &serde_json::to_string(&now).unwrap_or_default(),
    )
}

/// `data` is one line.
fn message(name: &str, id: &str, data: &str) -> Bytes {
    let mut text = String::new();
    put(&mut text, name, id, data);
    text.into()
}

fn put(to: &mut String, name: &str, id: &str, data: &str) {
    if !id.is_empty() {
        to.push_str(&format!("id: {id}\n"));
    }
    to.push_str(&format!("event: {name}\ndata: {data}\n\n"));
}

/// Between two times that how things stand is said, if nothing changes that.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// Faster than anybody sees.
const PACE: Duration = Duration::from_millis(50);
