//! Long fat ways, and ways that take other packets than loopback does.

use std::time::{Duration, Instant};

use adit_agent::config::RelayAddress;
use adit_shared::quic::tuning::{FAR, Window};
use adit_tests::origin::{Origin, read_head};
use adit_tests::path::{Faults, Rate};
use adit_tests::world::Agent;
use adit_tests::{Path, World, eventually};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A relay and an agent who take each other for far away, and the way between them.
async fn far(faults: Faults, origin: &Origin) -> (World, Agent, Path) {
    let window = Window::Bytes(FAR);
    let world = World::with(|config| config.limits.window = window).await;
    let path = Path::to(world.quic, 11).await;
    path.set(faults);
    let agent = world
        .agent_with("app", &format!("http://{}", origin.address), |config| {
            config.window = window;
            config.relay = RelayAddress::Remote {
                host: "127.0.0.1".into(),
                port: path.address.port(),
            };
        })
        .await;
    (world, agent, path)
}

/// As many bytes are under way as with 500 Mbit/s and 80 ms, at a pace that a busy machine keeps.
fn long_and_fat() -> Faults {
    let round_trip = Duration::from_millis(400);
    Faults {
        delay: round_trip / 2,
        rate: Some(Rate::with_usual_queue(RATE, round_trip)),
        ..Faults::default()
    }
}

const RATE: u64 = 100_000_000;

/// Bits a second that come from `stream` once it is at full speed.
async fn speed(stream: &mut (impl AsyncRead + Unpin)) -> f64 {
    let mut piece = vec![0; 256 << 10];
    let mut take = async |bytes: usize| {
        let mut all = 0;
        while all < bytes {
            let read = timeout(SLOWEST, stream.read(&mut piece)).await;
            let len = read.expect("more in time").unwrap();
            assert!(len > 0, "the end after {all} bytes");
            all += len;
        }
        all
    };
    take(START).await;
    let begun = Instant::now();
    let bytes = take(STEADY).await;
    bytes as f64 * 8.0 / begun.elapsed().as_secs_f64()
}

/// What comes while the speed still grows, and what is measured.
const START: usize = 16 << 20;
const STEADY: usize = 24 << 20;
const SLOWEST: Duration = Duration::from_secs(10);

#[tokio::test]
async fn one_download_fills_a_long_fat_way() {
    let origin = Origin::scripted(|mut stream| async move {
        if read_head(&mut stream).await.is_empty() {
            return;
        }
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(&[b'x'; 16 << 10]).await.is_ok() {}
    })
    .await;
    let (world, _agent, _path) = far(long_and_fat(), &origin).await;
    let mut visitor = world.dial().await;
    let get = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    visitor.write_all(get).await.unwrap();
    let speed = speed(&mut visitor).await;
    assert!(speed > 0.8 * RATE as f64, "{speed} bit/s");
}

#[tokio::test]
async fn one_upload_fills_a_long_fat_way() {
    let (say, mut measured) = mpsc::channel(1);
    let origin = Origin::scripted(move |mut stream| {
        let say = say.clone();
        async move {
            if !read_head(&mut stream).await.is_empty() {
                say.send(speed(&mut stream).await).await.unwrap();
            }
        }
    })
    .await;
    let (world, _agent, _path) = far(long_and_fat(), &origin).await;
    let mut visitor = world.dial().await;
    let head = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 99999999\r\n\r\n";
    visitor.write_all(head).await.unwrap();
    let pour = async { while visitor.write_all(&[b'x'; 16 << 10]).await.is_ok() {} };
    let speed = tokio::select! {
        speed = measured.recv() => speed.unwrap(),
        () = pour => panic!("the upload was refused"),
    };
    assert!(speed > 0.8 * RATE as f64, "{speed} bit/s");
}

/// Answers 4 MiB.
async fn some() -> Origin {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 4194304\r\n\r\n".to_owned();
    Origin::saying(head + &"x".repeat(4 << 20)).await
}

/// The largest datagram that goes over `path` after some downloads.
async fn largest(world: &World, path: &Path, enough: impl Fn(usize) -> bool) -> usize {
    eventually("the size of packets is found", || async {
        assert_eq!(world.get("app", "/").await.body.len(), 4 << 20);
        enough(path.counts().largest)
    })
    .await;
    path.counts().largest
}

#[tokio::test]
async fn large_packets_are_used_where_the_way_takes_them() {
    let origin = some().await;
    let (world, _agent, path) = far(Faults::default(), &origin).await;
    assert!(largest(&world, &path, |size| size > 6000).await <= 6500);
}

#[tokio::test]
async fn a_way_that_takes_less_than_both_ends_is_found_out() {
    let ethernet = Faults {
        delay: Duration::from_millis(1),
        max_datagram: Some(1472),
        ..Faults::default()
    };
    let origin = some().await;
    let (world, _agent, path) = far(ethernet, &origin).await;
    assert!(largest(&world, &path, |size| size > 1440).await <= 1472);
    let lost = path.counts().too_large;
    // Three for each size that was tried, each way.
    assert!((3..60).contains(&lost), "{lost}");
}
