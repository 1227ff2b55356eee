//! Webhooks that are signed and verified by the providers' own packages.

use adit_tests::program::{BuiltRelay, Program, ours, run};
use tokio::process::Command;

use crate::{node, origin, python};

/// What everything is signed with: base64, since some want that.
const SECRET: &str = "YSBzZWNyZXQgb2YgMzIgYnl0ZXMgZm9yIHRlc3RzISE=";

#[tokio::test]
async fn what_the_providers_own_packages_sign_is_genuine() {
    let relay = BuiltRelay::start(&[]).await;
    let (_origin, port) = origin(node("http/server.mjs")).await;
    let mut agent = relay.agent(&["--subdomain", "app", "--port", &port.to_string()]);
    for rule in [
        "github:/echo/github",
        "stripe:/echo/stripe",
        "svix:/echo/svix",
        "standard-webhooks:/echo/standard",
        "slack:/echo/slack",
        "twilio:/echo/twilio",
    ] {
        agent.args(["--verify", rule]);
    }
    let whsec = format!("whsec_{SECRET}");
    agent
        .env("ADIT_WEBHOOK_SECRET", SECRET)
        // Another before it: while one is replaced both are good.
        .env(
            "ADIT_WEBHOOK_SECRET_STRIPE",
            format!("whsec_b3RoZXI= {whsec}"),
        );
    let mut agent = Program::start(agent);
    agent
        .line("its URL", |line| line.starts_with("http").then_some(()))
        .await;
    // Twilio signs the URL with its scheme.
    let url = |scheme: &str| {
        let port = relay.address(scheme).port();
        format!("{scheme}://app.localhost:{port}")
    };
    let mut client = node("webhooks/client.mjs");
    client.args([&url("http"), "--secret", SECRET]);
    run(client).await;
    let mut client = python("webhooks/client.py");
    client.args([&url("https"), "--secret", SECRET, "--ca"]);
    client.arg(relay.ca());
    run(client).await;
}

#[tokio::test]
async fn samples_are_accepted_by_the_providers_own_packages() {
    let mut server = node("webhooks/server.mjs");
    server.env("SECRET", SECRET);
    let (_server, port) = origin(server).await;
    let send = |provider: &str, event: &str, path: &str| {
        let mut agent: Command = ours("agent");
        let url = format!("http://shop.localhost:{port}/{path}");
        agent.args(["webhook", "send", provider, event, "--to", &url]);
        agent.env("ADIT_WEBHOOK_SECRET", SECRET);
        agent.env("ADIT_WEBHOOK_SECRET_STRIPE", format!("whsec_{SECRET}"));
        agent
    };
    for (provider, event, path) in [
        ("github", "push", "github"),
        ("stripe", "payment_intent.succeeded", "stripe"),
        ("clerk", "user.created", "svix"),
        ("standard-webhooks", "order.paid", "standard"),
    ] {
        let said = run(send(provider, event, path)).await;
        assert!(said.starts_with("204 in "), "{provider}: {said}");
    }
    let mut refused = Program::start(send("github", "push", "stripe"));
    assert_eq!(refused.ended().await, Some(1));
    assert!(refused.rest().await[0].starts_with("400 in "));
    let mut unknown = Program::start(send("github", "nothing", "github"));
    assert_eq!(unknown.ended().await, Some(1));
    assert!(
        unknown
            .errors()
            .contains("one of: push, pull_request, ping")
    );
}
