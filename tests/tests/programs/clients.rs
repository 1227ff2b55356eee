//! curl, Node, Python and Chromium as visitors; Express, Vite, grpcio, Flask as origins.

use adit_tests::program::{BuiltRelay, PATIENCE, Program, run};
use adit_tests::world::Scratch;

use crate::{Setting, fixture, node, python};

#[tokio::test]
async fn an_express_listener_receives_a_webhook() {
    let mut setting = Setting::start("http", node("express/server.mjs")).await;
    for (url, more) in [
        (setting.http(), "--http1.1"),
        (setting.http(), "--http2-prior-knowledge"),
        (setting.https(), "--http1.1"),
        (setting.https(), "--http2"),
    ] {
        let mut curl = setting.curl();
        curl.args([
            more,
            "--json",
            r#"{"paid":true,"id":"evt_1"}"#,
            &format!("{url}/webhook"),
        ]);
        assert_eq!(run(curl).await.trim(), r#"{"received":true}"#);
        let printed = setting
            .origin
            .line("the event", |line| Some(line.to_owned()))
            .await;
        assert_eq!(printed, r#"webhook {"paid":true,"id":"evt_1"}"#);
    }
    let mut curl = setting.curl();
    curl.args(["--http2", &format!("{}/who", setting.https())]);
    let who: serde_json::Value = serde_json::from_str(&run(curl).await).unwrap();
    assert_eq!(who["protocol"], "https");
    assert_eq!(who["ip"], "127.0.0.1");
}

#[tokio::test]
async fn vite_reloads_hot_in_chromium() {
    // A folder and a server for each, since the client edits the one and the other remembers it.
    for tls in [false, true] {
        let app = Scratch::new();
        for entry in std::fs::read_dir(fixture("vite/app")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), app.path().join(entry.file_name())).unwrap();
        }
        let mut server = node("vite/server.mjs");
        server.env("APP_DIR", app.path());
        let setting = Setting::start("http", server).await;
        let mut client = node("vite/hmr.mjs");
        client.env("APP_DIR", app.path());
        if tls {
            client.args([&setting.https(), "--ca", &setting.ca()]);
        } else {
            client.arg(setting.http());
        }
        run(client).await;
    }
}

#[tokio::test]
async fn chromium_sees_the_notice_once() {
    let relay = BuiltRelay::start(&["--notice"]).await;
    let agent = relay.agent(&["--subdomain", "app", "--echo"]);
    let mut agent = Program::start(agent);
    agent
        .line("its URL", |line| line.starts_with("http").then_some(()))
        .await;
    let url = format!("https://app.localhost:{}", relay.address("https").port());
    let mut client = node("notice/visit.mjs");
    client.args([&url, "--ca", relay.ca().to_str().unwrap()]);
    run(client).await;
}

#[tokio::test]
async fn grpc_works_in_all_four_forms() {
    let setting = Setting::start("h2c", python("grpc/server.py")).await;
    let http = setting.relay.address("http");
    let mut client = python("grpc/client.py");
    client.args([
        &http.to_string(),
        "--authority",
        &format!("app.localhost:{}", http.port()),
    ]);
    run(client).await;
    let https = setting.relay.address("https");
    let mut client = python("grpc/client.py");
    client.args([
        &https.to_string(),
        "--authority",
        &format!("app.localhost:{}", https.port()),
    ]);
    client.args(["--ca", &setting.ca()]);
    run(client).await;
}

#[tokio::test]
async fn websockets_are_carried_whole() {
    let setting = Setting::start("http", python("websockets/server.py")).await;
    let mut client = python("websockets/client.py");
    client.arg(setting.http());
    run(client).await;
    let mut client = python("websockets/client.py");
    client.args([&setting.https(), "--ca", &setting.ca()]);
    run(client).await;
}

#[tokio::test]
async fn server_sent_events_come_as_they_are_sent() {
    let setting = Setting::start("http", python("sse/server.py")).await;
    let mut client = python("sse/client.py");
    client.arg(setting.http());
    run(client).await;
    let mut client = python("sse/client.py");
    client.args([&setting.https(), "--ca", &setting.ca()]);
    run(client).await;
}

#[tokio::test]
async fn flask_sees_the_right_scheme_host_and_address() {
    let setting = Setting::start("http", python("flask/server.py")).await;
    for (url, scheme) in [(setting.http(), "http"), (setting.https(), "https")] {
        let host = url.split("//").nth(1).unwrap().to_owned();
        let mut client = python("flask/client.py");
        client.args([
            &url,
            "--scheme",
            scheme,
            "--host",
            &host,
            "--addr",
            "127.0.0.1",
            "--forge",
        ]);
        client.args(["--ca", &setting.ca()]);
        run(client).await;
    }
}

#[tokio::test]
async fn node_speaks_http2_with_the_relay() {
    let setting = Setting::start("http", node("http/server.mjs")).await;
    let (_websocket, port) = crate::origin(python("websockets/server.py")).await;
    let port = port.to_string();
    let second = setting
        .relay
        .agent_of("second", &["--subdomain", "socket", "--port", &port]);
    let mut second = Program::start(second);
    second
        .line("its URL", |line| line.starts_with("http").then_some(()))
        .await;
    for (url, ca) in [
        (setting.http(), None),
        (setting.https(), Some(setting.ca())),
    ] {
        let mut client = node("http/client.mjs");
        client.args([&url, "--websocket", &url.replace("//app.", "//socket.")]);
        if let Some(ca) = ca {
            client.args(["--ca", &ca]);
        }
        run(client).await;
    }
}

#[tokio::test]
async fn curl_gets_ranges_early_hints_and_its_body_asked_for() {
    let setting = Setting::start("http", node("http/server.mjs")).await;
    let url = setting.http();
    let mut curl = setting.curl();
    curl.args([
        "--range",
        "5-9",
        "--write-out",
        "%{http_code}",
        &format!("{url}/range"),
    ]);
    assert!(run(curl).await.ends_with("206"));

    let mut curl = setting.curl();
    curl.args(["--http1.1", "--include", &format!("{url}/early")]);
    let answer = run(curl).await.to_lowercase();
    assert!(
        answer.starts_with("http/1.1 103 early hints\r\nlink:"),
        "{answer}"
    );
    assert!(answer.contains("\r\n\r\nhttp/1.1 200 ok\r\n"), "{answer}");

    let mut curl = setting.curl();
    curl.args([
        "--verbose",
        "--header",
        "Expect: 100-continue",
        "--data",
        "hello",
    ]);
    curl.args(["--stderr", "-", &format!("{url}/continue")]);
    let answer = run(curl).await;
    assert!(answer.contains("< HTTP/1.1 100 Continue"), "{answer}");
    assert!(answer.contains("< HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn curl_does_not_take_half_an_answer_for_a_whole() {
    let setting = Setting::start("http", node("http/server.mjs")).await;
    for path in ["half", "half-chunked"] {
        for (url, version) in [
            (setting.http(), "--http1.1"),
            (setting.http(), "--http2-prior-knowledge"),
            (setting.https(), "--http2"),
        ] {
            let mut curl = setting.curl();
            curl.args([
                version,
                "--output",
                "/dev/null",
                "--fail",
                &format!("{url}/{path}"),
            ]);
            let status = tokio::time::timeout(PATIENCE, curl.status())
                .await
                .unwrap()
                .unwrap();
            assert!(!status.success(), "{url}/{path} {version}");
        }
    }
}
