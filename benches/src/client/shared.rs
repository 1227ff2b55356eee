//! A connection that several lanes share, each with a stream of its own.

use std::future::{Future, poll_fn};
use std::pin::pin;

use tokio::sync::Mutex;

use crate::failure::Failure;

/// The connection of now, and how many there were. While one lane opens it, the others wait.
#[derive(Debug)]
pub(super) struct Shared<S> {
    current: Mutex<(u64, Option<S>)>,
}

impl<S: Clone> Shared<S> {
    pub(super) fn new() -> Self {
        Self {
            current: Mutex::new((0, None)),
        }
    }

    /// The connection and its number. It is opened anew if it still is number `lost`. Safe to drop.
    pub(super) async fn get(
        &self,
        lost: u64,
        open: impl Future<Output = Result<S, Failure>>,
    ) -> Result<(u64, S), Failure> {
        let mut current = self.current.lock().await;
        let (number, sender) = &mut *current;
        if *number <= lost {
            *sender = None;
        }
        let sender = match sender {
            Some(sender) => sender.clone(),
            None => {
                let opened = open.await?;
                *number += 1;
                *sender = Some(opened.clone());
                opened
            }
        };
        Ok((*number, sender))
    }

    /// Gives up the connection, if it is number `lost`.
    pub(super) async fn close(&self, lost: u64) {
        let mut current = self.current.lock().await;
        if current.0 <= lost {
            current.1 = None;
        }
    }
}

/// Drives `receive` to its end, and `send` beside it: a server may answer while it still reads, or
/// without reading to the end.
pub(super) async fn both<T>(send: impl Future<Output = ()>, receive: impl Future<Output = T>) -> T {
    let (mut send, mut receive) = (pin!(send), pin!(receive));
    let mut is_sending = true;
    poll_fn(|cx| {
        if is_sending && send.as_mut().poll(cx).is_ready() {
            is_sending = false;
        }
        receive.as_mut().poll(cx)
    })
    .await
}

/// Whether as much came as was declared. Responses to HEAD, and some others, declare what they
/// would have had.
pub(super) fn whole(response: &http::Response<()>, is_head: bool, received: u64) -> bool {
    let has_body = !is_head && !matches!(response.status().as_u16(), 204 | 304);
    let declared = response.headers().get(http::header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    !has_body || declared.is_none_or(|declared: u64| declared == received)
}
