//! Programs that are killed or restarted: how soon all is well again, and what visitors see of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use adit_tests::program::{BuiltRelay, Program};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// What a visitor got.
#[derive(Debug)]
enum Answer {
    /// What the echo says of this request.
    Well,
    /// Nobody took the connection.
    Nobody,
    Wrong(String),
}

/// Asks once, on a connection of its own, as curl would.
async fn ask(relay: SocketAddr, mark: &str) -> Answer {
    // From an address where nobody listens: who connects to a closed port of its own address again and
    // again is connected to itself in the end.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let Ok(mut stream) = socket.connect(relay).await else {
        return Answer::Nobody;
    };
    let head = format!("GET /{mark} HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n");
    let asked = async {
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ") && answer.contains(mark) => {
            Answer::Well
        }
        Ok(Ok(answer)) => Answer::Wrong(format!("{mark}: {answer}")),
        Ok(Err(error)) => Answer::Wrong(format!("{mark}: {error}")),
        Err(_) => Answer::Wrong(format!("{mark}: no answer in time")),
    }
}

/// Asks until all is well; says how long that took since `begun`.
async fn well(relay: SocketAddr, begun: Instant) -> Duration {
    let asking = async {
        while !matches!(ask(relay, "again").await, Answer::Well) {
            sleep(RETRY).await;
        }
    };
    timeout(PATIENCE, asking).await.expect("served again");
    begun.elapsed()
}

fn echo(relay: &BuiltRelay) -> Command {
    relay.agent(&["--subdomain", "app", "--echo"])
}

async fn online(command: Command) -> Program {
    let mut agent = Program::start(command);
    let is_url = |line: &str| line.starts_with("http").then_some(());
    agent.line("its URL", is_url).await;
    agent
}

#[tokio::test]
async fn agents_serve_within_two_seconds_of_the_restart_of_a_relay_that_was_killed() {
    let relay = BuiltRelay::start(&[]).await;
    let agent = online(echo(&relay)).await;
    let http = relay.address("http");
    assert!(matches!(ask(http, "before").await, Answer::Well));
    let begun = Instant::now();
    let relay = relay.again("KILL", &[]).await;
    let took = well(http, begun).await;
    assert!(
        took < Duration::from_secs(2),
        "{took:?}\n{}",
        agent.errors()
    );
    drop(relay);
}

#[tokio::test]
async fn a_name_is_served_within_a_second_of_the_restart_of_an_agent_that_was_killed() {
    let relay = BuiltRelay::start(&[]).await;
    let mut agent = online(echo(&relay)).await;
    let http = relay.address("http");
    for _ in 0..3 {
        agent.signal("KILL").await;
        agent.ended().await;
        let begun = Instant::now();
        agent = Program::start(echo(&relay));
        let took = well(http, begun).await;
        assert!(
            took < Duration::from_secs(1),
            "{took:?}\n{}",
            agent.errors()
        );
    }
}

#[tokio::test]
async fn relays_that_are_restarted_under_visitors_fail_no_request() {
    let mut relay = BuiltRelay::start(&[]).await;
    let agent = online(echo(&relay)).await;
    let http = relay.address("http");
    let (over, right) = (AtomicBool::new(false), AtomicUsize::new(0));
    let visitor = async |number: usize| {
        let mut wrong = Vec::new();
        let mut at = 0;
        while !over.load(Ordering::Relaxed) {
            match ask(http, &format!("v{number}-{at}")).await {
                Answer::Well => {
                    at += 1;
                    right.fetch_add(1, Ordering::Relaxed);
                }
                Answer::Nobody => sleep(RETRY).await,
                Answer::Wrong(what) => wrong.push(what),
            }
        }
        wrong
    };
    let restarts = async {
        for _ in 0..3 {
            let before = right.load(Ordering::Relaxed);
            relay = relay.again("TERM", &[]).await;
            // Visitors are served between two restarts.
            let enough = async {
                while right.load(Ordering::Relaxed) < before + 50 {
                    sleep(RETRY).await;
                }
            };
            timeout(PATIENCE, enough)
                .await
                .expect("visitors are served");
        }
        over.store(true, Ordering::Relaxed);
        relay
    };
    let (wrong, relay) = tokio::join!(join_all((0..8).map(visitor)), restarts);
    assert_eq!(wrong.concat(), [""; 0], "{}", agent.errors());
    drop(relay);
}

const PATIENCE: Duration = Duration::from_secs(15);
/// Of a visitor that nobody took.
const RETRY: Duration = Duration::from_millis(5);
