//! What is logged, and what is not.

use std::io;
use std::sync::Arc;

use adit_relay::auth::Token;
use adit_shared::wire::code::Close;
use adit_shared::wire::control::{Hello, Message};
use adit_tests::origin::Origin;
use adit_tests::world::Agent;
use adit_tests::{World, eventually};
use http::Request;
use tokio::io::AsyncWriteExt as _;
use tracing_subscriber::EnvFilter;

use super::Evil;
use crate::names::sessions;
use crate::names::tokens::keep;

/// Invariant 8: nothing secret is logged, not even at the finest level and where things go wrong.
///
/// Only our own crates are looked at. The libraries under them show, at levels that nobody turns on
/// by accident, every frame and field that passes: that is what their logs are for.
#[tokio::test]
async fn nothing_secret_is_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(
            "off,adit_relay=trace,adit_agent=trace,adit_shared=trace",
        ))
        .with_ansi(false)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    // All tasks run on this test's own thread.
    let _here = tracing::subscriber::set_default(subscriber);

    let token = Token::generate().unwrap();
    let (made, stranger) = (token.clone(), Token::generate().unwrap());
    let world = World::with(move |config| {
        config.open = false;
        keep(&config.state_dir, &made, &["*"]);
    })
    .await;
    let agent = async |name: &str, origin: &str, token: &str| {
        let mut config = world.agent_config(name, origin);
        config.token = Some(token.parse().unwrap());
        Agent::start(config)
    };

    for bad in [
        "canary-of-a-bad-token",
        stranger.reveal(),
        &token.reveal()[..40],
    ] {
        assert!(agent("refused", "echo", bad).await.ended().await.is_err());
    }
    let secret = "HTTP/1.1 200 OK\r\nset-cookie: s=canary-of-a-set-cookie\r\nx: canary-of-a-field\r\n\
        transfer-encoding: chunked\r\n\r\n16\r\ncanary-of-an-old-body.\r\n0\r\nx-t: canary-of-a-trailer\r\n\r\n";
    let whole = Origin::saying(secret).await;
    // Long enough for its head to be on its way before the end is missed.
    let head = &secret[..secret.find("16\r\n").unwrap()];
    let cut = Origin::saying(format!(
        "{head}100000\r\n{}",
        "canary-of-a-cut".repeat(20_000)
    ))
    .await;
    let nonsense = Origin::saying("canary-of-nonsense canary-of-nonsense\r\n\r\n").await;
    let switching = Origin::saying(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\ncanary-of-raw-bytes",
    )
    .await;
    let nobody = Origin::nobody().await;
    let origins = [
        ("whole", whole.address),
        ("cut", cut.address),
        ("nonsense", nonsense.address),
        ("switching", switching.address),
        ("nobody", nobody),
    ];
    let mut agents = Vec::new();
    for (name, origin) in origins {
        let mut agent = agent(name, &format!("http://{origin}"), token.reveal()).await;
        agent.online().await;
        agents.push(agent);
    }
    for name in ["whole", "cut", "nonsense", "switching", "nobody", "unknown"] {
        let secrets = "Authorization: Bearer canary-of-a-password\r\nCookie: s=canary-of-a-cookie\r\n\
            Proxy-Authorization: canary-of-a-proxy\r\nX-Api-Key: canary-of-a-key\r\n\
            Referer: http://x/?canary-of-a-referer\r\n";
        let visible = format!("/path-of-{name}?key=canary-of-a-query");
        let start = format!("POST {visible} HTTP/1.1\r\nHost: {name}.localhost\r\n{secrets}");
        let body = "canary-of-a-body";
        for end in [
            format!(
                "Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            ),
            format!("Content-Length: 5\r\nContent-Length: 6\r\n\r\n{body}"),
            format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: {body}\r\n\r\n{body}"),
            format!("Transfer-Encoding: chunked\r\n\r\nZ{body}\r\n\r\n"),
            format!("Host: u:{body}@x\r\nConnection: close\r\n\r\n"),
            format!("Upgrade: {body}\r\nConnection: close, upgrade\r\n\r\n"),
        ] {
            world.raw(format!("{start}{end}").as_bytes()).await;
        }
        let mut visitor = world.dial().await;
        let half = format!("{start}Content-Length: 100\r\n\r\n{body}");
        visitor.write_all(half.as_bytes()).await.unwrap();
        drop(visitor);
        let h2 = world.h2c().await;
        let request = Request::post(format!("http://{name}.localhost{visible}"))
            .header("authorization", "canary-of-a-password")
            .header("cookie", "canary-of-a-cookie")
            .body(())
            .unwrap();
        drop(h2.send(request, body.into()).await);
    }
    // A name or a version may not forge lines either.
    let mut evil = Evil::dial(&world).await;
    evil.tell(&Message::Hello(Hello {
        token: token.reveal().into(),
        version: "evil\n2026 forged line".into(),
        ..evil.hello()
    }))
    .await;
    assert!(matches!(evil.heard().await, Message::Welcome(_)));
    for name in ["a\n2026 forged line", "\u{1b}[2J forged line"] {
        assert!(matches!(evil.claim(name, "").await, Message::Refused(_)));
        assert!(matches!(evil.claim("", name).await, Message::Refused(_)));
    }
    let before = sessions(&world).await;
    let why = "gone\n2026 forged line";
    evil.connection.close(Close::Goodbye, why);
    eventually("it is gone", || async { sessions(&world).await < before }).await;
    for agent in agents {
        agent.stop().await;
    }

    let log = log.text();
    for (what, line) in [
        ("life events", "claim granted"),
        ("what an agent says at its end", "gone2026 forged line"),
        ("requests", "path=\"/path-of-whole\""),
        ("failures at the relay", "no response from the origin"),
        ("failures at the agent", "exchange not served to its end"),
        ("refusals", "agent refused"),
        ("cuts", "response cut after its head"),
    ] {
        assert!(log.contains(line), "{what} are not logged at all:\n{log}");
    }
    let mut secrets = vec!["canary", "\n2026 forged", "\u{1b}"];
    let hidden = [&token, &stranger].map(|token| &token.reveal()[13..]);
    secrets.extend(hidden);
    secrets.push(&token.reveal()[13..40]);
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret:?} is logged");
        assert!(!log.contains(secret), "{secret:?} is logged");
    }
}

/// Keeps what is logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
