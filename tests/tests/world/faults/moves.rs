//! The agent's address changes, or a NAT's between.

use std::time::Duration;

use adit_agent::config::RelayAddress;
use adit_agent::status::Event;
use adit_tests::Path;
use adit_tests::mix::Outcome;
use adit_tests::path::{Faults, Rate};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use super::{Scene, goes_on};

#[tokio::test]
async fn a_nat_that_rebinds_twice_a_second_loses_nothing() {
    storm(11, 8, |scene, _| scene.path.rebind()).await;
}

#[tokio::test]
#[ignore = "takes long: make soak"]
async fn a_nat_that_rebinds_twice_a_second_for_half_a_minute_loses_nothing() {
    storm(12, 60, |scene, _| scene.path.rebind()).await;
}

#[tokio::test]
async fn an_address_that_changes_twice_a_second_loses_nothing() {
    storm(13, 8, |scene, _| scene.path.change_address()).await;
}

/// `change` happens every half second, so many times.
async fn storm(seed: u64, times: u32, change: impl Fn(&Scene, u32)) {
    let scene = Scene::start(seed).await;
    let mut load = scene.load().await;
    let mut ticks = interval(Duration::from_millis(500));
    ticks.tick().await;
    for number in 0..times {
        change(&scene, number);
        ticks.tick().await;
    }
    let (pause, whose) = load.longest_pause();
    println!("the longest pause: {pause:?}, {whose}");
    assert!(
        pause < Duration::from_secs(2),
        "{whose} paused for {pause:?}"
    );
    goes_on(&mut load, Duration::from_secs(2)).await;
    scene.end(load).await;
}

/// A connection cannot move during its handshake (RFC 9000 section 9): the agent must try again.
#[tokio::test]
async fn a_change_during_the_handshake_does_not_keep_an_agent_away() {
    let scene = Scene::start(14).await;
    let relay = scene.agent.config().relay;
    let mut agents = JoinSet::new();
    // Each on a way of its own, a little further in its handshake.
    for after in [10, 30, 50, 70, 90, 110] {
        let path = Path::to(scene.world.quic, after).await;
        path.set(scene.usual);
        let mut agent = scene.world.start_agent("", "echo", |fresh| {
            fresh.relay = relay.clone();
            if let RelayAddress::Remote { port, .. } = &mut fresh.relay {
                *port = path.address.port();
            }
        });
        agents.spawn(async move {
            let began = Instant::now();
            sleep(Duration::from_millis(after)).await;
            path.rebind();
            while !matches!(agent.events.recv().await.unwrap(), Event::Online { .. }) {}
            println!("{after} ms: online after {:?}", began.elapsed());
        });
    }
    let all = timeout(Duration::from_secs(20), agents.join_all());
    all.await.expect("all agents come online");
}

#[tokio::test]
async fn changes_during_an_upload_lose_nothing_of_it() {
    let scene = Scene::start(15).await;
    let door = scene.mix.door(scene.world.http);
    let upload = door.post_in_pieces(1, 2 << 20);
    // So many that the upload, which takes a second on a way that stays, is met by several wherever it is.
    let changes = async {
        for at in 0..16 {
            sleep(Duration::from_millis(100)).await;
            if at % 2 == 0 {
                scene.path.rebind();
            } else {
                scene.path.change_address();
            }
        }
    };
    let (outcome, ()) = tokio::join!(upload, changes);
    assert_eq!(outcome, Outcome::Whole);
    assert_eq!(scene.mix.ledger.delivered(1), 1);
}

/// The head of a request, and then that of a response, is on its way in several packets.
#[tokio::test]
async fn a_change_in_the_middle_of_a_head_loses_nothing() {
    let scene = Scene::start(16).await;
    let slow = Faults {
        rate: Some(Rate {
            bits: 400_000,
            queue: 64 << 10,
        }),
        ..scene.usual
    };
    scene.path.set(slow);
    let _agent = scene
        .world
        .agent_with("echo", "echo", |config| {
            config.relay = scene.agent.config().relay;
        })
        .await;
    // 16 KiB take a third of a second each way: the built-in origin says them back.
    let field = "x".repeat(16 << 10);
    let request = format!(
        "GET / HTTP/1.1\r\nhost: echo.localhost\r\nx-large: {field}\r\nconnection: close\r\n\r\n"
    );
    for _ in 0..3 {
        let mut visitor = scene.world.dial().await;
        visitor.write_all(request.as_bytes()).await.unwrap();
        let answer = async {
            let mut bytes = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut visitor, &mut bytes)
                .await
                .unwrap();
            adit_tests::visit::parse(&bytes)
        };
        let changes = async {
            for _ in 0..4 {
                sleep(Duration::from_millis(170)).await;
                scene.path.rebind();
            }
        };
        let (answer, ()) = tokio::join!(adit_tests::soon("an answer", answer), changes);
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains(&field), "the whole head came");
    }
}
