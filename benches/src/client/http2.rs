//! HTTP/2.

use std::future::poll_fn;
use std::sync::Arc;

use adit_shared::task::Tasks;
use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{Method, Response, Version};
use tracing::Span;

use super::Recipe;
use super::dial::Dialer;
use super::shared::{Shared, both, whole};
use crate::failure::{Answer, Failure};
use crate::load::tally::Tally;
use crate::sizes::Body;

/// One stream at a time of a connection that may be shared.
#[derive(Clone, Debug)]
pub(crate) struct Http2 {
    dialer: Arc<Dialer>,
    recipe: Arc<Recipe>,
    tasks: Tasks,
    shared: Arc<Shared<SendRequest<Bytes>>>,
    held: Option<SendRequest<Bytes>>,
    /// The number of the connection that is, or was, held.
    number: u64,
}

impl Http2 {
    /// The first lane of a connection; its clones are the others.
    pub(crate) fn new(dialer: Arc<Dialer>, recipe: Arc<Recipe>, tasks: Tasks) -> Self {
        Self {
            dialer,
            recipe,
            tasks,
            shared: Arc::new(Shared::new()),
            held: None,
            number: 0,
        }
    }

    /// Opens the connection, or waits for another lane that does. Safe to drop.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        if let Some(sender) = &mut self.held {
            // It also waits until the server takes one more stream.
            if poll_fn(|cx| sender.poll_ready(cx)).await.is_ok() {
                return Ok(());
            }
        }
        let open = open(&self.dialer, &self.tasks);
        let (number, mut sender) = self.shared.get(self.number, open).await?;
        self.number = number;
        let ready = poll_fn(|cx| sender.poll_ready(cx)).await;
        self.held = Some(sender);
        ready.map_err(|error| failure(&error))
    }

    /// Sends a request and takes its answer. Dropping it resets the stream.
    pub(crate) async fn exchange(&mut self, body: &Body, tally: &Tally) -> Result<Answer, Failure> {
        if self.recipe.close {
            self.held = None;
        }
        self.connect().await?;
        let sender = self.held.as_mut().ok_or(Failure::Connect)?;
        let request = self.recipe.request(Version::HTTP_2, body);
        let (response, stream) = sender
            .send_request(request, body.is_empty())
            .map_err(|error| failure(&error))?;
        let is_head = self.recipe.method == Method::HEAD;
        let receive = receive(response, is_head, tally);
        let response = both(send(stream, body, tally), receive).await?;
        if self.recipe.close {
            self.shared.close(self.number).await;
        }
        Ok(Answer::new(&response))
    }
}

async fn open(dialer: &Dialer, tasks: &Tasks) -> Result<SendRequest<Bytes>, Failure> {
    let stream = dialer.dial().await?;
    // Without TLS nothing is agreed on: it is known before.
    if stream.alpn() != Some(b"h2") && dialer.tls().is_some() {
        return Err(Failure::Protocol);
    }
    let (sender, connection) = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .enable_push(false)
        .handshake(stream)
        .await
        .map_err(|error| failure(&error))?;
    // How it ends is known to whoever uses it.
    tasks.spawn(Span::none(), async move { drop(connection.await) });
    Ok(sender)
}

/// Sends a body as the server takes it. Should that fail, the answer says why.
async fn send(mut stream: SendStream<Bytes>, body: &Body, tally: &Tally) {
    let mut at = 0;
    while at < body.len() {
        let piece = body.piece(at);
        stream.reserve_capacity(piece.len());
        let Some(Ok(capacity)) = poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return;
        };
        let piece = piece.slice(..capacity.min(piece.len()));
        let len = piece.len() as u64;
        at += len;
        if stream.send_data(piece, at == body.len()).is_err() {
            return;
        }
        tally.sent(len);
    }
}

async fn receive(
    response: ResponseFuture,
    is_head: bool,
    tally: &Tally,
) -> Result<Response<()>, Failure> {
    let response = response.await.map_err(|error| failure(&error))?;
    let (head, mut body) = response.into_parts();
    let response = Response::from_parts(head, ());
    let mut received = 0;
    while let Some(data) = body.data().await {
        let data = match data {
            Ok(data) => data,
            // The library compares lengths by itself.
            Err(error) if error.is_library() && !whole(&response, is_head, received) => {
                return Err(Failure::Body);
            }
            Err(error) => return Err(failure(&error)),
        };
        received += data.len() as u64;
        tally.received(&data);
        // It fails only for more than was received.
        drop(body.flow_control().release_capacity(data.len()));
    }
    if whole(&response, is_head, received) {
        Ok(response)
    } else {
        Err(Failure::Body)
    }
}

fn failure(error: &h2::Error) -> Failure {
    let is_wrong = error.is_library() && !error.is_remote();
    if is_wrong || error.reason() == Some(Reason::HTTP_1_1_REQUIRED) {
        Failure::Protocol
    } else {
        Failure::Reset
    }
}

/// What one stream may send before it is read: enough for a fast path of some length.
const STREAM_WINDOW: u32 = 4 << 20;
/// Likewise, all streams together.
const CONNECTION_WINDOW: u32 = 64 << 20;
