//! Names and trust: who gets which name, who keeps it, and who is let in at all.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_agent::config::{Config as AgentConfig, RelayAddress};
use adit_agent::link::Stop;
use adit_agent::status::Event;
use adit_relay::auth::Token;
use adit_relay::store::{self, tokens};
use adit_shared::identity::Identity;
use adit_shared::quic::tls::{self, Trust, read_certificates};
use adit_shared::wire::code::Close;
use adit_shared::wire::control::{Message, Refusal};
use adit_tests::origin::Origin;
use adit_tests::path::Faults;
use adit_tests::visit::parse;
use adit_tests::world::Agent;
use adit_tests::{Path, World, eventually, soon};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use super::hostile::Evil;

/// An origin that answers every request with this word.
async fn word(word: &str) -> Origin {
    let len = word.len();
    Origin::saying(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{word}"
    ))
    .await
}

fn url(origin: &Origin) -> String {
    format!("http://{}", origin.address)
}

/// An agent that is refused; says the reason for programs and the one for people.
async fn refused(config: AgentConfig) -> (&'static str, String) {
    let mut agent = Agent::start(config);
    let refusal = agent.wait("refused", |event| match event {
        Event::Refused {
            reason, message, ..
        } => Some((reason, message)),
        _ => None,
    });
    let (reason, message) = refusal.await;
    assert_eq!(turned_away(&mut agent).await, message);
    (reason, message)
}

/// Waits until the agent ends because the relay does not want it; says what it is told.
async fn turned_away(agent: &mut Agent) -> String {
    match agent.ended().await {
        Err(Stop::Refused(message) | Stop::Replaced(message)) => message,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_derived_name_follows_from_identity_and_origin() {
    let world = World::start().await;
    let (one, two) = (word("one").await, word("two").await);
    let agent = world.agent_with("", &url(&one), |_| {}).await;
    let (config, first) = (agent.config(), agent.url.clone());
    let name = first.strip_prefix("http://").unwrap().split('.').next();
    assert_eq!(world.get(name.unwrap(), "/").await.text(), "one");
    agent.stop().await;

    let mut again = Agent::start(config.clone());
    again.online().await;
    assert_eq!(again.url, first, "the same laptop gets the same URL");

    let stranger = world.agent_with("", &url(&one), |_| {}).await;
    assert_ne!(stranger.url, first, "another identity");
    let elsewhere = world
        .agent_with("", &url(&two), |other| other.state_dir = config.state_dir)
        .await;
    assert_ne!(elsewhere.url, first, "another origin");
}

#[tokio::test]
async fn a_name_that_is_asked_for_is_granted() {
    let world = World::start().await;
    let origin = word("shop").await;
    let agent = world.agent("shop", origin.address).await;
    let port = world.http.port();
    assert_eq!(agent.url, format!("http://shop.localhost:{port}"));
    assert_eq!(world.get("shop", "/").await.text(), "shop");
}

#[tokio::test]
async fn a_reserved_name_is_refused() {
    let world = World::start().await;
    let (reason, message) = refused(world.agent_config("www", "echo")).await;
    assert_eq!(reason, "reserved");
    assert_eq!(message, "www is reserved; choose another --subdomain");
    assert_eq!(world.get("www", "/").await.error(), Some("unknown-name"));
}

#[tokio::test]
async fn what_is_no_name_or_host_is_refused() {
    let world = World::start().await;
    let mut agent = Evil::join(&world, "shop").await;
    let long = "x".repeat(1024);
    for (name, host, reason) in [
        ("a.b", "", Refusal::Invalid),
        ("-a", "", Refusal::Invalid),
        ("xn--80ak6aa92e", "", Refusal::Invalid),
        ("a b", "", Refusal::Invalid),
        ("caf\u{e9}", "", Refusal::Invalid),
        ("a\nb", "", Refusal::Invalid),
        (&*"x".repeat(64), "", Refusal::Invalid),
        (&*long, "", Refusal::Invalid),
        ("WWW", "", Refusal::Reserved),
        ("", "shop example.com", Refusal::Invalid),
        ("", "shop.example.com:80", Refusal::Invalid),
        ("", "shop.example.com/", Refusal::Invalid),
        ("", "-a.localhost", Refusal::Invalid),
        ("", "www.localhost", Refusal::Reserved),
        ("", "localhost", Refusal::Reserved),
        ("", &*long, Refusal::Invalid),
    ] {
        let answer = agent.claim(name, host).await;
        let Message::Refused(refused) = answer else {
            panic!("{name}{host}: {answer:?}");
        };
        assert_eq!(refused.reason, reason, "{name}{host}: {}", refused.message);
        assert!(!refused.message.contains('\n'), "{}", refused.message);
    }
    // None of that harmed the session.
    let granted = agent.claim("SHOP-2", "").await;
    assert!(matches!(granted, Message::Granted(_)), "{granted:?}");
}

#[tokio::test]
async fn one_agent_takes_no_more_names_than_the_relay_allows() {
    let world = World::with(|config| config.limits.tunnels_per_agent = 2).await;
    let mut agent = Evil::join(&world, "one").await;
    assert!(matches!(agent.claim("two", "").await, Message::Granted(_)));
    let Message::Refused(refused) = agent.claim("three", "").await else {
        panic!("granted");
    };
    assert_eq!(refused.reason, Refusal::Full);
    assert!(refused.message.contains("at most 2"), "{}", refused.message);
}

/// Invariant 6: a name belongs to one identity at a time, and nobody else can take it.
#[tokio::test]
async fn a_name_in_use_is_refused_to_everybody_else() {
    let world = World::start().await;
    let origin = word("first").await;
    let mut first = world.agent("shop", origin.address).await;
    let (reason, message) = refused(world.agent_config("shop", "echo")).await;
    assert_eq!(reason, "taken");
    assert_eq!(
        message,
        "shop.localhost belongs to another agent; choose another --subdomain"
    );
    assert_eq!(world.get("shop", "/").await.text(), "first");
    while let Ok(event) = first.events.try_recv() {
        assert!(!matches!(event, Event::Offline { .. }), "{event:?}");
    }
}

/// Invariant 6: its owner can always take a name back at once.
#[tokio::test]
async fn a_name_whose_old_connection_hangs_is_taken_over_at_once() {
    let world = World::start().await;
    let (before, after) = (word("before").await, word("after").await);
    let path = Path::to(world.quic, 6).await;
    let port = path.address.port();
    let old = world
        .agent_with("shop", &url(&before), |config| {
            config.relay = RelayAddress::Remote {
                host: "127.0.0.1".into(),
                port,
            };
        })
        .await;
    assert_eq!(world.get("shop", "/").await.text(), "before");
    path.set(Faults {
        cut: true,
        ..Faults::default()
    });

    let begun = Instant::now();
    let _new = world
        .agent_with("shop", &url(&after), |config| {
            config.state_dir = old.config().state_dir;
        })
        .await;
    assert_eq!(world.get("shop", "/").await.text(), "after");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn an_agent_whose_name_was_taken_over_by_its_owner_ends_and_says_why() {
    let world = World::start().await;
    let mut old = world.agent_with("shop", "echo", |_| {}).await;
    let origin = word("new").await;
    let _new = world
        .agent_with("shop", &url(&origin), |config| {
            config.state_dir = old.config().state_dir;
        })
        .await;
    let message = turned_away(&mut old).await;
    assert!(message.contains("shop.localhost"), "{message}");
    assert_eq!(world.get("shop", "/").await.text(), "new");
}

#[tokio::test]
async fn an_agent_in_mid_upload_hears_that_it_was_taken_over() {
    let world = World::start().await;
    let (came, mut bytes) = watch::channel(0);
    let origin = Origin::scripted(move |mut stream| {
        let came = came.clone();
        async move {
            let mut piece = vec![0; 1 << 16];
            while let Ok(len @ 1..) = stream.read(&mut piece).await {
                came.send_modify(|sum| *sum += len);
            }
        }
    })
    .await;
    let path = Path::to(world.quic, 7).await;
    // Loss keeps the congestion window small, and so always full.
    path.set(Faults {
        delay: Duration::from_millis(20),
        loss: 0.03,
        ..Faults::default()
    });
    let port = path.address.port();
    let mut old = world
        .agent_with("shop", &url(&origin), |config| {
            config.relay = RelayAddress::Remote {
                host: "127.0.0.1".into(),
                port,
            };
        })
        .await;
    let mut visitor = world.dial().await;
    tokio::spawn(async move {
        let head = b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 999999999\r\n\r\n";
        visitor.write_all(head).await.unwrap();
        while visitor.write_all(&[0; 1 << 16]).await.is_ok() {}
    });
    let under_way = bytes.wait_for(|sum| *sum > 1 << 20);
    soon("an upload", under_way).await.unwrap();

    let _new = world
        .agent_with("shop", "echo", |config| {
            config.state_dir = old.config().state_dir;
        })
        .await;
    let message = turned_away(&mut old).await;
    assert!(message.contains("shop.localhost"), "{message}");
}

#[tokio::test]
async fn a_name_is_free_at_once_after_a_goodbye() {
    let world = World::start().await;
    world.agent_with("shop", "echo", |_| {}).await.stop().await;
    let origin = word("next").await;
    let _next = world.agent("shop", origin.address).await;
    assert_eq!(world.get("shop", "/").await.text(), "next");
}

#[tokio::test]
async fn a_name_is_kept_for_an_agent_that_was_lost() {
    let world = World::start().await;
    let agent = world.agent_with("shop", "echo", |_| {}).await;
    let config = agent.config();
    agent.kill();
    eventually("the loss is noticed", || async {
        sessions(&world).await == 0
    })
    .await;
    let (reason, _) = refused(world.agent_config("shop", "echo")).await;
    assert_eq!(reason, "taken");
    Agent::start(config).online().await;
}

#[tokio::test]
async fn a_reserved_time_keeps_a_name_after_a_goodbye_too() {
    let world = World::with(|config| config.reserve = HOUR).await;
    let agent = world.agent_with("shop", "echo", |_| {}).await;
    let config = agent.config();
    agent.stop().await;
    let (reason, _) = refused(world.agent_config("shop", "echo")).await;
    assert_eq!(reason, "taken");
    Agent::start(config).online().await;
}

#[tokio::test]
async fn a_known_name_is_away_and_an_unknown_one_is_unknown() {
    let world = World::with(|config| config.hold = Duration::ZERO).await;
    world.agent_with("shop", "echo", |_| {}).await.stop().await;
    let away = world.get("shop", "/").await;
    assert_eq!(
        (away.status.as_u16(), away.error()),
        (503, Some("agent-away"))
    );
    assert_eq!(away.fields["retry-after"], "5");
    let unknown = world.get("shed", "/").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.error()),
        (404, Some("unknown-name"))
    );
}

#[tokio::test]
async fn names_survive_a_restart_of_the_relay() {
    let change = |config: &mut adit_relay::config::Config| {
        config.reserve = HOUR;
        config.hold = Duration::ZERO;
    };
    let world = World::with(change).await;
    let agent = world.agent_with("shop", "echo", |_| {}).await;
    let config = agent.config();
    agent.stop().await;
    let world = world.restart_relay_with(change).await;

    assert_eq!(world.get("shop", "/").await.error(), Some("agent-away"));
    let (reason, _) = refused(world.agent_config("shop", "echo")).await;
    assert_eq!(reason, "taken");
    let mut back = Agent::start(config);
    back.online().await;
    assert_eq!(world.get("shop", "/").await.status, 200);
}

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
pub(super) fn keep(state_dir: &FilePath, token: &Token, names: &[&str]) {
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
async fn an_agent_connects_only_to_the_relay_that_it_trusts() {
    let (world, other) = (World::start().await, World::start().await);
    let wrong_pin = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
    let wrong_ca = read_certificates(&other.ca()).unwrap();
    let mut config = world.agent_config("shop", "echo");
    config.once = true;
    for trust in [
        Trust::Pin(wrong_pin),
        Trust::Pin(other.pin()),
        Trust::Roots(wrong_ca),
    ] {
        config.trust = Some(trust.clone());
        match Agent::start(config.clone()).ended().await {
            Err(Stop::Unreachable(why)) => {
                assert!(
                    why.contains("could not prove who it is"),
                    "{trust:?}: {why}"
                );
            }
            other => panic!("{trust:?}: {other:?}"),
        }
    }
    assert_eq!(world.get("shop", "/").await.error(), Some("unknown-name"));

    config.trust = Some(Trust::Pin(world.pin()));
    Agent::start(config).online().await;
}

#[tokio::test]
async fn a_hello_that_was_signed_for_another_connection_is_refused() {
    let world = World::start().await;
    let victim = Evil::dial(&world).await;
    let mut thief = Evil::dial(&world).await;
    thief.tell(&Message::Hello(victim.hello())).await;
    let (code, why) = thief.closed().await;
    assert_eq!(code, Close::Refused);
    assert_eq!(why, "the signature does not belong to the identity");

    // Nor does a key help whose owner signed nothing.
    let mut liar = Evil::dial(&world).await;
    let mut hello = liar.hello();
    hello.key = Identity::generate().unwrap().public_key();
    liar.tell(&Message::Hello(hello)).await;
    assert_eq!(liar.closed().await.0, Close::Refused);
    assert_eq!(sessions(&world).await, 0);
}

#[tokio::test]
async fn an_own_domain_is_claimed_and_served() {
    let world = World::start().await;
    let origin = word("customer").await;
    let agent = world
        .agent_with("", &url(&origin), |config| {
            config.tunnels[0].host = Some("Shop.Example.com".parse().unwrap());
        })
        .await;
    let port = world.http.port();
    assert_eq!(agent.url, format!("http://shop.example.com:{port}"));
    let request = b"GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n";
    assert_eq!(world.say(request).await.text(), "customer");
    let answer = parse(&world.raw_tls("shop.example.com", request).await);
    assert_eq!(answer.text(), "customer");
    let other = b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    assert_eq!(world.say(other).await.error(), Some("unknown-name"));
}

#[tokio::test]
async fn each_name_has_a_certificate_of_its_own() {
    let world = World::start().await;
    let _one = world.agent_with("one", "echo", |_| {}).await;
    let _two = world.agent_with("two", "echo", |_| {}).await;
    let one = certificate(&world, "one.localhost").await;
    let two = certificate(&world, "two.localhost").await;
    let says = |certificate: &[u8], text: &str| {
        let text = text.as_bytes();
        certificate.windows(text.len()).any(|window| window == text)
    };
    assert!(says(&one, "one.localhost") && says(&two, "two.localhost"));
    assert!(!says(&one, "two.localhost") && !says(&one, "*.localhost"));
}

/// The certificate that the relay shows to visitors of `host`, after checking it with the CA.
async fn certificate(world: &World, host: &str) -> CertificateDer<'static> {
    let trust = Trust::Roots(read_certificates(&world.ca()).unwrap());
    let connector = TlsConnector::from(Arc::new(tls::client(&trust, &[b"http/1.1"]).unwrap()));
    let stream = TcpStream::connect(world.https).await.unwrap();
    let name = host.to_owned().try_into().unwrap();
    let stream = soon("a handshake", connector.connect(name, stream)).await;
    let stream = stream.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

/// How many agents the relay has.
pub(super) async fn sessions(world: &World) -> u64 {
    let answer = world.admin_text("/api/v1/status").await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let status: serde_json::Value = serde_json::from_str(body).unwrap();
    status["sessions"].as_u64().unwrap()
}

const HOUR: Duration = Duration::from_secs(3600);
