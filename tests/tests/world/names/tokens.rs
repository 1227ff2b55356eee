//! Tokens: who is let in, and with which names.

use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use adit_agent::config::Config as AgentConfig;
use adit_relay::auth::Token;
use adit_relay::store::{self, tokens};
use adit_tests::World;
use adit_tests::origin::Origin;
use adit_tests::world::Agent;

use super::{refused, turned_away, url, word};

/// A relay that lets nobody in without a token, and one for each of these lists of names.
async fn guarded<const N: usize>(names: [&[&str]; N]) -> (World, [Token; N]) {
    let tokens = names.map(|_| Token::generate().unwrap());
    let made = tokens.clone();
    let world = World::with(move |config| {
        config.open = false;
        for (token, names) in made.iter().zip(names) {
            keep(&config.state_dir, token, names);
        }
    })
    .await;
    (world, tokens)
}

/// What `relay token create` does.
pub(crate) fn keep(state_dir: &FilePath, token: &Token, names: &[&str]) {
    let record = tokens::Record {
        id: token.id().to_string(),
        hash: token.hash(),
        label: String::new(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        created_at: store::now(),
        last_used_at: None,
        revoked_at: None,
    };
    tokens::create(&store::connect(state_dir).unwrap(), &record).unwrap();
}

/// What `relay token revoke` does.
fn revoke(world: &World, token: &Token) {
    let db = store::connect(&world.state().join("relay")).unwrap();
    assert!(tokens::revoke(&db, token.id().as_str(), store::now()).unwrap());
}

fn with_token(mut config: AgentConfig, token: &str) -> AgentConfig {
    config.token = (!token.is_empty()).then(|| token.parse().unwrap());
    config
}

#[tokio::test]
async fn each_bad_token_is_refused_with_a_sentence_of_its_own() {
    let (world, [good, ended]) = guarded([&["*"], &["*"]]).await;
    revoke(&world, &ended);
    let config = with_token(world.agent_config("", "echo"), ended.reveal());
    // The relay looks once a second, so the first may have been let in for that long.
    turned_away(&mut Agent::start(config.clone())).await;
    let message = turned_away(&mut Agent::start(config)).await;
    assert_eq!(
        message,
        "the token was revoked: ask the operator of the relay for a new one"
    );

    let text = good.reveal();
    let unknown = Token::generate().unwrap();
    let mistyped = format!(
        "{}{}",
        &text[..51],
        if text.ends_with('a') { 'b' } else { 'a' }
    );
    for (token, sentence) in [
        ("", "this relay asks for a token"),
        ("hunter2", "a token begins with `adit_`"),
        (&text[..40], "the token is cut"),
        (&*format!("{text}x"), "something added to it"),
        (&*mistyped, "the token is mistyped"),
        (unknown.reveal(), "does not know the token"),
    ] {
        let mut agent = Agent::start(with_token(world.agent_config("shop", "echo"), token));
        let message = turned_away(&mut agent).await;
        assert!(message.contains(sentence), "{token}: {message}");
        assert!(token.is_empty() || !message.contains(token), "{message}");
    }
    assert_eq!(world.get("shop", "/").await.error(), Some("unknown-name"));
    Agent::start(with_token(world.agent_config("shop", "echo"), text))
        .online()
        .await;
}

#[tokio::test]
async fn a_token_allows_the_names_of_its_patterns_only() {
    let (world, [token]) = guarded([&["app-*", "*.customer.com"]]).await;
    let config = |name: &str| with_token(world.agent_config(name, "echo"), token.reveal());

    let mut allowed = Agent::start(config("app-1"));
    allowed.online().await;
    assert_eq!(world.get("app-1", "/").await.status, 200);

    assert_eq!(
        refused(config("shop")).await,
        (
            "not-allowed",
            "the token does not cover shop, only app-*, *.customer.com".to_owned()
        )
    );
    let (reason, message) = refused(config("")).await;
    assert_eq!(reason, "not-allowed");
    assert!(
        message.contains("only app-*, *.customer.com; ask for one of these with --subdomain"),
        "{message}"
    );

    let mut own = config("");
    own.tunnels[0].host = Some("www.customer.com".parse().unwrap());
    Agent::start(own.clone()).online().await;
    own.tunnels[0].host = Some("www.customer.org".parse().unwrap());
    assert_eq!(refused(own).await.0, "not-allowed");
}

#[tokio::test]
async fn a_token_with_many_patterns_still_says_what_it_allows() {
    let names: Vec<String> = (0..100).map(|n| format!("customer-{n:04}-*")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (world, [token]) = guarded([&names]).await;
    for name in ["", "shop"] {
        let config = with_token(world.agent_config(name, "echo"), token.reveal());
        let (reason, message) = refused(config).await;
        assert_eq!(reason, "not-allowed");
        assert!(message.contains("customer-0000-*"), "{message}");
    }
}

#[tokio::test]
async fn agents_with_one_token_share_its_names() {
    let (world, [ours, theirs]) = guarded([&["*"], &["*"]]).await;
    let (one, two) = (word("one").await, word("two").await);
    let config = |origin: &Origin, token: &Token| {
        with_token(world.agent_config("shop", &url(origin)), token.reveal())
    };
    let mut first = Agent::start(config(&one, &ours));
    first.online().await;
    assert_eq!(refused(config(&two, &theirs)).await.0, "taken");
    assert_eq!(world.get("shop", "/").await.text(), "one");

    let mut colleague = Agent::start(config(&two, &ours));
    colleague.online().await;
    assert_eq!(world.get("shop", "/").await.text(), "two");
    let message = turned_away(&mut first).await;
    assert!(message.contains("shop.localhost"), "{message}");
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_its_sessions_within_three_seconds() {
    let (world, [good, bad]) = guarded([&["*"], &["*"]]).await;
    let config =
        |name: &str, token: &Token| with_token(world.agent_config(name, "echo"), token.reveal());
    let mut stays = Agent::start(config("stays", &good));
    stays.online().await;
    let mut goes = Agent::start(config("goes", &bad));
    goes.online().await;
    assert_eq!(world.get("goes", "/").await.status, 200);

    let begun = Instant::now();
    revoke(&world, &bad);
    let message = turned_away(&mut goes).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(message.contains("revoked"), "{message}");
    assert_eq!(world.get("stays", "/").await.status, 200);
    let again = &mut Agent::start(config("goes", &bad));
    assert!(turned_away(again).await.contains("revoked"));
}

#[tokio::test]
async fn a_revocation_that_a_hello_sees_first_still_ends_the_sessions() {
    let (world, [bad]) = guarded([&["*"]]).await;
    let config = with_token(world.agent_config("goes", "echo"), bad.reveal());
    let mut goes = Agent::start(config);
    goes.online().await;
    revoke(&world, &bad);
    // An unknown token makes the relay look at once, before its watch does.
    let unknown = Token::generate().unwrap();
    let stranger = with_token(world.agent_config("", "echo"), unknown.reveal());
    turned_away(&mut Agent::start(stranger)).await;
    assert!(turned_away(&mut goes).await.contains("revoked"));
}

#[tokio::test]
async fn a_derived_name_is_not_taken_from_a_colleague_with_the_same_token() {
    use adit_relay::route::derive::candidates;
    use adit_shared::identity::Identity;

    let (world, [token]) = guarded([&["*"]]).await;
    let config = with_token(world.agent_config("", "echo"), token.reveal());
    let identity = Identity::load_or_create(&config.identity()).unwrap();
    let mut derived = candidates(&identity.fingerprint(), "echo");
    let (first, second) = (derived.next().unwrap(), derived.next().unwrap());
    // The colleague has by choice what would have been derived here.
    let theirs = with_token(world.agent_config(first.as_str(), "echo"), token.reveal());
    let mut colleague = Agent::start(theirs);
    colleague.online().await;
    let mut agent = Agent::start(config);
    agent.online().await;
    assert!(agent.url.contains(second.as_str()), "{}", agent.url);
    assert_eq!(world.get(first.as_str(), "/").await.status, 200);
}
