//! Webhooks that are verified at the relay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use adit_agent::config::Inbox;
use adit_agent::status::Event;
use adit_relay::config::Webhooks;
use adit_shared::webhook::{Message, Mode, Rule, Secret, provider, sign};
use adit_shared::wire::fields::Fields;
use adit_tests::World;
use adit_tests::origin::Origin;
use adit_tests::visit::Answer;

/// A relay that has the secret of GitHub's webhooks to `/hook` of `app`.
async fn world(mode: Mode) -> World {
    let rule = |name: &str| Rule {
        provider: provider(name).unwrap(),
        mode,
        path: "/hook".parse().unwrap(),
        secrets: vec![Secret::new("secret").unwrap()],
        tolerance: None,
    };
    let table = Webhooks {
        hosts: "app".parse().unwrap(),
        rules: vec![rule("github"), rule("meta")],
        limit: 1000,
    };
    World::with(|config| config.webhooks = vec![table]).await
}

async fn post(world: &World, name: &str, target: &str, fields: &Fields, body: &[u8]) -> Answer {
    let mut head = format!(
        "POST {target} HTTP/1.1\r\nhost: {name}.localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in fields {
        head.push_str(&format!("{}: {}\r\n", name.escape_ascii(), text(value)));
    }
    head.push_str("\r\n");
    world.say(&[head.as_bytes(), body].concat()).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn signed(body: &[u8]) -> Fields {
    let fields = [("x-github-event", "push"), ("x-github-delivery", "7")];
    let fields = Fields::from_pairs(fields).unwrap();
    let message = Message::new("POST", "", &fields, body);
    let secret = Secret::new("secret").unwrap();
    let github = provider("github").unwrap();
    let made = sign(github, &secret, &message, SystemTime::now());
    made.unwrap().fields
}

#[tokio::test]
async fn what_the_relay_finds_not_genuine_reaches_neither_agent_nor_inbox() {
    let world = world(Mode::Enforce).await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let origin = Origin::serving(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { http::Response::new(http_body_util::Full::<bytes::Bytes>::from("taken")) }
    })
    .await;
    let url = format!("http://{}", origin.address);
    let set = |config: &mut adit_agent::config::Config| {
        config.tunnels[0].inbox = Some(Inbox::default());
    };
    let agent = world.agent_with("app", &url, set).await;
    let good = signed(b"{}");
    let none = Fields::new();
    let refused = |answer: &Answer| {
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert_eq!(answer.error(), Some("webhook-unverified"));
    };
    refused(&post(&world, "app", "/hook", &none, b"{}").await);
    refused(&post(&world, "app", "/hook", &good, b"{ }").await);
    // Another spelling of the path is no way around.
    refused(&post(&world, "app", "//HOOK/", &none, b"{}").await);
    assert_eq!(count.load(Ordering::Relaxed), 0);
    assert_eq!(post(&world, "app", "/hook", &good, b"{}").await.status, 200);
    assert_eq!(post(&world, "app", "/", &none, b"{}").await.status, 200);
    assert_eq!(count.load(Ordering::Relaxed), 2);
    let large = vec![b'x'; 1001];
    let answer = post(&world, "app", "/hook", &signed(&large), &large).await;
    let told = (answer.status.as_u16(), answer.error());
    assert_eq!(told, (413, Some("webhook-too-large")));
    // What a provider asks without a signature is answered.
    let asked = "/hook?hub.mode=subscribe&hub.challenge=1158201444";
    let answer = world.get("app", asked).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (200, "1158201444".into())
    );
    assert!(agent.stop().await);
    refused(&post(&world, "app", "/hook", &none, b"{}").await);
    let kept = post(&world, "app", "/hook", &good, b"{}").await;
    assert_eq!(kept.status, 202);
    let inboxes = world.admin_text("/api/v1/inboxes").await;
    assert!(inboxes.contains("\"waiting\":1"), "{inboxes}");
    let metrics = world.admin_text("/metrics").await;
    assert!(metrics.contains("webhook-unverified"), "{metrics}");
}

#[tokio::test]
async fn the_relay_tells_origin_and_agent_what_it_found_genuine() {
    let world = world(Mode::Tag).await;
    let mut agent = world.agent_with("app", "echo", |_| {}).await;
    let good = signed(b"{}");
    let said = post(&world, "app", "/hook", &good, b"{}").await.text();
    let tag = "adit-webhook-verified: github; event=\"push\"; id=\"7\"";
    assert!(said.contains(tag), "{said}");
    assert!(said.ends_with("{}"));
    let mut verified = async || {
        let request = agent.wait("a request", |event| match event {
            Event::Request(request) => Some(request),
            _ => None,
        });
        request.await.webhook.unwrap().verified
    };
    assert_eq!(verified().await, Some(true));
    // Nobody else can say so, and what is not genuine, or too large to tell, goes on without it.
    let claim = ("adit-webhook-verified", "github");
    let claimed = [claim, ("x-github-event", "push")];
    let claimed = Fields::from_pairs(claimed).unwrap();
    for target in ["/hook", "/other"] {
        let said = post(&world, "app", target, &claimed, b"{}").await;
        assert_eq!(said.status, 200);
        assert!(!said.text().contains("adit-webhook-verified"));
        assert_eq!(verified().await, None);
    }
    let large: Vec<u8> = (0..100_000).map(|at| b'a' + (at % 26) as u8).collect();
    let said = post(&world, "app", "/hook", &signed(&large), &large)
        .await
        .text();
    assert!(!said.contains("adit-webhook-verified"));
    assert!(said.ends_with(&text(&large)), "byte for byte");
}

#[tokio::test]
async fn other_hosts_are_not_looked_at() {
    let world = world(Mode::Enforce).await;
    let _agent = world.agent_with("other", "echo", |_| {}).await;
    let answer = post(&world, "other", "/hook", &Fields::new(), b"{}").await;
    assert_eq!(answer.status, 200);
}
