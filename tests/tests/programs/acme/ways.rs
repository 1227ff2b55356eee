//! All ways in which the authority asks, and those that it cannot.

use adit_shared::certificate;
use adit_tests::pebble::{BOUND, Pebble, Wish};

use super::{DOMAIN, Public, ask, calls, text, wait};

#[tokio::test]
async fn by_handshake_for_the_domain_a_name_and_an_own_domain() {
    let pebble = Pebble::start(Wish::default()).await;
    let relay = Public::start(&pebble, &[]).await;
    relay.trusted(DOMAIN).await;
    wait("ready", async || relay.look("/readyz").await.status == 200).await;
    for (flag, name, host) in [
        ("--subdomain", "app", "app.relay.test"),
        ("--hostname", "app.customer.test", "app.customer.test"),
    ] {
        let _agent = relay.agent(&[flag, name]).await;
        // The very first handshake waits for the certificate.
        let mut stream = relay.handshake(host).await.unwrap();
        assert_eq!(ask(&mut stream, host).await, "HTTP/1.1 200");
    }
    assert_eq!(relay.metric("adit_relay_certificates").await, 3.0);
    assert_eq!(
        relay.metric("adit_relay_certificate_failures_total").await,
        0.0
    );
    let list = relay.command(&["certificate", "list"]).await;
    assert_eq!(list.matches("good").count(), 3, "{list}");
    // What is at rest gives no key away.
    let database = std::fs::read(relay.state.path().join("relay.db")).unwrap();
    assert!(!database.windows(11).any(|part| part == b"PRIVATE KEY"));
}

#[tokio::test]
async fn by_request_when_handshakes_do_not_reach_the_relay() {
    let wish = Wish {
        reaches_https: false,
        ..Wish::default()
    };
    let pebble = Pebble::start(wish).await;
    let relay = Public::start(&pebble, &[]).await;
    relay.trusted(DOMAIN).await;
}

#[tokio::test]
async fn by_dns_for_a_wildcard_and_then_no_more() {
    let pebble = Pebble::start(Wish::default()).await;
    let (hook, called) = pebble.hook();
    let flags = ["--acme-dns-hook", text(&hook), "--acme-dns-wait", "0"];
    let relay = Public::start(&pebble, &flags).await;
    let own = relay.trusted(DOMAIN).await;
    assert_eq!(relay.trusted("anything.relay.test").await, own);
    let _agent = relay.agent(&["--subdomain", "app"]).await;
    let mut stream = relay.handshake("app.relay.test").await.unwrap();
    assert_eq!(ask(&mut stream, "app.relay.test").await, "HTTP/1.1 200");
    assert_eq!(
        relay.metric("adit_relay_certificate_orders_total").await,
        1.0
    );
    wait("records are removed", async || calls(&called).len() == 4).await;
    let calls = calls(&called);
    assert!(calls[0].starts_with("present _acme-challenge.relay.test. "));
    assert_eq!(
        calls.iter().filter(|c| c.starts_with("cleanup ")).count(),
        2
    );
}

#[tokio::test]
async fn a_host_that_leads_elsewhere_is_not_ordered_again_and_again() {
    let pebble = Pebble::start(Wish::default()).await;
    let host = "gone.customer.test";
    pebble.lead_astray(host).await;
    let relay = Public::start(&pebble, &[]).await;
    relay.trusted(DOMAIN).await;
    let agent = relay.agent(&["--hostname", host]).await;
    wait("the failure", async || {
        relay.metric("adit_relay_certificate_failures_total").await == 1.0
    })
    .await;
    let list = relay.command(&["certificate", "list"]).await;
    assert!(
        list.contains(host) && list.contains("could not verify"),
        "{list}"
    );
    drop(agent);
    let _agent = relay.agent(&["--hostname", host]).await;
    // Nothing is waited for: the failure is known.
    let shown = tokio::time::timeout(adit_tests::SOON / 2, relay.handshake(host)).await;
    assert!(shown.unwrap().is_err());
    assert_eq!(
        relay.metric("adit_relay_certificate_orders_total").await,
        2.0
    );
    assert!(
        relay
            .program
            .errors()
            .contains("DNS must lead this host here")
    );
}

#[tokio::test]
async fn with_an_account_that_the_authority_knows_otherwise() {
    let wish = Wish {
        binds: true,
        ..Wish::default()
    };
    let pebble = Pebble::start(wish).await;
    let key = pebble.dir().join("eab.key");
    std::fs::write(&key, BOUND.1).unwrap();
    let flags = ["--acme-eab-id", BOUND.0, "--acme-eab-key", text(&key)];
    let relay = Public::start(&pebble, &flags).await;
    let leaf = relay.trusted(DOMAIN).await;
    assert!(certificate::identifier(&leaf).is_some());
}
