//! A network that lets no UDP through.

use std::time::Duration;

use super::scene::Scene;

/// In mid-transfer, without a word; and later it does again.
#[tokio::test]
async fn udp_is_blocked_and_let_through_again_and_nothing_is_lost() {
    let mut scene = Scene::start(&[]).await;
    scene.net.block_udp();
    scene.goes_on(Duration::from_secs(15)).await;
    on(&mut scene, "tcp").await;
    // No datagram gets through meanwhile, so this is TCP.
    scene.goes_on(Duration::from_secs(1)).await;
    scene.net.let_udp_through();
    on(&mut scene, "udp").await;
    scene.goes_on(Duration::from_secs(1)).await;
    scene.end().await;
}

/// Waits until the agent says that its session goes over `transport`.
async fn on(scene: &mut Scene, transport: &str) {
    while scene.event("transport").await["transport"] != transport {}
}
