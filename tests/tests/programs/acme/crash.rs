//! A relay that ends in the middle of an order, twice: by a power cut, and because it was told to.

use std::sync::Arc;

use adit_tests::world::Scratch;

use super::{DOMAIN, Public, Way, calls, kill, text, wait};

#[tokio::test]
async fn an_order_by_handshake_that_is_interrupted_is_no_failure() {
    interrupted(Way::Handshake).await;
}

#[tokio::test]
async fn an_order_by_request_that_is_interrupted_is_no_failure() {
    interrupted(Way::Request).await;
}

#[tokio::test]
async fn an_order_by_dns_that_is_interrupted_is_no_failure() {
    interrupted(Way::Dns).await;
}

async fn interrupted(way: Way) {
    let mut pebble = way.pebble().await;
    let (hook, called) = pebble.hook();
    let state = Arc::new(Scratch::new());
    let flags = |wait| match way {
        Way::Dns => vec!["--acme-dns-hook", text(&hook), "--acme-dns-wait", wait],
        Way::Handshake | Way::Request => Vec::new(),
    };
    for set in [2, 6] {
        let mut relay = Public::start_in(state.clone(), &pebble, &flags("1h")).await;
        match way {
            // It waits for long after it has set its records.
            Way::Dns => wait("records are set", async || calls(&called).len() == set).await,
            Way::Handshake => pebble.asks().await,
            Way::Request => {
                // It tries a handshake first.
                pebble.asks().await;
                pebble.asks().await;
            }
        }
        if set == 2 {
            kill(relay.program).await;
        } else {
            relay.program.signal("TERM").await;
            assert_eq!(relay.program.ended().await, Some(0));
        }
    }
    let relay = Public::start_in(state, &pebble, &flags("1s")).await;
    let list = relay.command(&["certificate", "list"]).await;
    assert!(list.contains("ordered"), "{list}");
    relay.trusted(DOMAIN).await;
    let failures = relay.metric("adit_relay_certificate_failures_total").await;
    assert_eq!(failures, 0.0);
    if way == Way::Dns {
        wait("all records are removed", async || {
            calls(&called).len() == 12
        })
        .await;
        let calls = calls(&called);
        // The hook removes all records of a name: had those of an order been set before those of the last one
        // were removed, it would have removed both.
        let actions: String = calls
            .iter()
            .filter_map(|call| call.chars().next())
            .collect();
        assert_eq!(actions, "ppccppccppcc", "{calls:#?}");
    }
}
