//! The corpus of requests with real servers as origins: each of them sees the requests that a row says, and never
//! another one.

use adit_tests::corpus::{self, Expected, LAST, Row, filled};
use adit_tests::soon;
use adit_tests::world::Scratch;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::{Setting, fixture, node, python};

#[tokio::test]
async fn node_sees_each_request_as_the_relay_does() {
    let setting = Setting::start("http", node("strict/server.mjs")).await;
    all(setting, true).await;
}

#[tokio::test]
async fn python_sees_each_request_as_the_relay_does() {
    let setting = Setting::start("http", python("strict/server.py")).await;
    all(setting, true).await;
}

#[tokio::test]
async fn nginx_sees_each_request_as_the_relay_does() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut nginx = Command::new(fixture("strict/nginx"));
    let files = Scratch::new();
    nginx.env("PORT", port.to_string()).env("DIR", files.path());
    let setting = Setting::start_at("http", nginx, port).await;
    all(setting, false).await;
}

/// With `bodies` the origin says those too.
async fn all(mut setting: Setting, bodies: bool) {
    let address = setting.relay.address("http");
    let mut wrong = String::new();
    for row in corpus::rows() {
        let mut visitor = TcpStream::connect(address).await.unwrap();
        let talk = async {
            drop(visitor.write_all(&row.bytes()).await);
            drop(visitor.read_to_end(&mut Vec::new()).await);
        };
        soon(row.name, talk).await;
        let mut visitor = TcpStream::connect(address).await.unwrap();
        let talk = async {
            let next = LAST.replace("/last", "/next");
            visitor.write_all(next.as_bytes()).await.unwrap();
            drop(visitor.read_to_end(&mut Vec::new()).await);
        };
        soon("the next request", talk).await;
        let mut seen = Vec::new();
        loop {
            let line = |line: &str| serde_json::from_str::<[String; 3]>(line).ok();
            let request = setting.origin.line("a request", line).await;
            if request[1] == "/next" {
                break;
            }
            seen.push(request);
        }
        if !agrees(row, &seen, bodies) {
            wrong.push_str(&format!("\n{} ({}): {seen:?}", row.name, row.source));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn agrees(row: &Row, seen: &[[String; 3]], bodies: bool) -> bool {
    let hidden = |one: &[String; 3]| one[0].contains("smuggled") || one[1].contains("smuggled");
    if seen.iter().any(hidden) {
        return false;
    }
    // A server may refuse what is odd, such as methods of its visitor's own; nginx says nothing of those.
    let refused = seen
        .iter()
        .any(|one| one[0] == "refused" || one[1].is_empty());
    match row.expected {
        Expected::Refused(..) => seen.is_empty(),
        // A server that answers without reading the body has seen one head.
        Expected::Broken => seen.len() <= usize::from(!bodies),
        Expected::Seen(_) | Expected::Alone(_) if refused => true,
        Expected::Seen(requests) | Expected::Alone(requests) => {
            let last = matches!(row.expected, Expected::Seen(_)).then_some(("GET", "/last", ""));
            let expected = requests.iter().copied().chain(last);
            let expected = expected.map(|(method, target, body)| {
                let body = if bodies { filled(body) } else { String::new() };
                [method.to_owned(), target.to_owned(), body]
            });
            if bodies {
                return expected.eq(seen.iter().cloned());
            }
            // What is answered before its body was asked for may end the connection.
            !seen.is_empty() && expected.take(seen.len()).eq(seen.iter().cloned())
        }
    }
}
