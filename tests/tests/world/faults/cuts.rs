//! Nothing gets through for a while, both ways or one.

use std::time::Duration;

use adit_tests::path::Faults;
use tokio::time::{Instant, sleep};

use super::{Scene, goes_on};

#[tokio::test]
async fn a_cut_of_five_seconds_loses_nothing_and_all_goes_on_at_once() {
    cut(1, Duration::from_secs(5), Duration::from_secs(2)).await;
}

#[tokio::test]
#[ignore = "takes long: make soak"]
async fn a_cut_of_fifteen_seconds_loses_nothing() {
    cut(2, Duration::from_secs(15), Duration::from_secs(3)).await;
}

#[tokio::test]
#[ignore = "takes long: make soak"]
async fn a_cut_of_twenty_five_seconds_loses_nothing() {
    cut(3, Duration::from_secs(25), Duration::from_secs(3)).await;
}

async fn cut(seed: u64, length: Duration, bound: Duration) {
    let scene = Scene::start(seed).await;
    dark(scene, |usual| usual.but_cut(), length, bound).await;
}

#[tokio::test]
async fn a_cut_towards_the_relay_alone_loses_nothing() {
    let scene = Scene::start(4).await;
    let deaf = |usual| Faults {
        cut_to_relay: true,
        ..usual
    };
    dark(scene, deaf, Duration::from_secs(3), Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_cut_towards_the_agent_alone_loses_nothing() {
    let scene = Scene::start(5).await;
    let deaf = |usual| Faults {
        cut_to_agent: true,
        ..usual
    };
    dark(scene, deaf, Duration::from_secs(3), Duration::from_secs(2)).await;
}

/// Everything in flight goes on within `bound` after the way is well again, and a new request is
/// answered by then.
async fn dark(scene: Scene, how: impl Fn(Faults) -> Faults, length: Duration, bound: Duration) {
    let mut load = scene.load().await;
    scene.path.set(how(scene.usual));
    sleep(length).await;
    scene.path.set(scene.usual);
    let began = Instant::now();
    let door = scene.mix.door(scene.world.http);
    let ((), first) = tokio::join!(goes_on(&mut load, bound), async {
        let outcome = door.small(1).await;
        (outcome, began.elapsed())
    });
    println!("first new request: {first:?}");
    assert!(first.1 < bound, "{first:?}");
    scene.end(load).await;
}

/// Cut again as soon as it goes on.
#[tokio::test]
async fn short_cuts_one_after_the_other_lose_nothing() {
    let scene = Scene::start(6).await;
    let mut load = scene.load().await;
    for _ in 0..5 {
        scene.path.set(scene.usual.but_cut());
        sleep(Duration::from_millis(400)).await;
        scene.path.set(scene.usual);
        goes_on(&mut load, Duration::from_secs(2)).await;
    }
    scene.end(load).await;
}
