//! What can be wrong between here and the relay.

use std::net::{SocketAddr, UdpSocket};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use adit_shared::checkup::Verdict::{Fail, Ok as Well, Skipped, Warn};
use adit_tests::origin::{Origin, read_head};
use adit_tests::path::Faults;
use adit_tests::{Path, TcpPath, World};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Patient;

#[tokio::test]
async fn a_closed_port_refuses() {
    let world = World::start().await;
    let nobody = {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let begun = Instant::now();
    let found = Patient::of(&world).at(nobody).examine().await;
    found
        .expect("udp", Fail, "refuses")
        .expect("tcp", Fail, "refuses")
        .expect("captive portal", Skipped, "")
        .expect("relay trust", Skipped, "")
        .expect("clock", Skipped, "")
        .expect("path mtu", Skipped, "")
        .expect("token", Skipped, "");
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "it is told at once"
    );
}

#[tokio::test]
async fn udp_that_is_swallowed_is_blocked_where_tcp_answers() {
    let world = World::start().await;
    let hole = UdpSocket::bind(world.https).unwrap();
    let found = Patient::of(&world).at(world.https).examine().await;
    found
        .expect(
            "udp",
            Warn,
            "is blocked: tcp is answered there, and udp is not; agents go over tcp",
        )
        .expect("tcp", Well, "takes agents")
        .expect("relay trust", Well, "(over tcp)")
        .expect("clock", Well, "within 30 s")
        .expect("path mtu", Skipped, "over tcp")
        .expect("token", Well, "asks for none");
    let held = Patient::of(&world)
        .at(world.https)
        .with(|options| options.transport = Some("udp".into()));
    let found = held.examine().await;
    found
        .expect("udp", Fail, "is blocked")
        .expect("tcp", Well, "connects")
        .expect("token", Skipped, "no connection");
    drop(hole);
}

#[tokio::test]
async fn what_takes_no_agents_over_tcp_is_no_way_for_them() {
    // UDP for agents, and TCP for visitors of another server.
    let (world, other) = tokio::join!(World::start(), World::start());
    let (udp, tcp) = TcpPath::beside(world.quic, other.http, 61).await;
    let found = Patient::of(&world).at(tcp.address).examine().await;
    found
        .expect("udp", Well, "answers")
        .expect("tcp", Well, "connects")
        .expect("captive portal", Fail, "plain HTTP");
    drop(udp);
}

#[tokio::test]
async fn a_proxy_that_leads_to_the_relay_is_enough() {
    let world = World::start().await;
    let relay = world.https;
    let proxy = Origin::scripted(move |mut agent| async move {
        let head = read_head(&mut agent).await;
        if !head.starts_with("CONNECT relay.invalid:443 ") {
            let answer = b"HTTP/1.1 403 x\r\ncontent-length: 0\r\n\r\n";
            return drop(agent.write_all(answer).await);
        }
        let mut relay = TcpStream::connect(relay).await.unwrap();
        agent.write_all(b"HTTP/1.1 200 Go\r\n\r\n").await.unwrap();
        drop(tokio::io::copy_bidirectional(&mut agent, &mut relay).await);
    })
    .await;
    // There is no closure in a patient's environment.
    static PROXY: OnceLock<String> = OnceLock::new();
    PROXY.set(format!("http://{}", proxy.address)).unwrap();
    let patient = |relay: &str| {
        let mut patient = Patient::new(&world).with(|options| {
            options.relay = vec![relay.into()];
            options.pin = vec![world.pin().to_string()];
        });
        patient.variables = |name| match name {
            "HTTPS_PROXY" => PROXY.get().map(Into::into),
            _ => None,
        };
        patient
    };
    let found = patient("relay.invalid:443").examine().await;
    found
        .expect("proxy", Well, "used for tcp to relay.invalid")
        .expect("relay name", Warn, "cannot be resolved")
        .expect(
            "tcp",
            Well,
            "relay.invalid:443 through the proxy 127.0.0.1:",
        )
        .expect("relay trust", Well, "with the pinned key")
        .expect("token", Well, "asks for none");
    let found = patient("other.invalid:443").examine().await;
    found.expect("tcp", Fail, "403");
}

#[tokio::test]
async fn a_path_that_swallows_everything_gives_no_answer() {
    let world = World::start().await;
    let hole = UdpSocket::bind("127.0.0.1:0").unwrap();
    let found = Patient::of(&world)
        .at(hole.local_addr().unwrap())
        .examine()
        .await;
    // TCP is refused there, so somebody is.
    found.expect("udp", Fail, "no answer from");
}

#[tokio::test]
async fn whatever_is_silent_the_checkup_ends_within_eight_seconds() {
    let world = World::start().await;
    let silent = || {
        Origin::scripted(|stream| async move {
            let _open = stream;
            std::future::pending().await
        })
    };
    let (relay, origin) = (silent().await, silent().await);
    let hole = UdpSocket::bind(relay.address).unwrap();
    let begun = Instant::now();
    let patient = Patient::of(&world)
        .at(relay.address)
        .with(|options| options.origin = Some(format!("http://{}", origin.address)));
    let found = patient.examine().await;
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    found
        .expect("udp", Fail, "is blocked")
        .expect("tcp", Fail, "no TLS")
        .expect("origin", Warn, "has not answered");
    drop(hole);
}

#[tokio::test]
async fn a_captive_portal_is_known_by_its_plain_answer() {
    let world = World::start().await;
    let answer =
        "HTTP/1.1 302 Found\r\nLocation: http://portal.test/login\r\nContent-Length: 0\r\n\r\n";
    // One kind answers TLS by HTTP, the other closes what it does not understand.
    let blunt = Origin::saying(answer).await;
    let strict = Origin::scripted(move |mut stream| async move {
        let mut first = [0];
        let peeked = stream.peek(&mut first).await;
        if peeked.is_ok_and(|len| len == 1 && first[0] == b'H') {
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    for portal in [blunt.address, strict.address] {
        let found = Patient::of(&world).at(portal).examine().await;
        found
            .expect(
                "captive portal",
                Fail,
                "plain HTTP answers 302, go to http://portal.test/login",
            )
            .expect("tcp", Well, "connects");
        assert!(found.row("captive portal").fix.contains("sign in"));
    }
}

#[tokio::test]
async fn what_a_stranger_says_cannot_touch_the_terminal() {
    let world = World::start().await;
    let answer = "HTTP/1.1 302 Found\r\nLocation: http://a/\u{9b}31m\u{202e}\r\n\r\n";
    let portal = Origin::saying(answer).await;
    let found = Patient::of(&world).at(portal.address).examine().await;
    let seen = &found.row("captive portal").seen;
    assert!(seen.contains("\\x9b31m"), "{seen}");
    assert!(
        !seen.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{seen}"
    );
}

async fn through(world: &World, faults: Faults) -> (Path, SocketAddr) {
    let path = Path::to(world.quic, 7).await;
    path.set(faults);
    let address = path.address;
    (path, address)
}

#[tokio::test]
async fn packets_of_the_way_are_measured() {
    let world = World::start().await;
    for (max, verdict) in [(1400, Well), (1210, Warn)] {
        let faults = Faults {
            max_datagram: Some(max),
            ..Faults::default()
        };
        let (path, address) = through(&world, faults).await;
        let found = Patient::of(&world).at(address).examine().await;
        found
            .expect("udp", Well, "answers")
            .expect("token", Well, "")
            // Nothing is there for visitors, and agents do not care.
            .expect("tcp", Warn, "refuses");
        let row = found.row("path mtu");
        let size = row
            .seen
            .split(' ')
            .find_map(|word| word.parse::<usize>().ok());
        // With IP and UDP; the search ends within a few bytes of the truth.
        let truth = max + 28;
        assert!(
            size.is_some_and(|size| (truth - 30..=truth).contains(&size)),
            "{row:?}"
        );
        assert_eq!(row.verdict, verdict, "{row:?}");
        drop(path);
    }
}

#[tokio::test]
async fn a_nat_that_forgets_is_noticed() {
    let world = World::start().await;
    let faults = Faults {
        forgets: Some(Duration::from_secs(1)),
        ..Faults::default()
    };
    let (_path, address) = through(&world, faults).await;
    let after = async |silences: &[u64]| {
        let mut patient = Patient::of(&world).at(address);
        patient.silences = silences
            .iter()
            .map(|ms| Duration::from_millis(*ms))
            .collect();
        patient.examine().await
    };
    let found = after(&[20, 50]).await;
    found.expect("nat", Well, "remembered after 50ms of silence");
    let found = after(&[50, 1500]).await;
    found.expect(
        "nat",
        Warn,
        "after 1.5s of silence the relay sees us at another address; after 50ms not yet",
    );
}

#[tokio::test]
async fn each_of_several_relays_is_checked() {
    let world = World::start().await;
    let nobody = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let patient = Patient::of(&world)
        .with(|options| options.relay = vec![world.quic.to_string(), nobody.to_string()]);
    let found = patient.examine().await;
    let udp: Vec<_> = found.0.iter().filter(|row| row.name == "udp").collect();
    let verdicts: Vec<_> = udp.iter().map(|row| row.verdict).collect();
    assert_eq!(verdicts, [Well, Fail], "{udp:#?}");
}
