//! Requests in the inbox of a relay that does not run, as if they had come at another time.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adit_relay::queue::database::State;
use adit_relay::queue::letter::Letter;
use adit_relay::queue::{Inboxes, Limits};
use adit_relay::route::{self, Routes};
use adit_shared::webhook::{Message, Secret, provider, sign};
use adit_shared::wire::fields::Fields;
use adit_shared::wire::head;
use bytes::Bytes;
use http::header::HeaderValue;
use http::{HeaderMap, Method};

/// A webhook.
#[derive(Clone, Copy, Debug)]
pub struct Webhook<'a> {
    /// Who signed it.
    pub provider: &'a str,
    /// With what.
    pub secret: &'a str,
    /// When.
    pub signed: SystemTime,
    /// When it came to the relay.
    pub came: SystemTime,
    /// Path and query.
    pub target: &'a str,
    /// The body.
    pub body: &'static str,
}

/// Puts webhooks into the inbox of `app.localhost`, which is in the state directory of a relay.
pub async fn keep(relay: &Path, webhooks: &[Webhook<'_>]) {
    let routes = Routes::new(route::Limits {
        hold: Duration::ZERO,
        held_per_host: 0,
        held: 0,
        held_bytes: 0,
        reserve: Duration::ZERO,
    });
    let inboxes = Inboxes::open(relay, Limits::default(), routes).unwrap();
    let tray = inboxes.tray(&"app.localhost".parse().unwrap()).unwrap();
    for webhook in webhooks {
        let length = webhook.body.len().to_string();
        let fields = Fields::from_pairs([("content-length", &*length)]).unwrap();
        let message = Message::new("POST", "", &fields, webhook.body.as_bytes());
        let secret = Secret::new(webhook.secret).unwrap();
        let provider = provider(webhook.provider).unwrap();
        let signed = sign(provider, &secret, &message, webhook.signed).unwrap();
        let came = webhook.came.duration_since(UNIX_EPOCH).unwrap();
        let letter = Letter {
            head: head::Request {
                tunnel: 0,
                method: Method::POST,
                https: false,
                authority: HeaderValue::from_static("app.localhost"),
                target: webhook.target.parse().unwrap(),
                protocol: None,
                arrival: None,
                fields: signed.fields,
                end: false,
            },
            body: Bytes::from_static(webhook.body.as_bytes()),
            trailers: HeaderMap::new(),
            received: i64::try_from(came.as_millis()).unwrap(),
        };
        let put = inboxes.put(&tray, &letter, None, State::Waiting, 0);
        put.await.unwrap();
    }
}
