//! All ways in which the authority asks, and those that it cannot.

use std::path::Path;

use adit_relay::store::{accounts, certificates, connect};
use adit_shared::certificate;
use adit_tests::pebble::{BOUND, Pebble, Wish};
use adit_tests::world::Scratch;
use rcgen::KeyPair;

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
        let mut stream = relay.first(host).await;
        assert_eq!(ask(&mut stream, host).await, "HTTP/1.1 200");
    }
    assert_eq!(relay.metric("adit_relay_certificates").await, 3.0);
    assert_eq!(
        relay.metric("adit_relay_certificate_failures_total").await,
        0.0
    );
    let list = relay.command(&["certificate", "list"]).await;
    assert_eq!(list.matches("good").count(), 3, "{list}");
}

#[tokio::test]
async fn what_is_at_rest_gives_no_key_away() {
    let pebble = Pebble::start(Wish::default()).await;
    let relay = Public::start(&pebble, &[]).await;
    relay.trusted(DOMAIN).await;
    assert_eq!(keys_in(relay.state.path()), Vec::<&str>::new());

    // They would have been found.
    let state = Scratch::new();
    let db = connect(state.path()).unwrap();
    let record = certificates::Record {
        name: DOMAIN.into(),
        directory: pebble.directory.clone(),
        chain: String::new(),
        key: KeyPair::generate().unwrap().serialize_der(),
        not_before: 0,
        not_after: 0,
        revoked_at: None,
    };
    certificates::put(&db, &record).unwrap();
    assert_eq!(keys_in(state.path()), ["key"]);
    let unsealed = br#"{"id":"x","key_pkcs8":"MIGHAgEAMBMG"}"#;
    accounts::put(&db, &pebble.directory, unsealed, 0).unwrap();
    assert_eq!(keys_in(state.path()), ["key", "account"]);
}

/// Whether a private key, or an account with one, can be read in the database or its log.
fn keys_in(state: &Path) -> Vec<&'static str> {
    let read = |file: &str| std::fs::read(state.join(file)).unwrap();
    let bytes = [read("relay.db"), read("relay.db-wal")].concat();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|at| at == part);
    // A record is there at all, if sealed.
    assert!(has(DOMAIN.as_bytes()));
    let found = [("key", has(P256_KEY)), ("account", has(b"key_pkcs8"))];
    let found = found.into_iter().filter(|(_, is_there)| *is_there);
    found.map(|(what, _)| what).collect()
}

/// What comes before the secret of such a key in PKCS#8: the name of the curve, then the beginning of the key
/// in the form of RFC 5915.
const P256_KEY: &[u8] = &[
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04,
    0x20,
];

#[tokio::test]
async fn handshakes_for_names_that_nobody_claimed_order_nothing() {
    let pebble = Pebble::start(Wish::default()).await;
    let relay = Public::start(&pebble, &[]).await;
    relay.trusted(DOMAIN).await;
    for i in 0..100 {
        // Of the relay's own domain and of others; the last is no name of a public host.
        for host in [
            format!("scan-{i}.relay.test"),
            format!("scan-{i}.customer.test"),
            format!("a.b-{i}.relay.test"),
            format!("scan-{i}"),
        ] {
            let shown = tokio::time::timeout(adit_tests::SOON / 2, relay.handshake(&host)).await;
            assert!(shown.expect("it waits for nothing").is_err(), "{host}");
        }
    }
    // The keeper has seen whatever was asked of it before this.
    let _agent = relay.agent(&["--subdomain", "app"]).await;
    relay.trusted("app.relay.test").await;
    let orders = relay.metric("adit_relay_certificate_orders_total").await;
    assert_eq!(orders, 2.0);
    let list = relay.command(&["certificate", "list"]).await;
    assert!(
        !list.contains("scan") && list.lines().count() == 3,
        "{list}"
    );
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
async fn a_host_that_leads_elsewhere_is_ordered_once_it_leads_here() {
    let pebble = Pebble::start(Wish::default()).await;
    let host = "app.customer.test";
    pebble.lead(host, "127.0.0.2").await;
    let relay = Public::start(&pebble, &[]).await;
    relay.trusted(DOMAIN).await;
    let _agent = relay.agent(&["--hostname", host]).await;
    let count = async |name: &str| relay.metric(&format!("adit_relay_{name}_total")).await;
    wait("a look at DNS", async || {
        count("certificates_astray").await >= 1.0
    })
    .await;
    let list = relay.command(&["certificate", "list"]).await;
    let said = "DNS leads app.customer.test to 127.0.0.2, and relay.test to 127.0.0.1";
    assert!(list.contains(said), "{list}");
    assert!(relay.program.errors().contains(said));
    // Nothing is waited for, and the authority knows nothing of it.
    let shown = tokio::time::timeout(adit_tests::SOON / 2, relay.handshake(host)).await;
    assert!(shown.unwrap().is_err());
    assert_eq!(count("certificate_orders").await, 1.0);

    pebble.lead(host, "127.0.0.1").await;
    relay.trusted(host).await;
    assert_eq!(count("certificate_orders").await, 2.0);
    assert_eq!(count("certificate_failures").await, 0.0);
}

#[tokio::test]
async fn a_host_that_an_authority_cannot_verify_is_not_ordered_again_and_again() {
    let pebble = Pebble::start(Wish::default()).await;
    let host = "gone.customer.test";
    pebble.lead(host, "127.0.0.2").await;
    // Of that the relay must not know.
    let relay = Public::start(&pebble, &["--acme-resolver", "off"]).await;
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
