//! A certificate from its order to its revocation, in each way that an authority can ask.

use super::suggestion::serve;
use super::{DOMAIN, Public, Way, calls, serial, text, wait};

#[tokio::test]
async fn by_handshake_it_is_issued_renewed_revoked_and_replaced() {
    whole(Way::Handshake).await;
}

#[tokio::test]
async fn by_request_it_is_issued_renewed_revoked_and_replaced() {
    whole(Way::Request).await;
}

#[tokio::test]
async fn by_dns_it_is_issued_renewed_revoked_and_replaced() {
    whole(Way::Dns).await;
}

async fn whole(way: Way) {
    let pebble = way.pebble().await;
    // It suggests to renew the first certificate at once.
    let (directory, _) = serve(&pebble).await;
    let (hook, called) = pebble.hook();
    let mut flags = vec!["--acme-directory", &directory, "--acme-dns-wait", "0"];
    if way == Way::Dns {
        flags.extend(["--acme-dns-hook", text(&hook)]);
    }
    let relay = Public::start(&pebble, &flags).await;
    let first = relay.trusted(DOMAIN).await;
    let second = relay.replaced(DOMAIN, &first).await;
    for leaf in [&first, &second] {
        assert_eq!(pebble.status(&serial(leaf)).await, "Valid");
    }

    relay.revoke(&way.own(), &pebble).await;
    assert_eq!(pebble.status(&serial(&second)).await, "Revoked");
    let third = relay.replaced(DOMAIN, &second).await;
    assert_eq!(pebble.status(&serial(&third)).await, "Valid");
    assert_ne!(third, first);

    let count = async |name: &str| {
        relay
            .metric(&format!("adit_relay_certificate_{name}"))
            .await
    };
    assert_eq!(count("orders_total").await, 3.0);
    assert_eq!(count("failures_total").await, 0.0);
    if way == Way::Dns {
        // Two names each time, set and removed.
        wait("all records are removed", async || {
            calls(&called).len() == 12
        })
        .await;
    }
}
