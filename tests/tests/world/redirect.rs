//! From HTTP to HTTPS, and nowhere else.

use std::time::Duration;

use adit_relay::config::Mode;
use adit_tests::{World, eventually, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::hostile::addresses::limited;

#[tokio::test]
async fn a_relay_redirects_nobody_elsewhere() {
    let world = World::with(|config| config.mode = Mode::Public).await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let base = format!("https://app.localhost:{}", world.https.port());
    let ask = async |target: &str, hosts: &str| {
        let request = format!("GET {target} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        world.say(request.as_bytes()).await
    };
    let app = "host: APP.localhost:80\r\n";
    for (target, to) in [
        ("/", "/"),
        ("/a?b=c", "/a?b=c"),
        ("//evil.example/", "//evil.example/"),
        ("/\\evil.example", "/\\evil.example"),
        ("/@evil.example", "/@evil.example"),
        ("/%0d%0aset-cookie:x", "/%0d%0aset-cookie:x"),
        ("http://app.localhost/x", "/x"),
    ] {
        let answer = ask(target, app).await;
        assert_eq!(answer.status, 308, "{target}");
        assert_eq!(answer.fields["location"], format!("{base}{to}"));
        assert!(!answer.fields.contains_key("set-cookie"));
    }
    for (target, hosts) in [
        ("/", "host: evil.example\r\n"),
        ("/", "host: app.localhost.evil.example\r\n"),
        ("/", "host: app.localhost@evil.example\r\n"),
        ("/", "host: evil.example/app.localhost\r\n"),
        ("/", "host: app.localhost\r\nhost: evil.example\r\n"),
        (
            "/",
            "host: evil.example\r\nx-forwarded-host: app.localhost\r\n",
        ),
        ("/", "host:\r\n"),
        ("/", ""),
        ("http://evil.example/", app),
        ("http://app.localhost@evil.example/", app),
        (".evil.example/", app),
        ("@evil.example/", app),
        ("http://app.localhost/", "host: evil.example\r\n"),
    ] {
        let answer = ask(target, hosts).await;
        assert!(answer.status.is_client_error(), "{target} {hosts}");
        assert!(!answer.fields.contains_key("location"), "{target} {hosts}");
    }
}

#[tokio::test]
async fn whoever_says_nothing_whole_to_be_redirected_is_not_waited_for() {
    let world = World::with(|config| {
        config.mode = Mode::Public;
        config.limits.head_timeout = Duration::from_millis(200);
    })
    .await;
    for (count, start) in [(1, ""), (2, "GET / HTTP/1.1\r\nHost: app.loc")] {
        let mut visitor = world.dial().await;
        visitor.write_all(start.as_bytes()).await.unwrap();
        drop(soon("the end", visitor.read_to_end(&mut Vec::new())).await);
        eventually("it is counted", || async {
            limited(&world, "head-timeout").await == count
        })
        .await;
    }
}
