//! The agent's machine gets another address, another way, or none for a while.

use std::time::Duration;

use tokio::time::sleep;

use super::scene::Scene;

const BOUND: Duration = Duration::from_secs(2);

#[tokio::test]
async fn an_uplink_gets_another_address_and_nothing_is_lost() {
    let mut scene = Scene::start(&[]).await;
    for last in [7, 8, 9] {
        scene.net.at_agent("addr flush dev wifi");
        scene
            .net
            .at_agent(&format!("addr add 10.1.0.{last}/24 dev wifi"));
        scene.net.at_agent("route add default via 10.1.0.1");
        scene.goes_on(BOUND).await;
        let event = scene.event("migrated").await;
        let to = event["to"].as_str().unwrap().to_owned();
        assert!(to.starts_with(&format!("10.1.0.{last}:")), "{event}");
    }
    scene.end().await;
}

#[tokio::test]
async fn the_default_route_flips_to_another_interface_and_nothing_is_lost() {
    let mut scene = Scene::start(&[]).await;
    for (gateway, source) in [
        ("10.2.0.1", "10.2.0.2"),
        ("10.1.0.1", "10.1.0.2"),
        ("10.2.0.1", "10.2.0.2"),
    ] {
        scene
            .net
            .at_agent(&format!("route replace default via {gateway}"));
        scene.goes_on(BOUND).await;
        let event = scene.event("migrated").await;
        let to = event["to"].as_str().unwrap().to_owned();
        assert!(to.starts_with(source), "{event}");
    }
    scene.end().await;
}

/// As when the cable is pulled, or out of the wifi's reach; the other uplink comes a moment later.
#[tokio::test]
async fn an_interface_goes_down_and_another_takes_over_and_nothing_is_lost() {
    let mut scene = Scene::start(&[]).await;
    scene.net.at_agent("link set wifi down");
    sleep(Duration::from_secs(1)).await;
    scene.net.at_agent("route replace default via 10.2.0.1");
    scene.goes_on(BOUND).await;
    scene.event("migrated").await;
    scene.end().await;
}

#[tokio::test]
async fn an_interface_that_comes_back_as_it_was_loses_nothing() {
    let mut scene = Scene::start(&[]).await;
    scene.net.at_agent("link set wifi down");
    sleep(Duration::from_secs(3)).await;
    scene.net.at_agent("link set wifi up");
    scene.net.at_agent("route replace default via 10.1.0.1");
    scene.goes_on(BOUND).await;
    scene.end().await;
}
