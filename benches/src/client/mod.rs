//! Clients: each sends one request at a time and takes its answer.
//!
//! A client opens its connection anew when it was lost; a request that failed is never sent again.

mod chunked;
pub(crate) mod deadline;
pub(crate) mod dial;
mod frame;
mod head;
mod http1;
mod http2;
mod http3;
mod recipe;
mod shared;
mod websocket;

use std::iter::repeat_n;
use std::sync::Arc;

use adit_shared::task::Tasks;

use self::dial::Dialer;
use self::http1::Http1;
use self::http2::Http2;
use self::http3::{Http3, Sockets};
use self::recipe::Recipe;
use self::websocket::WebSocket;
use crate::failure::{Answer, Failure};
use crate::load::tally::Tally;
use crate::plan::{Plan, Protocol};
use crate::sizes::Body;

/// What sends requests for one lane.
#[derive(Debug)]
pub(crate) enum Client {
    Http1(Http1),
    Http2(Http2),
    Http3(Http3),
    WebSocket(WebSocket),
}

impl Client {
    /// One for each connection and stream of `plan`. What drives the connections runs on `tasks`.
    pub(crate) fn all(
        plan: &Plan,
        protocol: Protocol,
        dialer: &Arc<Dialer>,
        tasks: &Tasks,
    ) -> Vec<Self> {
        let recipe = Arc::new(Recipe::new(plan));
        let sockets = Arc::new(Sockets::new(dialer.clone()));
        let mut clients = Vec::new();
        for _ in 0..plan.connections {
            let (dialer, recipe) = (dialer.clone(), recipe.clone());
            match protocol {
                Protocol::Http1 => clients.push(Self::Http1(Http1::new(dialer, recipe))),
                Protocol::Http2 => {
                    let lane = Http2::new(dialer, recipe, tasks.clone());
                    clients.extend(repeat_n(lane, plan.streams).map(Self::Http2));
                }
                Protocol::Http3 => {
                    let lane = Http3::new(sockets.clone(), recipe, tasks.clone());
                    clients.extend(repeat_n(lane, plan.streams).map(Self::Http3));
                }
                Protocol::WebSocket => {
                    clients.push(Self::WebSocket(WebSocket::new(dialer, recipe)));
                }
            }
        }
        clients
    }

    /// Opens its connection, so that no request has to wait for that. Safe to drop.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        match self {
            Self::Http1(client) => client.connect().await,
            Self::Http2(client) => client.connect().await,
            Self::Http3(client) => client.connect().await,
            Self::WebSocket(client) => client.connect().await,
        }
    }

    /// Sends a request and takes its answer to the end. Safe to drop: that cancels the request.
    pub(crate) async fn exchange(&mut self, body: &Body, tally: &Tally) -> Result<Answer, Failure> {
        match self {
            Self::Http1(client) => client.exchange(body, tally).await,
            Self::Http2(client) => client.exchange(body, tally).await,
            Self::Http3(client) => client.exchange(body, tally).await,
            Self::WebSocket(client) => client.exchange(body, tally).await,
        }
    }
}
