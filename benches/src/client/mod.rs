//! Clients: each sends one request at a time and takes its answer.
//!
//! A client opens its connection anew when it was lost; a request that failed is never sent again.

mod chunked;
pub(crate) mod deadline;
pub(crate) mod dial;
mod http1;

use std::sync::Arc;

use http::Method;

use self::dial::Dialer;
use self::http1::Http1;
use crate::failure::{Answer, Failure};
use crate::load::tally::Tally;
use crate::plan::{Plan, Protocol};
use crate::sizes::{Bodies, Body};

/// What all requests have in common.
#[derive(Debug)]
pub(crate) struct Recipe {
    method: Method,
    /// For HTTP/1.1: the head without the length of a body and without the empty line.
    head: Vec<u8>,
    /// Whether requests have bodies, empty ones too.
    has_body: bool,
    /// Whether each request has a connection of its own.
    close: bool,
}

impl Recipe {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\nuser-agent: {AGENT}\r\n",
            plan.method, plan.target.path, plan.target.authority
        )
        .into_bytes();
        for (name, value) in &plan.fields {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        if plan.new_connections {
            head.extend_from_slice(b"connection: close\r\n");
        }
        Self {
            method: plan.method.clone(),
            head,
            has_body: !matches!(plan.bodies, Bodies::None),
            close: plan.new_connections,
        }
    }
}

/// What sends requests for one lane.
#[derive(Debug)]
pub(crate) enum Client {
    Http1(Http1),
}

impl Client {
    /// One for each connection and stream of `plan`.
    pub(crate) fn all(plan: &Plan, protocol: Protocol, dialer: &Arc<Dialer>) -> Vec<Self> {
        let recipe = Arc::new(Recipe::new(plan));
        let mut clients = Vec::new();
        for _ in 0..plan.connections {
            match protocol {
                _ => clients.push(Self::Http1(Http1::new(dialer.clone(), recipe.clone()))),
            }
        }
        clients
    }

    /// Opens its connection, so that no request has to wait for that. Safe to drop.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        match self {
            Self::Http1(client) => client.connect().await,
        }
    }

    /// Sends a request and takes its answer to the end. Safe to drop: that cancels the request.
    pub(crate) async fn exchange(
        &mut self,
        body: &Body,
        tally: &mut Tally,
    ) -> Result<Answer, Failure> {
        match self {
            Self::Http1(client) => client.exchange(body, tally).await,
        }
    }
}

const AGENT: &str = concat!("loadtest/", env!("CARGO_PKG_VERSION"));
