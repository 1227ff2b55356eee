//! The inbox of the built programs, which are killed again and again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adit_shared::task::Tasks;
use adit_tests::origin::Origin;
use adit_tests::program::{BuiltRelay, Program};
use adit_tests::random::Random;
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, sleep, timeout};
use tracing::Span;

/// Which webhooks came to the origin, each with the attempt that it was said to be.
type Seen = Arc<Mutex<HashMap<u32, Vec<u32>>>>;

async fn origin(seen: &Seen) -> Origin {
    let seen = seen.clone();
    Origin::serving(move |request| {
        let seen = seen.clone();
        async move {
            let attempt = request.headers().get("adit-webhook-attempt");
            let attempt = attempt.map_or(0, |value| value.to_str().unwrap().parse().unwrap());
            if let Ok(body) = request.into_body().collect().await {
                let body = body.to_bytes();
                let number = String::from_utf8_lossy(&body);
                let number = number.split(' ').next().unwrap().parse().unwrap();
                seen.lock()
                    .unwrap()
                    .entry(number)
                    .or_default()
                    .push(attempt);
            }
            Response::new(Full::new(Bytes::new()))
        }
    })
    .await
}

/// Posts one webhook; whether somebody said that it was taken.
async fn post(to: SocketAddr, number: u32) -> bool {
    let body = format!("{number} {}", "x".repeat(2000));
    let head = format!(
        "POST /hooks HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.ok()?;
        stream
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .await
            .ok()?;
        let mut answer = Vec::new();
        // A relay that is killed breaks it off.
        drop(stream.read_to_end(&mut answer).await);
        Some(answer.starts_with(b"HTTP/1.1 2"))
    };
    matches!(
        timeout(Duration::from_secs(30), exchange).await,
        Ok(Some(true))
    )
}

/// Posts one webhook, and again when nobody says that it was taken: later each time and not for ever, as providers
/// do. Each time it has another number, since nobody can know that it is the same; says which was taken.
async fn deliver(to: SocketAddr, number: u32) -> Option<u32> {
    let mut wait = Duration::from_millis(50);
    for again in 0..TRIES {
        let number = number * TRIES + again;
        if post(to, number).await {
            return Some(number);
        }
        sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(2));
    }
    None
}

/// Posts `count` webhooks, `rate` a second, while the agent comes and goes and the relay is killed `kills`
/// times. Nothing that was acknowledged may be lost, and nothing come twice without saying so.
async fn chaos(count: u32, rate: u32, kills: u32, seed: u64) {
    let seen = Seen::default();
    let origin = origin(&seen).await;
    let mut relay = BuiltRelay::start(&[]).await;
    let to = relay.address("http");
    let url = format!("http://{}", origin.address);
    let args = ["--origin", &url, "--subdomain", "app", "--inbox", "--json"];
    let online = async |agent: &mut Program| {
        agent
            .line("online", |line| line.contains("\"online\"").then_some(()))
            .await;
    };
    let mut agent = Program::start(relay.agent(&args));
    online(&mut agent).await;
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let (senders, taken) = (Tasks::default(), acknowledged.clone());
    let posting = senders.clone();
    senders.spawn(Span::none(), async move {
        let mut ticks = interval(Duration::from_secs(1) / rate);
        for number in 0..count {
            ticks.tick().await;
            let taken = taken.clone();
            posting.spawn(Span::none(), async move {
                if let Some(number) = deliver(to, number).await {
                    taken.lock().unwrap().push(number);
                }
            });
        }
    });
    let whole = Duration::from_secs((count / rate).into());
    let (mut random, began) = (Random::new(seed), Instant::now());
    for kill in 0..kills {
        let at = whole.mul_f64(f64::from(kill + 1) / f64::from(kills + 1));
        while began.elapsed() < at {
            let left = at.saturating_sub(began.elapsed());
            sleep(left.min(Duration::from_millis(random.below(400)))).await;
            match random.below(3) {
                0 => {
                    agent.signal("KILL").await;
                    agent.ended().await;
                    sleep(Duration::from_millis(random.below(300))).await;
                    agent = Program::start(relay.agent(&args));
                }
                1 => {
                    agent.signal("TERM").await;
                    agent.ended().await;
                    sleep(Duration::from_millis(random.below(300))).await;
                    agent = Program::start(relay.agent(&args));
                }
                _ => {}
            }
        }
        relay = relay.again("KILL", &[]).await;
    }
    senders.ended().await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    let missing = || {
        let seen = seen.lock().unwrap();
        let missing = acknowledged.iter().filter(|one| !seen.contains_key(one));
        missing.copied().collect::<Vec<_>>()
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    while !missing().is_empty() && Instant::now() < deadline {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(missing(), [0; 0], "acknowledged and never delivered");
    let seen = seen.lock().unwrap();
    let unmarked = |attempts: &&Vec<u32>| attempts.iter().filter(|one| **one < 2).count() > 1;
    let twice: Vec<_> = seen.values().filter(unmarked).collect();
    let kept = seen.values().flatten().filter(|one| **one > 0).count();
    let again = seen.values().filter(|attempts| attempts.len() > 1).count();
    eprintln!(
        "{count} posted at {rate}/s, {} acknowledged, {} delivered, {kept} from the inbox, {again} more than once, {} of them unmarked, relay killed {kills} times",
        acknowledged.len(),
        seen.len(),
        twice.len()
    );
    assert!(twice.is_empty(), "{twice:?}");
    // Whoever comes again while the relay starts is served before long.
    assert!(acknowledged.len() as u32 > count / 10 * 9);
}

/// How often a webhook is posted at most.
const TRIES: u32 = 10;

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_agent_and_relay_are_killed() {
    chaos(300, 150, 2, 1).await;
}

#[tokio::test]
#[ignore = "takes a minute: make soak"]
async fn ten_thousand_webhooks_while_the_relay_is_killed_twenty_times() {
    chaos(10_000, 500, 20, 7).await;
}
