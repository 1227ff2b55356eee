//! Records that are set by signed updates (RFC 2136), at a DNS server that none of us wrote, which the
//! authority asks too.

use std::path::PathBuf;

use adit_tests::knot::Knot;
use adit_tests::pebble::{Pebble, Wish};

use super::{DOMAIN, Public, text, wait};

const SECRET: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDMy";

/// A server that takes updates, an authority that asks it, and the relay's settings for it.
async fn serve(algorithm: &str) -> (Knot, Pebble, PathBuf) {
    let knot = Knot::start(DOMAIN, algorithm, SECRET).await;
    let wish = Wish {
        dns: Some(knot.address),
        reaches_http: false,
        reaches_https: false,
        ..Wish::default()
    };
    let pebble = Pebble::start(wish).await;
    let settings = pebble.dir().join("dns.toml");
    let server = knot.address;
    let lines = format!(
        "server = \"{server}\"\nzone = \"{DOMAIN}\"\nkey = \"adit\"\n\
         algorithm = \"{algorithm}\"\nsecret = \"{SECRET}\"\n"
    );
    std::fs::write(&settings, lines).unwrap();
    (knot, pebble, settings)
}

#[tokio::test]
async fn a_wildcard_is_issued_by_updates_with_each_algorithm() {
    for algorithm in ["hmac-sha256", "hmac-sha384", "hmac-sha512"] {
        let (knot, pebble, settings) = serve(algorithm).await;
        let flags = [
            "--acme-dns-rfc2136",
            text(&settings),
            "--acme-dns-wait",
            "0",
        ];
        let relay = Public::start(&pebble, &flags).await;
        let own = relay.trusted(DOMAIN).await;
        assert_eq!(relay.trusted("anything.relay.test").await, own);
        wait("no record is left", async || {
            !knot.records().await.contains("_acme-challenge")
        })
        .await;
        assert!(knot.records().await.contains("ns.relay.test."));
    }
}

#[tokio::test]
async fn records_are_set_by_updates_and_those_of_a_crash_removed() {
    let (knot, pebble, settings) = serve("hmac-sha256").await;
    let flags = |wait| {
        [
            "--acme-dns-rfc2136",
            text(&settings),
            "--acme-dns-wait",
            wait,
        ]
    };
    let first = Public::start(&pebble, &flags("1h")).await;
    let count = async || knot.records().await.matches("_acme-challenge").count();
    wait("both records are there", async || count().await == 2).await;
    let state = first.state.clone();
    super::kill(first.program).await;
    let relay = Public::start_in(state, &pebble, &flags("0")).await;
    relay.trusted(DOMAIN).await;
    wait("no record is left", async || count().await == 0).await;
}

#[tokio::test]
async fn a_key_that_the_server_does_not_take_is_named_in_the_list() {
    let (knot, pebble, settings) = serve("hmac-sha256").await;
    let good = std::fs::read_to_string(&settings).unwrap();
    for (change, said) in [
        (good.replace(SECRET, "b3RoZXI="), "BADSIG"),
        (good.replace("\"adit\"", "\"other\""), "BADKEY"),
        (
            good.replace("\"relay.test\"", "\"customer.test\""),
            "is not in the zone",
        ),
    ] {
        std::fs::write(&settings, change).unwrap();
        let relay = Public::start(&pebble, &["--acme-dns-rfc2136", text(&settings)]).await;
        wait("the failure", async || {
            relay.metric("adit_relay_certificate_failures_total").await == 1.0
        })
        .await;
        let list = relay.command(&["certificate", "list"]).await;
        assert!(
            list.contains("cannot set a DNS record") && list.contains(said),
            "{list}"
        );
        // The next one listens at the same ports.
        super::kill(relay.program).await;
    }
    assert!(!knot.records().await.contains("_acme-challenge"));
}
