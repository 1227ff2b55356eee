//! Networks that let UDP through, but throw away much of it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use adit_agent::status::Event;
use adit_shared::quic::Transport;
use adit_tests::path::{Faults, Rate};
use adit_tests::tcp_path::Mood;
use adit_tests::{TcpPath, World};

use super::{Download, at, moved, saying};

/// What exceeds 2 Mbit/s is thrown away; hardly anything waits.
fn policed() -> Faults {
    Faults {
        rate: Some(Rate {
            bits: 2_000_000,
            queue: 6 << 10,
        }),
        ..Faults::far(Duration::from_millis(20))
    }
}

#[tokio::test]
async fn a_download_that_udp_strangles_goes_on_over_tcp() {
    const BODY: usize = 24 << 20;
    let world = World::start().await;
    let (udp, tcp) = TcpPath::beside(world.quic, world.https, 51).await;
    let origin = saying(BODY).await;
    let address = format!("http://{}", origin.address);
    let mut agent = world
        .agent_with("app", &address, at(tcp.address.port()))
        .await;
    assert_eq!(agent.status.snapshot().transport, Some(Transport::Udp));
    udp.set(policed());
    let begun = Instant::now();
    let mut download = Download::start(&world).await;
    let events = async {
        loop {
            if let Event::Transport {
                transport,
                strangled,
                ..
            } = agent.events.recv().await.unwrap()
            {
                return (transport, strangled);
            }
        }
    };
    let rest = async {
        while download.read < BODY {
            download.read(1 << 16).await;
        }
    };
    let (event, ()) = tokio::join!(events, rest);
    assert_eq!(event, (Transport::Tcp, true));
    // Over UDP it would take 100 s.
    assert!(
        begun.elapsed() < Duration::from_secs(70),
        "{:?}",
        begun.elapsed()
    );
    let counts = agent.status.snapshot().counts;
    assert_eq!((counts.sessions, counts.lost), (1, 0));
    assert_eq!(agent.status.snapshot().transport, Some(Transport::Tcp));
}

#[tokio::test]
async fn udp_that_loses_much_is_kept_where_tcp_is_no_faster() {
    const BODY: usize = 64 << 20;
    let world = World::start().await;
    let (udp, tcp) = TcpPath::beside(world.quic, world.https, 52).await;
    let origin = saying(BODY).await;
    let address = format!("http://{}", origin.address);
    let mut agent = world
        .agent_with("app", &address, at(tcp.address.port()))
        .await;
    tcp.set(Mood::Slow);
    udp.set(policed());
    let mut download = Download::start(&world).await;
    let is_back = Cell::new(false);
    let reading = async {
        while !is_back.get() {
            download.read(1 << 10).await;
        }
    };
    let there_and_back = async {
        moved(&mut agent, Transport::Tcp).await;
        moved(&mut agent, Transport::Udp).await;
        is_back.set(true);
    };
    tokio::join!(reading, there_and_back);
    download.read(64 << 10).await;
    assert_eq!(agent.status.snapshot().counts.sessions, 1);
}
