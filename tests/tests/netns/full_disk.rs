//! A disk that requests have filled.

use std::net::SocketAddr;

use adit_tests::program::{Program, ours};
use adit_tests::visit::{Answer, parse};
use adit_tests::world::Scratch;
use adit_tests::{eventually, soon};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

async fn say(to: SocketAddr, request: &[u8]) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        parse(&answer)
    };
    soon("an answer", exchange).await
}

async fn post(to: SocketAddr) -> Answer {
    let body = [7; 200_000];
    let head = format!(
        "POST / HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    say(to, &[head.as_bytes(), &body].concat()).await
}

/// The log of the database can neither grow nor be carried over then, and noting a delivery needs it.
#[tokio::test]
async fn what_is_kept_is_delivered_though_the_disk_is_full() {
    let (disk, own) = (Scratch::new(), Scratch::new());
    let mut relay = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=72m adit \"$0\" && exec \"$@\"";
    relay.args(["--mount", "sh", "-c", mount]).arg(disk.path());
    relay
        .arg(ours("relay").as_std().get_program())
        .arg("--json");
    for listener in ["--http", "--https", "--quic", "--admin"] {
        relay.args([listener, "127.0.0.1:0"]);
    }
    relay.arg("--state-dir").arg(disk.path().join("relay"));
    let mut relay = Program::start(relay);
    let ready: Value = relay
        .line("ready", |line| serde_json::from_str(line).ok())
        .await;
    let address = |name: &str| ready[name].as_str().unwrap().parse::<SocketAddr>().unwrap();
    let (http, quic, admin) = (address("http"), address("quic"), address("admin"));
    let agent = async || {
        let mut agent = ours("agent");
        agent
            .args(["--relay", &format!("localhost:{}", quic.port())])
            .args(["--pin", ready["pin"].as_str().unwrap()])
            .args([
                "--echo",
                "--subdomain",
                "app",
                "--inbox",
                "--inspect",
                "off",
            ])
            .arg("--state-dir")
            .arg(own.path());
        let mut agent = Program::start(agent);
        agent
            .line("its URL", |line| line.starts_with("http").then_some(()))
            .await;
        agent
    };
    let mut away = agent().await;
    away.signal("INT").await;
    away.ended().await;
    let mut kept = 0;
    let full = loop {
        let answer = post(http).await;
        if answer.status != 202 {
            break answer;
        }
        kept += 1;
    };
    assert_eq!(
        (full.status.as_u16(), full.error()),
        (507, Some("inbox-full"))
    );
    assert!(kept > 50, "{kept}");
    for _ in 0..20 {
        kept += u32::from(post(http).await.status == 202);
    }
    let _agent = agent().await;
    let metrics = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    eventually("all are delivered", async || {
        let text = say(admin, metrics).await.text();
        text.contains(&format!("adit_relay_inbox_delivered_total {kept}\n"))
    })
    .await;
}
