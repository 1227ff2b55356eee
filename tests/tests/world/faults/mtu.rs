//! A way that takes smaller packets than before, and says so to nobody.

use std::time::Duration;

use adit_tests::path::Faults;

use super::{Scene, goes_on};

#[tokio::test]
async fn a_way_that_swallows_large_packets_from_now_on_loses_nothing() {
    let scene = Scene::start(31).await;
    let mut load = scene.load().await;
    // Until packets have grown.
    adit_tests::eventually("larger packets are in use", || async {
        scene.path.counts().largest > 1300
    })
    .await;
    scene.path.set(Faults {
        max_datagram: Some(1252),
        ..scene.usual
    });
    adit_tests::eventually("a packet was too large", || async {
        scene.path.counts().too_large > 0
    })
    .await;
    goes_on(&mut load, Duration::from_secs(6)).await;
    scene.end(load).await;
}
