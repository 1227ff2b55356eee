//! Webhooks that are signed and verified by the providers' own packages.

use std::time::{Duration, SystemTime};

use adit_agent::config::{Config, Inbox, Webhooks};
use adit_agent::status::Event;
use adit_shared::webhook::{Mode, Rule};
use adit_shared::webhook::{Secret, provider};
use adit_tests::kept::{Webhook, keep};
use adit_tests::origin::Origin;
use adit_tests::program::{BuiltRelay, Program, ours, repository, run};
use adit_tests::world::{Agent, Scratch};
use adit_tests::{World, soon};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::{node, origin, python};

/// What everything is signed with: base64, since some want that.
const SECRET: &str = "YSBzZWNyZXQgb2YgMzIgYnl0ZXMgZm9yIHRlc3RzISE=";
/// The public key that goes with the private one of `webhooks/client.mjs`.
const DISCORD: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

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
        "shopify:/echo/shopify",
        "discord:/echo/discord",
    ] {
        agent.args(["--verify", rule]);
    }
    let whsec = format!("whsec_{SECRET}");
    agent
        .env("ADIT_WEBHOOK_SECRET", SECRET)
        .env("ADIT_WEBHOOK_SECRET_DISCORD", DISCORD)
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
    let mut server = python("webhooks/server.py");
    server.env("SECRET", SECRET);
    let (_slack, slack) = origin(server).await;
    let send = |provider: &str, event: &str, path: &str| {
        let mut agent: Command = ours("agent");
        let port = if path == "slack" { slack } else { port };
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
        ("slack", "message", "slack"),
        ("shopify", "orders/create", "shopify"),
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

/// A listener that verifies with the providers' own packages.
async fn listener() -> (Program, u16) {
    let mut server = node("webhooks/server.mjs");
    server.env("SECRET", SECRET);
    origin(server).await
}

#[tokio::test]
async fn what_was_kept_for_long_is_signed_anew_for_the_providers_own_packages() {
    let (_server, port) = listener().await;
    let whsec = format!("whsec_{SECRET}");
    for (sign_anew, status) in [(true, 204), (false, 400)] {
        let world = World::start().await;
        let rule = |name| Rule {
            provider: provider(name).unwrap(),
            mode: Mode::Enforce,
            path: "*".parse().unwrap(),
            secrets: vec![Secret::new(&whsec).unwrap()],
            tolerance: None,
        };
        let set = |config: &mut Config| {
            config.tunnels[0].inbox = Some(Inbox::default());
            config.tunnels[0].webhooks = Webhooks {
                rules: vec![rule("stripe"), rule("svix")],
                sign_anew,
                ..Webhooks::default()
            };
        };
        let url = format!("http://127.0.0.1:{port}");
        let away = world.agent_with("app", &url, set).await;
        let again = away.config();
        assert!(away.stop().await);
        let came = SystemTime::now() - Duration::from_secs(1200);
        let stripe = Webhook {
            provider: "stripe",
            secret: &whsec,
            signed: came,
            came,
            target: "/stripe",
            body: r#"{"id":"evt_1","object":"event","type":"charge.failed"}"#,
        };
        let svix = Webhook {
            provider: "svix",
            target: "/svix",
            ..stripe
        };
        let state = world.state().join("relay");
        let _world = world.restart_relay(keep(&state, &[stripe, svix])).await;
        let mut agent = Agent::start(again);
        agent.online().await;
        for name in ["stripe", "svix"] {
            let request = agent.wait("a delivery", |event| match event {
                Event::Request(request) => Some(request),
                _ => None,
            });
            let request = request.await;
            let webhook = request.webhook.unwrap();
            assert_eq!((webhook.provider, webhook.verified), (name, Some(true)));
            assert_eq!(request.status.unwrap(), status, "{name}");
        }
    }
}

/// The secret is known from its variable alone: no rule of `--verify` is about the request.
#[tokio::test]
async fn an_edited_replay_is_accepted_by_the_providers_own_package() {
    let (_server, port) = listener().await;
    let state = Scratch::new();
    let mut agent = ours("agent");
    agent
        .args(["--port", &port.to_string(), "--relay", "local"])
        .args(["--inspect", "127.0.0.1:0"])
        .arg("--state-dir")
        .arg(state.path())
        .env("XDG_STATE_HOME", state.path())
        .env("ADIT_WEBHOOK_SECRET_STRIPE", format!("whsec_{SECRET}"));
    let mut agent = Program::start(agent);
    let url = agent
        .line("its URL", |line| {
            line.starts_with("http://").then(|| line.to_owned())
        })
        .await;
    let page = agent
        .error("the inspector", |line| {
            line.strip_prefix("inspector: http://").map(str::to_owned)
        })
        .await;
    let page = page.trim_end_matches('/').to_owned();
    let mut send = ours("agent");
    let to = format!("{}/stripe", url.trim_end_matches('/'));
    send.args(["webhook", "send", "stripe", "payment_intent.succeeded"]);
    send.args(["--to", &to]);
    send.env("ADIT_WEBHOOK_SECRET_STRIPE", format!("whsec_{SECRET}"));
    let said = run(send).await;
    assert!(said.starts_with("204 in "), "{said}");
    let replay = async |edits: &str| {
        let length = edits.len();
        let request = format!(
            "POST /api/v1/requests/1/replay HTTP/1.1\r\nHost: {page}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{edits}"
        );
        let mut stream = TcpStream::connect(&page).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        soon("an answer", read).await.unwrap();
        answer
    };
    let edited = r#"{"wait":true,"body":"{\"id\":\"evt_2\",\"object\":\"event\"}""#;
    let answer = replay(&format!("{edited}}}")).await;
    assert!(answer.contains(r#""status":204"#), "{answer}");
    assert!(answer.contains(r#""signed":"stripe""#), "{answer}");
    let answer = replay(&format!(r#"{edited},"sign":false}}"#)).await;
    assert!(answer.contains(r#""status":400"#), "{answer}");
    assert!(answer.contains(r#""signed":null"#), "{answer}");
}
#[tokio::test]
async fn an_event_that_comes_again_after_a_restart_of_the_agent_is_marked() {
    let relay = BuiltRelay::start(&[]).await;
    let (sender, mut came) = mpsc::unbounded_channel();
    let origin = Origin::serving(move |request| {
        let attempt = request.headers().get("adit-webhook-attempt").cloned();
        drop(sender.send(attempt.map(|value| value.to_str().unwrap().to_owned())));
        async { Response::new(Full::new(Bytes::new())) }
    })
    .await;
    let url = format!("http://{}", origin.address);
    for (id, attempt) in [("one", None), ("one", Some("2")), ("other", None)] {
        let mut agent = Program::start(relay.agent(&["--subdomain", "app", "--origin", &url]));
        agent
            .line("its URL", |line| line.starts_with("http").then_some(()))
            .await;
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--max-time", "20", "--data", "{}"]);
        curl.args(["--header", "X-GitHub-Event: push"]);
        curl.args(["--header", &format!("X-GitHub-Delivery: {id}")]);
        let port = relay.address("http").port();
        curl.arg(format!("http://app.localhost:{port}/hooks"));
        run(curl).await;
        assert_eq!(came.recv().await.unwrap().as_deref(), attempt, "{id}");
        agent.signal("TERM").await;
        assert_eq!(agent.ended().await, Some(0));
    }
}

#[tokio::test]
async fn the_tutorial_is_true() {
    let state = Scratch::new();
    let agent = ours("agent").as_std().get_program().to_owned();
    let programs = std::path::Path::new(&agent).parent().unwrap();
    let mut client = python("tutorial/follow.py");
    client
        .arg(repository().join("docs/webhooks.md"))
        .arg(programs)
        .arg("--state")
        .arg(state.path());
    run(client).await;
}
