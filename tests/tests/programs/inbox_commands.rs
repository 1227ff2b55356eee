//! `relay inbox`: what somebody who runs a relay does about requests that are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use adit_tests::origin::Origin;
use adit_tests::program::{BuiltRelay, Program, ours, run};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tokio::process::Command;
use tokio::sync::mpsc;

const HOST: &str = "app.localhost";

/// Says what comes, and fails as long as it is told to.
async fn origin(fails: &Arc<AtomicBool>) -> (Origin, mpsc::UnboundedReceiver<String>) {
    let (sender, came) = mpsc::unbounded_channel();
    let fails = fails.clone();
    let origin = Origin::serving(move |request| {
        let (sender, fails) = (sender.clone(), fails.clone());
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let mut answer = Response::new(Full::new(Bytes::new()));
            if fails.load(Ordering::Relaxed) {
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            } else {
                drop(sender.send(String::from_utf8_lossy(&body).into_owned()));
            }
            answer
        }
    })
    .await;
    (origin, came)
}

/// Runs `relay inbox …` on the state of `relay`.
async fn inbox(relay: &BuiltRelay, args: &[&str]) -> String {
    let mut command: Command = ours("relay");
    command.arg("inbox").args(args);
    command.arg("--state-dir").arg(relay.state.path());
    run(command).await
}

/// The requests of the host, as `relay inbox list` has them.
async fn kept(relay: &BuiltRelay) -> Vec<serde_json::Value> {
    let listed = inbox(relay, &["list", HOST, "--json"]).await;
    let lines = listed.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

async fn post(relay: &BuiltRelay, body: &str) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--max-time", "20", "--data", body]);
    curl.args(["--header", "x-odd: a  b"]);
    let port = relay.address("http").port();
    curl.arg(format!("http://{HOST}:{port}/hooks/a%2Fb?c"));
    run(curl).await;
}

#[tokio::test]
async fn what_is_kept_is_listed_shown_paused_and_delivered_from_the_command_line() {
    let fails = Arc::default();
    let (origin, mut came) = origin(&fails).await;
    let file = adit_tests::world::Scratch::new();
    let config = file.path().join("relay.toml");
    std::fs::write(&config, "[inbox]\nattempts = 1\n").unwrap();
    let relay = BuiltRelay::start(&["--config", config.to_str().unwrap()]).await;
    let url = format!("http://{}", origin.address);
    let start = async || {
        let args = ["--origin", &url, "--subdomain", "app", "--inbox"];
        let agent = Program::start(relay.agent(&args));
        let open = agent
            .error("its inbox", |line| {
                line.strip_prefix("inbox open: ").map(str::to_owned)
            })
            .await;
        (agent, open)
    };
    let (mut agent, _) = start().await;
    agent.signal("TERM").await;
    agent.ended().await;

    for body in ["first", "second"] {
        post(&relay, body).await;
    }
    let listed = inbox(&relay, &["list"]).await;
    let row: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], [HOST, "open", "2", "0", "0"], "{listed}");
    let requests = kept(&relay).await;
    let id = |at: usize| requests[at]["id"].as_str().unwrap().to_owned();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0]["path"], "/hooks/a%2Fb");
    let shown = inbox(&relay, &["show", &id(0)]).await;
    assert!(
        shown.starts_with("POST /hooks/a%2Fb?c HTTP/1.1\nhost: app.localhost:"),
        "{shown}"
    );
    assert!(shown.contains("\nx-odd: a  b\n"), "{shown}");
    assert!(shown.ends_with("\n\nfirst"), "{shown}");

    // While it is paused nothing is delivered; what comes takes its place behind the others.
    inbox(&relay, &["pause", HOST]).await;
    assert!(inbox(&relay, &["list"]).await.contains(" paused "));
    until_known(&relay, "\"paused\":true").await;
    let (mut agent, open) = start().await;
    assert_eq!(open, "2 waiting");
    post(&relay, "third").await;
    assert_eq!(kept(&relay).await.len(), 3);
    assert!(came.try_recv().is_err(), "paused, and delivered");
    inbox(&relay, &["resume", HOST]).await;
    for body in ["first", "second", "third"] {
        assert_eq!(came.recv().await.as_deref(), Some(body));
    }
    until_kept(&relay, 0, "").await;

    // What was tried too often is dead until somebody wants it to be tried again, or forgotten.
    agent.signal("TERM").await;
    agent.ended().await;
    fails.store(true, Ordering::Relaxed);
    for body in ["bad", "worse"] {
        post(&relay, body).await;
    }
    let (agent, _) = start().await;
    until_kept(&relay, 2, "dead").await;
    fails.store(false, Ordering::Relaxed);
    let dead = kept(&relay).await;
    inbox(
        &relay,
        &["redeliver", HOST, dead[1]["id"].as_str().unwrap()],
    )
    .await;
    assert_eq!(came.recv().await.as_deref(), Some("worse"));
    until_kept(&relay, 1, "dead").await;
    inbox(&relay, &["purge", HOST, "--state", "waiting"]).await;
    assert_eq!(kept(&relay).await.len(), 1);
    inbox(&relay, &["purge", HOST, "--state", "dead"]).await;
    assert_eq!(kept(&relay).await.len(), 0);
    drop(agent);
}

/// Waits until the relay itself says so of its inboxes: it takes over what a command did within a second.
async fn until_known(relay: &BuiltRelay, what: &str) {
    let url = format!("http://{}/api/v1/inboxes", relay.address("admin"));
    let wait = async {
        loop {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--fail", &url]);
            let told = run(curl).await.replace([' ', '\n'], "");
            if told.contains(what) {
                return;
            }
        }
    };
    let waited = tokio::time::timeout(adit_tests::program::PATIENCE, wait).await;
    assert!(waited.is_ok(), "{what}");
}

/// Waits until so many requests are kept, all in `state`.
async fn until_kept(relay: &BuiltRelay, count: usize, state: &str) {
    let wait = async {
        loop {
            let kept = kept(relay).await;
            if kept.len() == count && kept.iter().all(|one| one["state"] == state) {
                return;
            }
        }
    };
    let waited = tokio::time::timeout(adit_tests::program::PATIENCE, wait).await;
    assert!(waited.is_ok(), "{:?}", kept(relay).await);
}
