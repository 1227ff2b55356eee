//! Names and trust: who gets which name, who keeps it, and who is let in at all.

pub(crate) mod tokens;
mod trust;

use std::time::{Duration, Instant};

use adit_agent::config::{Config as AgentConfig, RelayAddress};
use adit_agent::link::Stop;
use adit_agent::status::Event;
use adit_shared::quic::Congestion;
use adit_shared::wire::control::{Message, Refusal};
use adit_tests::origin::Origin;
use adit_tests::path::Faults;
use adit_tests::world::Agent;
use adit_tests::{Path, World, eventually, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::hostile::Evil;
use super::hostile::addresses::limited;

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
    let (reason, message) = refused(world.agent_config("paypa1-login", "echo")).await;
    assert_eq!(reason, "reserved");
    assert_eq!(
        message,
        "paypa1-login could be taken for paypal; choose another --subdomain"
    );
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
    assert_eq!(limited(&world, "tunnels-per-agent").await, 1);
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
    // Loss keeps the window of CUBIC small, and so always full.
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
            config.congestion = Congestion::Cubic;
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

/// How many agents the relay has.
pub(crate) async fn sessions(world: &World) -> u64 {
    let answer = world.admin_text("/api/v1/status").await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let status: serde_json::Value = serde_json::from_str(body).unwrap();
    status["sessions"].as_u64().unwrap()
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_owner_has_only_so_many_names_remembered() {
    use adit_relay::route::REMEMBERED;

    let world = World::with(|config| config.hold = Duration::ZERO).await;
    let mut config = world.agent_config("name-0", "echo");
    // More names than are remembered, a few at a time.
    for n in 0..REMEMBERED + 2 {
        config.tunnels[0].name = Some(format!("name-{n}").parse().unwrap());
        let mut agent = Agent::start(config.clone());
        agent.online().await;
        assert!(agent.stop().await);
    }
    config.tunnels[0].name = Some("last".parse().unwrap());
    let mut agent = Agent::start(config);
    agent.online().await;
    assert_eq!(world.get("name-0", "/").await.error(), Some("unknown-name"));
    let newest = format!("name-{}", REMEMBERED + 1);
    assert_eq!(world.get(&newest, "/").await.error(), Some("agent-away"));
}
