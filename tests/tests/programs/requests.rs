//! What the inspector keeps, from the command line: as somebody at a terminal has it, and a build server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use adit_tests::origin::Origin;
use adit_tests::program::{BuiltRelay, Program, ours, run};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use tokio::process::Command;

/// Answers `/same` the same each time, `/counted` with another number, and all else with 500.
async fn origin() -> Origin {
    let counted = Arc::new(AtomicU32::new(0));
    Origin::serving(move |request| {
        let counted = counted.clone();
        async move {
            let (status, body) = match request.uri().path() {
                "/same" => (StatusCode::OK, "as ever\n".to_owned()),
                "/counted" => {
                    let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
                    (StatusCode::OK, format!("number\n{number}\n"))
                }
                _ => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
            };
            let mut answer = Response::new(Full::new(Bytes::from(body)));
            *answer.status_mut() = status;
            answer
        }
    })
    .await
}

/// Runs a command of the agent to its end: its exit code, and what it wrote.
async fn agent(args: &[&str]) -> (i32, String) {
    let mut command: Command = ours("agent");
    command.args(args);
    let mut program = Program::start(command);
    let code = program.ended().await.unwrap();
    let mut said = program.rest().await.join("\n");
    if code != 0 {
        said.push_str(&program.errors());
    }
    (code, said)
}

#[tokio::test]
async fn requests_are_shown_sent_again_and_compared_from_the_command_line() {
    let (relay, origin) = (BuiltRelay::start(&[]).await, origin().await);
    let url = format!("http://{}", origin.address);
    let args = ["--origin", &url, "--subdomain", "app", "--inspect"];
    let mut running = Program::start(relay.agent(&[&args[..], &["127.0.0.1:0"]].concat()));
    running
        .line("its URL", |line| line.starts_with("http").then_some(()))
        .await;
    let inspect = running
        .error("the inspector", |line| {
            line.strip_prefix("inspector: http://").map(str::to_owned)
        })
        .await;
    let public = format!("http://app.localhost:{}", relay.address("http").port());
    for path in ["/same", "/fails?token=t0ps3cret", "/counted"] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--max-time", "20", "--data", "{\"a\":1}"]);
        curl.args(["--header", "Authorization: Bearer s3cret"]);
        curl.arg(format!("{public}{path}"));
        run(curl).await;
    }
    let ask = async |args: &[&str]| {
        let here = ["--inspect", &inspect];
        agent(&[args, &here].concat()).await
    };

    let (code, listed) = ask(&["requests", "list"]).await;
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!((code, lines.len()), (0, 3), "{listed}");
    assert!(lines[0].trim_start().starts_with("1 ") && lines[0].contains("POST    /same"));
    let (_, failed) = ask(&["requests", "list", "--filter", "status:5xx"]).await;
    assert!(failed.trim_start().starts_with("2 ") && failed.lines().count() == 1);
    let (_, json) = ask(&["requests", "list", "--limit", "1", "--json"]).await;
    let row: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&row["id"], &row["target"]),
        (&3.into(), &"/counted".into())
    );

    let (_, shown) = ask(&["requests", "show", "1"]).await;
    assert!(shown.starts_with("POST /same\n"), "{shown}");
    assert!(shown.contains("authorization: Bearer s3cret"), "{shown}");
    assert!(shown.contains("\n\n{\"a\":1}\n200\n"), "{shown}");
    assert!(shown.ends_with("\n\nas ever"), "{shown}");
    let (code, said) = ask(&["requests", "show", "99"]).await;
    assert!(
        code == 1 && said.contains("error: the agent says:"),
        "{said}"
    );

    let again = ["requests", "replay"];
    let (code, said) = ask(&[&again[..], &["1", "--times", "2", "--diff"]].concat()).await;
    assert_eq!((code, said.lines().count()), (0, 2), "{said}");
    let (code, said) = ask(&[&again[..], &["3", "--diff"]].concat()).await;
    assert_eq!(code, 1);
    assert!(said.contains("\n- 1\n+ 2"), "{said}");
    for (id, status, wanted) in [("1", "2xx", 0), ("1", "5xx", 1), ("2", "500", 0)] {
        let args = [&again[..], &[id, "--assert-status", status]].concat();
        let (code, said) = ask(&args).await;
        assert_eq!(code, wanted, "{id} {status}: {said}");
    }

    let (_, masked) = ask(&["requests", "export"]).await;
    assert!(
        masked.contains("/same") && !masked.contains("s3cret"),
        "{masked}"
    );
    let (_, plain) = ask(&["requests", "export", "--secrets"]).await;
    assert!(plain.contains("Bearer s3cret") && plain.contains("t0ps3cret"));
    let file = |name: &str| relay.state.path().join(name).to_str().unwrap().to_owned();
    let (all, good) = (file("all.har"), file("good.har"));
    std::fs::write(&all, plain).unwrap();
    let filter = "path:/same -is:replay";
    let (_, har) = ask(&["requests", "export", "--filter", filter]).await;
    std::fs::write(&good, har).unwrap();
    let (code, said) = ask(&["replay", &good, "--assert-status", "2xx", "--diff"]).await;
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");
    let (code, _) = ask(&["replay", &all, "--assert-status", "2xx"]).await;
    assert_eq!(code, 1, "one of them fails");

    // A build server has no agent.
    running.signal("TERM").await;
    assert_eq!(running.ended().await, Some(0));
    let (code, said) = ask(&["replay", &good]).await;
    assert!(
        code == 1 && said.contains("no agent's inspector answers"),
        "{said}"
    );
    let check = ["--to", &url, "--assert-status", "2xx", "--diff"];
    let (code, said) = agent(&[&["replay", &good], &check[..]].concat()).await;
    assert!(code == 0 && said.contains("POST    /same"), "{said}");
    let (code, said) = agent(&[&["replay", &all], &check[..]].concat()).await;
    assert!(code == 1 && said.contains("\n+ "), "{said}");
    let nobody = ["replay", &good, "--to", "http://127.0.0.1:1"];
    let (code, said) = agent(&nobody).await;
    assert!(code == 1 && said.contains("origin-refused"), "{said}");
    let (code, said) = agent(&["replay", &good, "--to", "nowhere://"]).await;
    assert_eq!(code, 64, "{said}");
}
