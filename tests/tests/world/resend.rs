//! Requests whose session was lost before the answer: sent once more when that is safe, and only then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::world::Agent;
use adit_tests::{World, eventually, soon};
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Never answers the first request that comes; counts all.
struct Forgetful {
    origin: Origin,
    came: Arc<AtomicUsize>,
}

impl Forgetful {
    async fn start() -> Self {
        let came = Arc::<AtomicUsize>::default();
        let count = came.clone();
        let origin = Origin::scripted(move |mut stream| {
            let count = count.clone();
            async move {
                while !read_head(&mut stream).await.is_empty() {
                    if count.fetch_add(1, Ordering::SeqCst) == 0 {
                        return std::future::pending().await;
                    }
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond";
                    drop(stream.write_all(answer).await);
                }
            }
        })
        .await;
        Self { origin, came }
    }

    async fn has_come(&self, times: usize) {
        eventually("the request is at the origin", || async {
            self.came.load(Ordering::SeqCst) == times
        })
        .await;
    }
}

async fn ask(world: &World, request: &str) -> TcpStream {
    let mut visitor = world.dial().await;
    let head = format!("{request}\r\nHost: app.localhost\r\n\r\n");
    visitor.write_all(head.as_bytes()).await.unwrap();
    visitor
}

/// Kills the agent, and starts it anew as another process of the same identity would.
async fn replace(agent: Agent) -> Agent {
    let config = agent.config();
    agent.kill();
    let mut next = Agent::start(config);
    next.online().await;
    next
}

#[tokio::test]
async fn a_get_whose_agent_was_killed_is_sent_to_the_next_one() {
    let world = World::start().await;
    let origin = Forgetful::start().await;
    let agent = world.agent("app", origin.origin.address).await;
    let mut visitor = ask(&world, "GET / HTTP/1.1").await;
    origin.has_come(1).await;
    let _agent = replace(agent).await;
    let answer = soon("an answer", read_until(&mut visitor, b"second")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(origin.came.load(Ordering::SeqCst), 2);
    let metrics = world.admin_text("/metrics").await;
    assert!(metrics.contains("adit_relay_resent_total 1\n"), "{metrics}");
    assert!(
        metrics.contains("adit_relay_reconnects_total 1\n"),
        "{metrics}"
    );
}

/// The body comes from the visitor's connection in pieces, and the second half only when the first agent
/// is gone.
#[tokio::test]
async fn a_body_of_which_half_was_sent_is_sent_again_whole() {
    let world = World::start().await;
    let came = Arc::<AtomicUsize>::default();
    let count = came.clone();
    let origin = Origin::scripted(move |mut stream| {
        let count = count.clone();
        async move {
            let request = read_until(&mut stream, b"abc").await;
            // The agent also looks whether the origin is there.
            if request.is_empty() {
                return;
            }
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                return std::future::pending().await;
            }
            if !request.ends_with("def") {
                read_until(&mut stream, b"def").await;
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond";
            drop(stream.write_all(answer).await);
        }
    })
    .await;
    let agent = world.agent("app", origin.address).await;
    let mut visitor = ask(&world, "GET /one HTTP/1.1\r\nContent-Length: 6").await;
    visitor.write_all(b"abc").await.unwrap();
    eventually("half of the body is at the origin", || async {
        came.load(Ordering::SeqCst) == 1
    })
    .await;
    let _agent = replace(agent).await;
    visitor.write_all(b"def").await.unwrap();
    soon("an answer", read_until(&mut visitor, b"second")).await;
    assert_eq!(came.load(Ordering::SeqCst), 2);
    // The connection is as good as before.
    let head = b"GET /two HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 6\r\n\r\nabcdef";
    visitor.write_all(head).await.unwrap();
    soon("an answer", read_until(&mut visitor, b"second")).await;
}

#[tokio::test]
async fn a_post_whose_agent_was_killed_is_not_sent_again() {
    let world = World::start().await;
    let origin = Forgetful::start().await;
    let agent = world.agent("app", origin.origin.address).await;
    let mut visitor = ask(&world, "POST / HTTP/1.1\r\nContent-Length: 0").await;
    origin.has_come(1).await;
    let agent = replace(agent).await;
    let answer = soon("an answer", read_until(&mut visitor, b"request id")).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.contains("adit-error: agent-lost\r\n"), "{answer}");
    assert!(agent.stop().await);
    assert_eq!(origin.came.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_get_is_sent_once_more_and_no_more_than_that() {
    let world = World::start().await;
    let came = Arc::<AtomicUsize>::default();
    let count = came.clone();
    let origin = Origin::scripted(move |mut stream| {
        let count = count.clone();
        async move {
            // The agent also looks whether the origin is there.
            if !read_head(&mut stream).await.is_empty() {
                count.fetch_add(1, Ordering::SeqCst);
                std::future::pending().await
            }
        }
    })
    .await;
    let mut agent = world.agent("app", origin.address).await;
    let mut visitor = ask(&world, "GET / HTTP/1.1").await;
    for times in 1..=2 {
        eventually("the request is at the origin", || async {
            came.load(Ordering::SeqCst) == times
        })
        .await;
        agent = replace(agent).await;
    }
    let answer = soon("an answer", read_until(&mut visitor, b"request id")).await;
    assert!(answer.contains("adit-error: agent-lost\r\n"), "{answer}");
    assert!(agent.stop().await);
    assert_eq!(came.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_get_whose_agent_stays_away_is_told_so_after_the_hold() {
    let world = World::with(|config| config.hold = Duration::from_millis(100)).await;
    let origin = Forgetful::start().await;
    let agent = world.agent("app", origin.origin.address).await;
    let mut visitor = ask(&world, "GET / HTTP/1.1").await;
    origin.has_come(1).await;
    agent.kill();
    let answer = soon("an answer", read_until(&mut visitor, b"request id")).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("adit-error: agent-away\r\n"), "{answer}");
    assert!(answer.contains("retry-after: "), "{answer}");
    let metrics = world.admin_text("/metrics").await;
    assert!(metrics.contains("adit_relay_holds_expired_total 1\n"));
}

/// Asks again and again, each time on a connection of its own, until `until` says so; counts what was
/// not answered with what was asked.
async fn visit(world: &World, number: usize, until: &AtomicUsize) -> Vec<String> {
    let mut wrong = Vec::new();
    for round in 0.. {
        if until.load(Ordering::SeqCst) > 0 {
            break;
        }
        let mark = format!("v{number}-{round}");
        let answer = if (number + round).is_multiple_of(2) {
            world.get("app", &format!("/{mark}")).await
        } else {
            world.post("app", "/", mark.as_bytes()).await
        };
        if answer.status != 200 || !answer.text().contains(&mark) {
            wrong.push(format!("{mark}: {} {:?}", answer.status, answer.error()));
        }
    }
    wrong
}

/// A new version of the agent is put in the place of the old one while visitors keep on coming.
#[tokio::test]
async fn an_agent_that_is_restarted_on_purpose_fails_no_request() {
    let world = World::start().await;
    let mut agent = world.agent_with("app", "echo", |_| {}).await;
    let over = AtomicUsize::new(0);
    let visitors = join_all((0..8).map(|number| visit(&world, number, &over)));
    let restarts = async {
        for _ in 0..5 {
            let config = agent.config();
            assert!(agent.stop().await);
            agent = Agent::start(config);
            agent.online().await;
            // So that there are visitors between two restarts.
            world.get("app", "/").await;
        }
        over.store(1, Ordering::SeqCst);
        agent
    };
    let (wrong, _agent) = tokio::join!(visitors, restarts);
    assert_eq!(wrong.concat(), Vec::<String>::new());
}
