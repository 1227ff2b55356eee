//! Events as they come, as server-sent events.
//!
//! First how things stand, then the recent requests, then each event in the shape of
//! [`crate::status::json`]. How things stand comes again after each life event and every few
//! seconds, which also finds out readers that are gone.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::answer::Body;
use crate::status::{Event, Status, json};

/// Everything from now on.
pub(super) fn events(status: &Status) -> Body {
    let (recent, events) = status.follow();
    let now = SystemTime::now();
    let recent = recent
        .into_iter()
        .map(|request| message("event", &json::line(&Event::Request(request), now)));
    let waiting = std::iter::once(standing(status)).chain(recent).collect();
    let reader = Reader {
        status: status.clone(),
        events,
        waiting,
        due: Instant::now() + INTERVAL,
    };
    let frames = stream::unfold(reader, |mut reader| async move {
        let text = reader.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(text)), reader))
    });
    StreamBody::new(frames).boxed_unsync()
}

struct Reader {
    status: Status,
    events: Receiver<Event>,
    waiting: VecDeque<Bytes>,
    /// When how things stand is said again.
    due: Instant,
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(text) = self.waiting.pop_front() {
            return Some(text);
        }
        // Many events must not keep it from being said.
        if Instant::now() >= self.due {
            return Some(self.standing());
        }
        match timeout_at(self.due, self.events.recv()).await {
            Ok(Ok(event)) => {
                if !matches!(event, Event::Request(_)) {
                    self.waiting.push_back(standing(&self.status));
                }
                let line = json::line(&event, SystemTime::now());
                Some(message("event", &line))
            }
            Ok(Err(RecvError::Lagged(missed))) => Some(message("missed", &missed.to_string())),
            Ok(Err(RecvError::Closed)) => None,
            Err(_) => Some(self.standing()),
        }
    }

    fn standing(&mut self) -> Bytes {
        self.due = Instant::now() + INTERVAL;
        standing(&self.status)
    }
}

fn standing(status: &Status) -> Bytes {
    let text = serde_json::to_string(&status.snapshot()).unwrap_or_default();
    message("status", &text)
}

/// `data` is one line.
fn message(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

const INTERVAL: Duration = Duration::from_secs(5);
