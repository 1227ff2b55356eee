//! Relays that are restarted one after the other under visitors, and agents that have several.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adit_agent::config::{Config, OtherRelay, RelayAddress};
use adit_agent::link::Stop;
use adit_agent::status::Event;
use adit_shared::quic::tls::{Trust, read_certificates};
use adit_tests::world::Agent;
use adit_tests::{SOON, World, soon};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;

fn other(world: &World) -> OtherRelay {
    OtherRelay {
        relay: RelayAddress::Remote {
            host: "127.0.0.1".into(),
            port: world.quic.port(),
        },
        trust: Some(Trust::Roots(read_certificates(&world.ca()).unwrap())),
        proxy: None,
        token: None,
    }
}

/// An agent that serves `app` through both, and is online at both.
async fn agent_of(one: &World, two: &World, change: impl FnOnce(&mut Config)) -> Agent {
    let mut agent = one.start_agent("app", "echo", |config| {
        config.others = vec![other(two)];
        change(config);
    });
    for _ in 0..2 {
        agent.wait("online at a relay", is_online).await;
    }
    agent
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "this is what events are picked with"
)]
fn is_online(event: Event) -> Option<()> {
    matches!(event.parts().1, Event::Online { .. }).then_some(())
}

/// Asks once for `/mark`, at the first of `relays` that takes the connection; again and again while none
/// does.
async fn ask(relays: &[SocketAddr], mark: &str) -> Result<(), String> {
    let connected = async {
        loop {
            for relay in relays {
                // From an address where no relay is: who connects to a closed port of its own address
                // again and again is connected to itself in the end, and keeps the port.
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
                if let Ok(stream) = socket.connect(*relay).await {
                    return stream;
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let mut stream = timeout(SOON, connected).await.map_err(|_| "no relay")?;
    let head = format!("GET /{mark} HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n");
    let failed = |error: std::io::Error| format!("{mark}: {error}");
    stream.write_all(head.as_bytes()).await.map_err(failed)?;
    let mut answer = String::new();
    let read = timeout(SOON, stream.read_to_string(&mut answer)).await;
    read.map_err(|_| format!("{mark}: no answer in time"))?
        .map_err(failed)?;
    if answer.starts_with("HTTP/1.1 200 ") && answer.contains(mark) {
        return Ok(());
    }
    Err(format!("{mark}: {answer}"))
}

/// Eight visitors that come until `over`; says what went wrong, and how many were well answered.
async fn visit(relays: &[SocketAddr], over: &AtomicBool) -> (Vec<String>, usize) {
    let one = async |number: usize| {
        let (mut wrong, mut right) = (Vec::new(), 0);
        while !over.load(Ordering::SeqCst) {
            match ask(relays, &format!("v{number}-{right}")).await {
                Ok(()) => right += 1,
                Err(what) => wrong.push(what),
            }
        }
        (wrong, right)
    };
    let all = join_all((0..8).map(one)).await;
    let (wrong, right): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    (wrong.concat(), right.into_iter().sum())
}

/// Times for visitors between two restarts.
async fn some(relays: &[SocketAddr]) {
    for _ in 0..20 {
        ask(relays, "between").await.unwrap();
    }
}

#[tokio::test]
async fn a_relay_that_is_restarted_fails_no_request() {
    let mut world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let relays = [world.http];
    let over = AtomicBool::new(false);
    let restarts = async {
        let mut longest = Duration::ZERO;
        for _ in 0..3 {
            some(&relays).await;
            world = world.restart_relay(async {}).await;
            let ready = Instant::now();
            ask(&relays, "after").await.unwrap();
            longest = longest.max(ready.elapsed());
        }
        over.store(true, Ordering::SeqCst);
        (world, longest)
    };
    let ((wrong, right), (_world, longest)) = tokio::join!(visit(&relays, &over), restarts);
    assert_eq!(wrong, Vec::<String>::new());
    assert!(right > 60, "{right}");
    // Half a second is what is meant; the machine may be busy.
    assert!(longest < Duration::from_secs(3), "{longest:?}");
}

#[tokio::test]
async fn of_two_relays_each_can_be_restarted_and_no_visitor_waits() {
    let (mut one, mut two) = (World::start().await, World::start().await);
    let mut agent = agent_of(&one, &two, |_| {}).await;
    let relays = [one.http, two.http];
    let over = AtomicBool::new(false);
    let restarts = async {
        for _ in 0..2 {
            some(&relays).await;
            one = one.restart_relay(async {}).await;
            agent.wait("online again", is_online).await;
            some(&relays[1..]).await;
            two = two.restart_relay(async {}).await;
            agent.wait("online again", is_online).await;
        }
        over.store(true, Ordering::SeqCst);
        (one, two)
    };
    let ((wrong, right), _worlds) = tokio::join!(visit(&relays, &over), restarts);
    assert_eq!(wrong, Vec::<String>::new());
    assert!(right > 60, "{right}");
    assert!(agent.stop().await, "no task is left");
}

#[tokio::test]
async fn an_agent_that_one_relay_refuses_goes_on_with_the_other() {
    let (one, mut two) = (
        World::start().await,
        World::with(|config| config.open = false).await,
    );
    let mut agent = one.start_agent("app", "echo", |config| config.others = vec![other(&two)]);
    let refused = agent.wait("given up at the second", |event| match event {
        Event::At(relay, event) => match *event {
            Event::Offline { retry_in: None, .. } => Some(relay),
            _ => None,
        },
        _ => None,
    });
    let refused = refused.await;
    assert_eq!(*refused, format!("127.0.0.1:{}", two.quic.port()));
    soon("an answer", ask(&[one.http], "alone")).await.unwrap();
    let now = agent.status.snapshot();
    assert!(now.online && now.relays[0].online && !now.relays[1].online);
    two.drain().await;
    assert!(agent.stop().await);
}

#[tokio::test]
async fn an_agent_that_all_relays_refuse_ends() {
    let closed = |config: &mut adit_relay::config::Config| config.open = false;
    let (one, two) = (World::with(closed).await, World::with(closed).await);
    let mut agent = one.start_agent("app", "echo", |config| config.others = vec![other(&two)]);
    let end = agent.ended().await;
    assert!(matches!(end, Err(Stop::Refused(_))), "{end:?}");
}

#[tokio::test]
async fn an_agent_that_shall_not_wait_gives_up_only_when_no_relay_is_there() {
    let (world, mut gone) = (World::start().await, World::start().await);
    let gone_too = other(&gone);
    gone.drain().await;
    let once = |config: &mut Config| {
        config.once = true;
        config.others = vec![gone_too.clone()];
    };
    let mut agent = world.start_agent("app", "echo", once);
    agent.wait("online", is_online).await;
    let left = agent.wait("the other is given up", |event| {
        let (_, event) = event.parts();
        matches!(event, Event::Offline { retry_in: None, .. }).then_some(())
    });
    left.await;
    ask(&[world.http], "still").await.unwrap();
    assert!(agent.stop().await);
}
