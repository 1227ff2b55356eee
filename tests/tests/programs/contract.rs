//! The contract of the command lines: ready lines, events, exit codes, signals.

use std::time::{Duration, Instant};

use adit_tests::program::{BuiltRelay, Program, ours, run};
use adit_tests::world::Scratch;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::{Setting, node};

fn event(name: &'static str) -> impl Fn(&str) -> Option<Value> {
    move |line| {
        let value: Value = serde_json::from_str(line).ok()?;
        (value["event"] == name).then_some(value)
    }
}

async fn exit_code(mut command: Command) -> (Option<i32>, String) {
    let output = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(20), output)
        .await
        .unwrap()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[tokio::test]
async fn the_demo_has_a_url_within_a_second_that_curl_reaches() {
    let state = Scratch::new();
    let mut command = ours("agent");
    command
        .args(["--echo", "--relay", "local", "--inspect", "off"])
        .env("XDG_STATE_HOME", state.path());
    let begun = Instant::now();
    let mut agent = Program::start(command);
    let url = agent.line("a URL", |line| Some(line.to_owned())).await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    let name = url
        .strip_prefix("http://")
        .unwrap()
        .split(".localhost:")
        .next()
        .unwrap();
    assert_eq!(name.split('-').count(), 2, "two words: {name}");
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--max-time",
        "10",
        "--data",
        "hi",
        &format!("{url}/hello?a=b"),
    ]);
    let answer = run(curl).await;
    assert!(
        answer.starts_with("POST /hello?a=b\n") && answer.ends_with("\n\nhi"),
        "{answer}"
    );

    agent.signal("INT").await;
    assert_eq!(agent.ended().await, Some(0));
    assert_eq!(
        agent.rest().await,
        [""; 0],
        "the URL stands alone on stdout"
    );
    assert!(
        agent.errors().contains("curl http"),
        "what to try next: {}",
        agent.errors()
    );
}

#[tokio::test]
async fn the_ready_line_and_the_events_are_those_of_the_contract() {
    let relay = BuiltRelay::start(&[]).await;
    assert_eq!(relay.ready["event"], "ready");
    assert_eq!(relay.ready["domain"], "localhost");
    assert!(relay.ready["pin"].as_str().unwrap().starts_with("sha256:"));
    for name in ["http", "https", "quic", "admin"] {
        assert_ne!(relay.address(name).port(), 0);
    }
    assert!(relay.ca().exists());

    let mut agent = Program::start(relay.agent(&["--echo", "--json", "--subdomain", "app"]));
    let online = agent.line("online", event("online")).await;
    let (http, https) = (relay.address("http").port(), relay.address("https").port());
    assert_eq!(online["url"], format!("http://app.localhost:{http}"));
    assert_eq!(online["urls"][1], format!("https://app.localhost:{https}"));
    assert!(online["tunnel"].is_string() && online["session"].is_string());

    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        &format!("http://app.localhost:{http}/x?secret=1"),
    ]);
    run(curl).await;
    let request = agent.line("request", event("request")).await;
    assert_eq!(
        (&request["method"], &request["path"]),
        (&"GET".into(), &"/x".into())
    );
    assert_eq!(request["status"], 200);

    relay.program.signal("KILL").await;
    drop(relay);
    agent.signal("TERM").await;
    assert_eq!(agent.ended().await, Some(0));
}

#[tokio::test]
async fn exit_codes_are_those_of_the_contract() {
    let state = Scratch::new();
    let agent = |args: &[&str]| {
        let mut command = ours("agent");
        command
            .args(["--inspect", "off"])
            .args(args)
            .env("XDG_STATE_HOME", state.path());
        command
    };
    let (code, text) = exit_code(agent(&["--relay", "local"])).await;
    assert_eq!(code, Some(64), "{text}");
    let (code, text) = exit_code(agent(&["--port", "0", "--relay", "local"])).await;
    assert_eq!(code, Some(64), "{text}");
    let (code, text) = exit_code(agent(&["--no-such-flag"])).await;
    assert_eq!(code, Some(64), "{text}");
    let file = state.path().join("agent.toml");
    std::fs::write(&file, "rely = \"local\"\n").unwrap();
    let (code, text) = exit_code(agent(&["--config", file.to_str().unwrap()])).await;
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("rely"), "{text}");
    // Nobody is at this address.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = format!("127.0.0.1:{}", socket.local_addr().unwrap().port());
    let pin = format!("sha256:{}", "00".repeat(32));
    let (code, text) = exit_code(agent(&[
        "--echo", "--once", "--relay", &nobody, "--pin", &pin,
    ]))
    .await;
    assert_eq!(code, Some(69), "{text}");

    let relay = BuiltRelay::start(&["--open=false"]).await;
    let (code, text) = exit_code(relay.agent(&["--echo"])).await;
    assert_eq!(code, Some(77), "{text}");
    assert!(text.contains("relay token create"), "{text}");

    let relay = |args: &[&str]| {
        let mut command = ours("relay");
        command
            .args(args)
            .arg("--state-dir")
            .arg(state.path().join("relay"));
        command
    };
    let (code, text) = exit_code(relay(&["--nonsense"])).await;
    assert_eq!(code, Some(64), "{text}");
    let (code, text) = exit_code(relay(&["--domain", "relay.example.com", "--open"])).await;
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("anybody"), "says what it would mean: {text}");
}

#[tokio::test]
async fn an_address_in_use_is_said_clearly() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let state = Scratch::new();
    let mut command = ours("relay");
    command.args([
        "--http",
        &address,
        "--https",
        "off",
        "--quic",
        "127.0.0.1:0",
        "--admin",
        "off",
    ]);
    command.arg("--state-dir").arg(state.path());
    let (code, text) = exit_code(command).await;
    assert_eq!(code, Some(1));
    assert!(text.contains(&address) && text.contains("--http"), "{text}");
}

#[tokio::test]
async fn a_token_allows_until_it_is_revoked() {
    let relay = BuiltRelay::start(&["--open=false"]).await;
    let state = relay.state.path().to_str().unwrap().to_owned();
    let create = |name: &str| {
        let mut command = ours("relay");
        command.args(["token", "create", "--name", name, "--state-dir", &state]);
        command
    };
    let token = run(create("app-*")).await.trim().to_owned();
    let file = relay.state.path().join("token");
    std::fs::write(&file, &token).unwrap();
    let file = file.to_str().unwrap();
    let (code, text) =
        exit_code(relay.agent(&["--echo", "--token-file", file, "--subdomain", "other"])).await;
    assert_eq!(code, Some(77), "{text}");
    assert!(text.contains("app-*"), "{text}");

    let mut command = relay.agent(&["--echo", "--subdomain", "app-one"]);
    command.env("ADIT_TOKEN", &token);
    let mut agent = Program::start(command);
    agent
        .line("its URL", |line| {
            line.contains("app-one.localhost").then_some(())
        })
        .await;

    let mut list = ours("relay");
    list.args(["token", "list", "--json", "--state-dir", &state]);
    let list = run(list).await;
    assert!(!list.contains(&token), "a list shows no secret");
    let listed: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    let mut revoke = ours("relay");
    revoke.args([
        "token",
        "revoke",
        listed["id"].as_str().unwrap(),
        "--state-dir",
        &state,
    ]);
    run(revoke).await;
    assert_eq!(agent.ended().await, Some(77), "{}", agent.errors());
    assert!(agent.errors().contains("revoked"), "{}", agent.errors());
}

#[tokio::test]
async fn a_relay_drains_on_the_first_signal_and_ends_on_the_second() {
    let mut setting = Setting::start("http", node("http/server.mjs")).await;
    let url = format!("{}/slow/1500", setting.http());
    let mut curl = setting.curl();
    curl.args(["--write-out", "%{http_code}", "--output", "/dev/null", &url]);
    let end = async {
        setting.in_flight().await;
        setting.relay.program.signal("TERM").await;
    };
    let (status, ()) = tokio::join!(run(curl), end);
    assert_eq!(status, "200", "what was in flight finished");
    assert_eq!(setting.relay.program.ended().await, Some(0));

    let mut setting = Setting::start("http", node("http/server.mjs")).await;
    let url = format!("{}/slow/20000", setting.http());
    let mut curl = setting.curl();
    curl.args(["--output", "/dev/null", &url]);
    let mut visit = curl.spawn().unwrap();
    setting.in_flight().await;
    setting.relay.program.signal("INT").await;
    // Two of a kind that come at once are one to the system.
    adit_tests::eventually("the relay drains", || async {
        setting.relay.program.errors().contains("draining")
    })
    .await;
    setting.relay.program.signal("INT").await;
    assert_eq!(setting.relay.program.ended().await, Some(130));
    assert!(!visit.wait().await.unwrap().success());
}

impl Setting {
    /// Waits until a request is in flight.
    async fn in_flight(&self) {
        let admin = format!("http://{}/api/v1/status", self.relay.address("admin"));
        adit_tests::eventually("a request is in flight", || async {
            let mut curl = Command::new("curl");
            curl.args(["--silent", &admin]);
            run(curl).await.contains("\"exchanges\":1")
        })
        .await;
    }
}

#[tokio::test]
async fn a_killed_agent_is_back_under_its_name_within_a_second() {
    let relay = BuiltRelay::start(&[]).await;
    let start = || Program::start(relay.agent(&["--echo", "--json"]));
    let mut first = start();
    let online = first.line("online", event("online")).await;
    first.signal("KILL").await;
    first.ended().await;
    let begun = Instant::now();
    let mut second = start();
    let again = second.line("online again", event("online")).await;
    assert_eq!(again["url"], online["url"]);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", online["url"].as_str().unwrap()]);
    run(curl).await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn doctors_say_what_is_well() {
    let relay = BuiltRelay::start(&[]).await;
    let mut doctor = ours("agent");
    doctor
        .args(["doctor", "--json", "--echo", "--relay"])
        .arg(format!("localhost:{}", relay.address("quic").port()))
        .arg("--relay-ca")
        .arg(relay.ca())
        .arg("--state-dir")
        .arg(relay.state.path().join("agent"));
    let rows = run(doctor).await;
    assert!(rows.lines().count() > 3, "{rows}");
    assert!(!rows.contains(r#""verdict":"fail""#), "{rows}");
    let mut doctor = ours("relay");
    let any = "127.0.0.1:0";
    doctor.args([
        "doctor", "--json", "--http", any, "--https", any, "--quic", any, "--admin", any,
    ]);
    doctor
        .arg("--state-dir")
        .arg(relay.state.path().join("other"));
    let rows = run(doctor).await;
    assert!(rows.lines().count() > 3, "{rows}");
    assert!(!rows.contains(r#""verdict":"fail""#), "{rows}");
}

#[tokio::test]
async fn a_doctor_that_finds_something_says_what_to_do_and_fails() {
    let state = Scratch::new();
    let mut doctor = ours("agent");
    let nobody = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().to_string()
    };
    doctor
        .args(["doctor", "--relay", &nobody, "--state-dir"])
        .arg(state.path());
    let output = doctor.output().await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    let mut lines = table.lines();
    let udp = lines
        .find(|line| line.starts_with("fail     udp  "))
        .unwrap();
    assert!(
        udp.contains("refuses") && !table.contains('\u{1b}'),
        "{table}"
    );
    assert!(
        lines.next().unwrap().trim_start().starts_with("fix: "),
        "{table}"
    );
}

#[tokio::test]
async fn a_second_agent_of_one_identity_takes_over_and_the_first_stops() {
    let relay = BuiltRelay::start(&[]).await;
    let start = || Program::start(relay.agent(&["--echo", "--json"]));
    let mut first = start();
    let online = first.line("online", event("online")).await;
    let mut second = start();
    let again = second.line("online", event("online")).await;
    assert_eq!(again["url"], online["url"]);
    assert_eq!(first.ended().await, Some(77));
    assert!(
        first.errors().contains("took it over"),
        "{}",
        first.errors()
    );
}
