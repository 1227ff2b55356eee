//! Carriers that break, and carriers that come to another shard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_agent::config::{Config, TransportChoice};
use adit_shared::quic::Transport;
use adit_tests::origin::Origin;
use adit_tests::path::Faults;
use adit_tests::tcp_path::Mood;
use adit_tests::world::Agent;
use adit_tests::{Path, TcpPath, World, eventually};
use tokio::io::AsyncWriteExt as _;

use super::{Download, at, cut, moved, saying, world_on_one_port};

const BODY: usize = 32 << 20;

/// A download over TCP, of which something has come.
struct Scene {
    world: World,
    udp: Path,
    tcp: Arc<TcpPath>,
    agent: Agent,
    _origin: Origin,
    download: Download,
}

impl Scene {
    async fn start(seed: u64) -> Self {
        let world = World::start().await;
        let (udp, tcp) = TcpPath::beside(world.quic, world.https, seed).await;
        udp.set(cut());
        let origin = saying(BODY).await;
        let address = format!("http://{}", origin.address);
        let mut agent = world.start_agent("app", &address, at(tcp.address.port()));
        moved(&mut agent, Transport::Tcp).await;
        let mut download = Download::start(&world).await;
        download.read(2 << 20).await;
        Self {
            world,
            udp,
            tcp,
            agent,
            _origin: origin,
            download,
        }
    }

    /// The rest of the download comes, all in one session.
    async fn finish(&mut self) {
        self.download.read(BODY - (2 << 20)).await;
        assert_eq!(self.agent.status.snapshot().counts.sessions, 1);
    }
}

#[tokio::test]
async fn a_carrier_that_breaks_is_replaced() {
    let mut scene = Scene::start(31).await;
    scene.tcp.kill();
    scene.finish().await;
    let metrics = scene.world.admin_text("/metrics").await;
    assert!(metrics.contains("adit_relay_sessions_over_tcp 1"));
}

#[tokio::test]
async fn a_carrier_that_breaks_where_udp_works_again_is_not_needed() {
    let mut scene = Scene::start(32).await;
    scene.udp.set(Faults::default());
    scene.tcp.set(Mood::Shut);
    scene.tcp.kill();
    moved(&mut scene.agent, Transport::Udp).await;
    scene.finish().await;
}

#[tokio::test]
async fn a_carrier_on_which_nothing_comes_through_any_more_is_left() {
    let mut scene = Scene::start(33).await;
    scene.tcp.set(Mood::Stopped);
    scene.udp.set(Faults::default());
    moved(&mut scene.agent, Transport::Udp).await;
    scene.finish().await;
}

#[tokio::test]
async fn a_carrier_comes_to_the_shard_of_its_session() {
    let world = world_on_one_port(4).await;
    let origin = saying(BODY / 4).await;
    let mut agents = Vec::new();
    for number in 0..6 {
        let (udp, tcp) = TcpPath::beside(world.quic, world.https, 40 + number).await;
        let address = format!("http://{}", origin.address);
        let name = format!("app{number}");
        let agent = world
            .agent_with(&name, &address, at(tcp.address.port()))
            .await;
        agents.push((name, udp, tcp, agent));
    }
    let mut downloads = Vec::new();
    for (name, udp, ..) in &agents {
        let mut download = Download::of(&world, name).await;
        download.read(1 << 10).await;
        downloads.push(download);
        udp.set(cut());
    }
    for (.., agent) in &mut agents {
        moved(agent, Transport::Tcp).await;
    }
    for download in &mut downloads {
        download.read(BODY / 4 - (1 << 10)).await;
    }
    // Each is answered on its way from then on, wherever its connection was accepted.
    for (name, ..) in &agents {
        let mut download = Download::of(&world, name).await;
        download.read(BODY / 4).await;
    }
    for (.., agent) in &agents {
        assert_eq!(agent.status.snapshot().counts.sessions, 1);
    }
    eventually("all sessions go over TCP", || async {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains("adit_relay_sessions_over_tcp 6")
    })
    .await;
}

#[tokio::test]
async fn a_carrier_that_takes_nothing_slows_no_other_session() {
    let world = world_on_one_port(1).await;
    let (_stuck_udp, stuck_tcp) = TcpPath::beside(world.quic, world.https, 35).await;
    let over_tcp = |port: u16| {
        move |config: &mut Config| {
            at(port)(config);
            config.transport = TransportChoice::Tcp;
        }
    };
    let stuck = over_tcp(stuck_tcp.address.port());
    let hungry = Origin::scripted(|mut stream| async move {
        drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
    })
    .await;
    let address = format!("http://{}", hungry.address);
    let _stuck = world.agent_with("stuck", &address, stuck).await;
    let over_tcp = over_tcp(world.https.port());
    let _carried = world.agent_with("carried", "echo", over_tcp).await;
    let _usual = world.agent_with("usual", "echo", |_| {}).await;
    // More than all buffers on the way to the stuck agent take.
    let mut uploads = Vec::new();
    for _ in 0..16 {
        let mut visitor = world.dial().await;
        let head = "POST / HTTP/1.1\r\nhost: stuck.localhost\r\ncontent-length: 9999999\r\n\r\n";
        visitor.write_all(head.as_bytes()).await.unwrap();
        uploads.push(tokio::spawn(async move {
            // It ends with the test.
            drop(visitor.write_all(&vec![0; 9_999_999]).await);
        }));
    }
    eventually("something goes there", || async {
        stuck_tcp.carried() > 16 << 20
    })
    .await;
    stuck_tcp.set(Mood::Stopped);
    let begun = Instant::now();
    // Beyond the time after which the relay takes it for stalled.
    while begun.elapsed() < Duration::from_millis(2500) {
        for name in ["carried", "usual"] {
            let asked = Instant::now();
            assert_eq!(world.get(name, "/").await.status, 200);
            assert!(
                asked.elapsed() < Duration::from_millis(600),
                "{:?}",
                asked.elapsed()
            );
        }
    }
    for upload in uploads {
        upload.abort();
    }
}

#[tokio::test]
async fn whoever_wants_udp_only_gets_nothing_else() {
    let world = World::start().await;
    let (udp, tcp) = TcpPath::beside(world.quic, world.https, 34).await;
    udp.set(cut());
    let mut agent = world.start_agent("app", "echo", |config| {
        at(tcp.address.port())(config);
        config.transport = TransportChoice::Udp;
        config.once = true;
    });
    assert!(agent.ended().await.is_err());
    assert_eq!(tcp.carried(), 0);
}
