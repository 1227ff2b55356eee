//! Certificates that end, are revoked, or whose order was interrupted.

use std::sync::Arc;

use adit_shared::certificate;
use adit_tests::pebble::{Pebble, Wish};
use adit_tests::program::{ours, run};
use adit_tests::world::Scratch;

use super::{DOMAIN, Public, ask, calls, kill, settings, text, wait};

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
    let mut open = relay.handshake(host).await.unwrap();
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
async fn what_was_revoked_is_replaced() {
    let pebble = Pebble::start(Wish::default()).await;
    let relay = Public::start(&pebble, &[]).await;
    let old = relay.trusted(DOMAIN).await;
    let mut revoke = ours("relay");
    revoke
        .args(["certificate", "revoke", DOMAIN, "--domain", DOMAIN])
        .args(settings(&pebble))
        .args(["--acme-directory", &pebble.directory, "--state-dir"])
        .arg(relay.state.path());
    run(revoke).await;
    let (_, serial) = certificate::identifier(&old).unwrap();
    let serial: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
    let serial = serial.trim_start_matches('0').to_owned();
    assert_eq!(pebble.status(&serial).await, "Revoked");
    relay.replaced(DOMAIN, &old).await;
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
async fn a_crash_in_the_middle_of_an_order_costs_nothing_but_time() {
    let pebble = Pebble::start(Wish::default()).await;
    let (hook, called) = pebble.hook();
    let state = Arc::new(Scratch::new());
    // It waits for ever after it has set its records.
    let flags = ["--acme-dns-hook", text(&hook), "--acme-dns-wait", "1h"];
    let relay = Public::start_in(state.clone(), &pebble, &flags).await;
    wait("records are set", async || calls(&called).len() == 2).await;
    kill(relay.program).await;
    let flags = ["--acme-dns-hook", text(&hook), "--acme-dns-wait", "1s"];
    let relay = Public::start_in(state, &pebble, &flags).await;
    relay.trusted(DOMAIN).await;
    // Those of the order that did not end are removed too.
    wait("all records are removed", async || {
        let calls = calls(&called);
        let set = calls
            .iter()
            .filter_map(|call| call.strip_prefix("present "));
        set.into_iter()
            .all(|record| calls.contains(&format!("cleanup {record}")))
    })
    .await;
    assert_eq!(
        relay.metric("adit_relay_certificate_failures_total").await,
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
