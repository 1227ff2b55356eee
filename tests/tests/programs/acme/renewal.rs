//! Certificates that end, and an authority that is away.

use std::sync::Arc;

use adit_shared::certificate;
use adit_tests::pebble::{Pebble, Wish};
use adit_tests::world::Scratch;

use super::{DOMAIN, Public, ask, kill, wait};

#[tokio::test]
async fn a_renewal_drops_no_connection() {
    let wish = Wish {
        life: 20,
        ..Wish::default()
    };
    let pebble = Pebble::start(wish).await;
    let relay = Public::start(&pebble, &[]).await;
    let old = relay.trusted(DOMAIN).await;
    let _agent = relay.agent(&["--subdomain", "app"]).await;
    let host = "app.relay.test";
    let mut open = relay.first(host).await;
    assert_eq!(ask(&mut open, host).await, "HTTP/1.1 200");
    let sessions = async || relay.look("/api/v1/sessions").await.text();
    let id = |sessions: &str| {
        let sessions: serde_json::Value = serde_json::from_str(sessions).unwrap();
        sessions[0]["id"].as_str().unwrap().to_owned()
    };
    let session = id(&sessions().await);
    let new = relay.replaced(DOMAIN, &old).await;
    let ends = |leaf| *certificate::validity(leaf).unwrap().end();
    assert!(ends(&new) > ends(&old));
    relay.replaced(host, &super::leaf(&open)).await;
    assert_eq!(ask(&mut open, host).await, "HTTP/1.1 200");
    assert_eq!(id(&sessions().await), session);
}

#[tokio::test]
async fn a_restart_orders_nothing_anew() {
    let pebble = Pebble::start(Wish::default()).await;
    let state = Arc::new(Scratch::new());
    let relay = Public::start_in(state.clone(), &pebble, &[]).await;
    let old = relay.trusted(DOMAIN).await;
    kill(relay.program).await;
    let relay = Public::start_in(state, &pebble, &[]).await;
    assert_eq!(super::leaf(&relay.handshake(DOMAIN).await.unwrap()), old);
    assert_eq!(
        relay.metric("adit_relay_certificate_orders_total").await,
        0.0
    );
}

#[tokio::test]
async fn an_authority_that_is_away_is_asked_again_soon() {
    let pebble = Pebble::start(Wish::default()).await;
    // Nothing listens there.
    let nowhere = format!("https://127.0.0.2:{}/dir", pebble.https);
    let relay = Public::start(&pebble, &["--acme-directory", &nowhere]).await;
    wait("two orders that fail", async || {
        relay.metric("adit_relay_certificate_failures_total").await == 2.0
    })
    .await;
    assert_eq!(relay.look("/readyz").await.status, 503);
    let list = relay.command(&["certificate", "list"]).await;
    assert!(list.contains("cannot connect to 127.0.0.2"), "{list}");
    assert!(relay.program.errors().contains("must reach the authority"));
}
