//! What both HTTP versions do with a request: forward it, pass on interim heads, and turn failures
//! into answers.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use adit_shared::body::recv::BodyError;
use adit_shared::task::Tasks;
use bytes::Bytes;
use futures_util::future::AbortHandle;
use http::Response;
use http::header::{ACCEPT, HeaderMap};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::answer::Answer;
use super::neighbours::Neighbours;
use crate::forward::body::ResponseBody;
use crate::forward::{Failure, Forward, Inbound, Next, Raw, Visitor};
use crate::metrics::Metrics;

/// What serves requests, on any connection of one shard.
#[derive(Debug)]
pub struct Service {
    /// The way to agents.
    pub forward: Forward,
    /// Where connections and what they start run.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where connections go that are for another shard.
    pub neighbours: Neighbours,
    /// How long a TLS handshake or a request head may take, and how long a connection may idle.
    pub head_timeout: Duration,
}

/// How interim heads reach a visitor; different for each HTTP version.
pub trait Interim: Send {
    /// Sends one interim head. A visitor that cannot take it does without.
    fn send(&mut self, head: Response<()>) -> impl Future<Output = ()> + Send;
}

/// What a visitor is told.
#[derive(Debug)]
pub enum Reply {
    /// A response.
    Response(Response<Body>),
    /// A switch of protocols; raw bytes follow.
    Switch(Response<()>, Box<Raw>),
}

impl Service {
    /// Serves one request. Safe to drop: the exchange is cancelled.
    pub async fn serve<B>(
        &self,
        visitor: &Visitor,
        inbound: Inbound<B>,
        interim: &mut impl Interim,
    ) -> Reply
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Display + Send,
    {
        let accept = inbound.request.headers().get(ACCEPT).cloned();
        let fail = |failure: &Failure| {
            let fields: HeaderMap = accept.iter().map(|value| (ACCEPT, value.clone())).collect();
            let answer = Answer::from(&failure.error);
            self.metrics.answer(answer.code);
            Reply::Response(answer.response(&fields, &failure.id).map(Body::own))
        };
        let mut pending = match self.forward.forward(visitor, inbound).await {
            Ok(pending) => pending,
            Err(failure) => return fail(&failure),
        };
        loop {
            match pending.next().await {
                Ok(Next::Interim(head, rest)) => {
                    interim.send(head).await;
                    pending = rest;
                }
                Ok(Next::Response(response)) => {
                    return Reply::Response(response.map(|body| Body::Forwarded(Box::new(body))));
                }
                Ok(Next::Switch(head, raw)) => return Reply::Switch(head, Box::new(raw)),
                Err(failure) => return fail(&failure),
            }
        }
    }
}

/// The body of what a visitor is told.
#[derive(Debug)]
pub enum Body {
    /// The relay's own words.
    Own(Option<Bytes>),
    /// The origin's.
    Forwarded(Box<ResponseBody>),
}

impl Body {
    /// See [`ResponseBody::watch`].
    pub fn watch(&mut self, cut: &AbortHandle) {
        if let Self::Forwarded(body) = self {
            body.watch(cut);
        }
    }

    /// A body of the relay's own.
    pub fn own(bytes: Bytes) -> Self {
        Self::Own(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Forwarded(body) => Pin::new(&mut **body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Forwarded(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Forwarded(body) => body.size_hint(),
        }
    }
}
