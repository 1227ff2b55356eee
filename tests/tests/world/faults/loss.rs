//! Datagrams that get lost, come late, or come twice.

use std::time::Duration;

use adit_tests::mix::Outcome;
use adit_tests::path::Faults;
use tokio::time::{Instant, sleep};

use super::{Scene, goes_on};

/// Everything goes on and stays whole, and a download of its own gets done.
async fn over(seed: u64, round_trip: u64, how: Faults) {
    let round_trip = Duration::from_millis(round_trip);
    let scene = Scene::far(seed, round_trip, Duration::from_millis(50)).await;
    scene.path.set(Faults {
        loss: how.loss,
        reorder: how.reorder,
        duplicate: how.duplicate,
        ..scene.usual
    });
    let mut load = scene.load().await;
    let door = scene.mix.door(scene.world.http);
    let began = Instant::now();
    for id in 0..3 {
        assert_eq!(door.download(100 + id, 30_000).await, Outcome::Whole);
        assert_eq!(door.post(200 + id, 30_000).await, Outcome::Whole);
    }
    println!("six transfers of 30 kB took {:?}", began.elapsed());
    sleep(Duration::from_millis(500)).await;
    goes_on(&mut load, Duration::from_secs(4)).await;
    scene.end(load).await;
}

fn lossy(loss: f64) -> Faults {
    Faults {
        loss,
        ..Faults::default()
    }
}

#[tokio::test]
async fn one_percent_of_loss_at_40_ms_corrupts_nothing() {
    over(21, 40, lossy(0.01)).await;
}

#[tokio::test]
async fn five_percent_of_loss_at_40_ms_corrupt_nothing() {
    over(22, 40, lossy(0.05)).await;
}

#[tokio::test]
async fn ten_percent_of_loss_at_40_ms_corrupt_nothing() {
    over(23, 40, lossy(0.1)).await;
}

#[tokio::test]
async fn one_percent_of_loss_at_200_ms_corrupts_nothing() {
    over(24, 200, lossy(0.01)).await;
}

#[tokio::test]
async fn five_percent_of_loss_at_200_ms_corrupt_nothing() {
    over(25, 200, lossy(0.05)).await;
}

#[tokio::test]
async fn ten_percent_of_loss_at_200_ms_corrupt_nothing() {
    over(26, 200, lossy(0.1)).await;
}

#[tokio::test]
async fn reordering_corrupts_nothing() {
    let how = Faults {
        reorder: 0.2,
        ..Faults::default()
    };
    over(27, 40, how).await;
}

#[tokio::test]
async fn duplication_delivers_nothing_twice() {
    let how = Faults {
        duplicate: 0.5,
        ..Faults::default()
    };
    over(28, 40, how).await;
}

#[tokio::test]
async fn all_of_it_at_once_corrupts_nothing() {
    let how = Faults {
        loss: 0.05,
        reorder: 0.1,
        duplicate: 0.1,
        ..Faults::default()
    };
    over(29, 40, how).await;
}
