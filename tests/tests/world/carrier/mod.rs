//! Networks that let no UDP through: sessions go over TCP, and back, with their exchanges.

mod hostile;
mod proxy;
mod strangled;
mod ways;

use std::time::Duration;

use adit_agent::config::{Config, RelayAddress, TransportChoice};
use adit_agent::status::Event;
use adit_shared::quic::Transport;
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::path::Faults;
use adit_tests::world::Agent;
use adit_tests::{World, soon};
use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

fn cut() -> Faults {
    Faults {
        cut: true,
        ..Faults::default()
    }
}

/// Longer than it takes to notice that a way is dead, find another, and come back.
const WHILE: Duration = Duration::from_secs(30);

/// An agent that finds the relay at `port`, and may use any transport.
fn at(port: u16) -> impl FnOnce(&mut Config) {
    move |config: &mut Config| {
        config.transport = TransportChoice::Auto;
        config.relay = RelayAddress::Remote {
            host: "127.0.0.1".into(),
            port,
        };
    }
}

/// A relay with QUIC and TLS on one port, as by default.
async fn world_on_one_port(shards: usize) -> World {
    loop {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        if std::net::TcpListener::bind(address).is_err() {
            continue;
        }
        drop(free);
        return World::with(|config| {
            config.shards = shards.try_into().unwrap();
            (config.https, config.quic) = (Some(address), Some(address));
        })
        .await;
    }
}

/// Waits until the agent has moved to `transport`.
async fn moved(agent: &mut Agent, to: Transport) {
    let wait = agent.events.recv();
    let mut event = timeout(WHILE, wait).await;
    loop {
        match event {
            Ok(Ok(Event::Transport { transport, .. })) if transport == to => return,
            Ok(Ok(Event::Offline { reason, .. })) => panic!("the session was lost: {reason}"),
            Ok(Ok(_)) => event = timeout(WHILE, agent.events.recv()).await,
            Ok(Err(error)) => panic!("the agent says no more: {error}"),
            Err(_) => panic!("not in time: over {to}"),
        }
    }
}

/// What the byte at `place` is, in bodies of any size.
fn byte(place: usize) -> u8 {
    (place.wrapping_mul(2_654_435_761) >> 13) as u8
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(byte).collect()
}

/// An origin that says `length` bytes.
async fn saying(length: usize) -> Origin {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    Origin::saying([head.into_bytes(), pattern(length)].concat()).await
}

/// A download of which the head has come.
struct Download {
    stream: TcpStream,
    read: usize,
}

impl Download {
    async fn start(world: &World) -> Self {
        Self::of(world, "app").await
    }

    async fn of(world: &World, name: &str) -> Self {
        let mut stream = world.dial().await;
        let host = world.host(name);
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon("a head", stream.read_u8()).await.unwrap());
        }
        Self { stream, read: 0 }
    }

    /// Reads this much, which must be as it was sent.
    async fn read(&mut self, length: usize) {
        let mut bytes = vec![0; length];
        let read = timeout(WHILE, self.stream.read_exact(&mut bytes)).await;
        read.expect("more of the body in time").unwrap();
        let is_right = bytes
            .iter()
            .enumerate()
            .all(|(at, one)| *one == byte(self.read + at));
        assert!(is_right, "the body is what was sent");
        self.read += length;
    }
}

#[tokio::test]
async fn every_kind_of_exchange_goes_over_tcp() {
    let world = world_on_one_port(1).await;
    let agent = world
        .agent_with("app", "echo", |config| {
            at(world.https.port())(config);
            config.transport = TransportChoice::Tcp;
        })
        .await;
    assert_eq!(agent.status.snapshot().transport, Some(Transport::Tcp));

    let answer = world.get("app", "/plain").await;
    assert!(answer.text().starts_with("GET /plain\n"));
    let body = pattern(3 << 20);
    let answer = world.post("app", "/upload", &body).await;
    assert!(answer.body.ends_with(&body), "an upload and its echo");

    let h2 = world.h2c().await;
    let request = Request::post("http://app.localhost/").body(()).unwrap();
    let (response, mut send) = h2.sender().await.send_request(request, false).unwrap();
    let mut echo = soon("a head", response).await.unwrap().into_body();
    drop(soon("what was asked", echo.data()).await);
    for word in ["one", "two"] {
        send.send_data(Bytes::from(word), false).unwrap();
        assert_eq!(soon("its echo", echo.data()).await.unwrap().unwrap(), word);
    }
    drop((send, echo));

    let sessions = world.admin_text("/api/v1/sessions").await;
    assert!(sessions.contains(r#""transport":"tcp""#), "{sessions}");
    assert!(sessions.contains(r#""address":"127.0.0.1:"#), "{sessions}");
    let metrics = world.admin_text("/metrics").await;
    for line in ["adit_relay_sessions_over_tcp 1", "adit_relay_carriers 1"] {
        assert!(metrics.contains(line), "{line}");
    }
    assert!(agent.stop().await, "nothing of the agent is left");
    adit_tests::eventually("the relay lets the carrier go", || async {
        world
            .admin_text("/metrics")
            .await
            .contains("adit_relay_carriers 0")
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_begins_without_udp_comes_to_it_later() {
    let world = World::start().await;
    let (udp, tcp) = adit_tests::TcpPath::beside(world.quic, world.https, 21).await;
    udp.set(cut());
    let origin = saying(24 << 20).await;
    let mut agent = world.start_agent(
        "app",
        &format!("http://{}", origin.address),
        at(tcp.address.port()),
    );
    agent.online().await;
    moved(&mut agent, Transport::Tcp).await;
    let mut download = Download::start(&world).await;
    download.read(1 << 20).await;
    udp.set(Faults::default());
    moved(&mut agent, Transport::Udp).await;
    let before = tcp.carried();
    download.read(23 << 20).await;
    assert!(tcp.carried() - before < 8 << 20, "most went over UDP");
    adit_tests::eventually("the relay lets the carrier go", || async {
        world
            .admin_text("/metrics")
            .await
            .contains("adit_relay_carriers 0")
    })
    .await;
}

#[tokio::test]
async fn a_download_goes_on_when_udp_is_cut_and_when_it_is_back() {
    let world = World::start().await;
    let (udp, tcp) = adit_tests::TcpPath::beside(world.quic, world.https, 22).await;
    let origin = saying(40 << 20).await;
    let mut agent = world
        .agent_with(
            "app",
            &format!("http://{}", origin.address),
            at(tcp.address.port()),
        )
        .await;
    let mut download = Download::start(&world).await;
    download.read(4 << 20).await;
    assert_eq!(tcp.carried(), 0);
    udp.set(cut());
    moved(&mut agent, Transport::Tcp).await;
    download.read(12 << 20).await;
    udp.set(Faults::default());
    moved(&mut agent, Transport::Udp).await;
    download.read(24 << 20).await;
    assert_eq!(agent.status.snapshot().counts.sessions, 1);
}

#[tokio::test]
async fn an_upload_goes_on_when_udp_is_cut() {
    let world = World::start().await;
    let (udp, tcp) = adit_tests::TcpPath::beside(world.quic, world.https, 23).await;
    let length = 24 << 20;
    let origin = Origin::scripted(move |mut stream| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let is_right = body == pattern(length);
        let answer = format!(
            "HTTP/1.1 {} x\r\ncontent-length: 0\r\n\r\n",
            if is_right { 200 } else { 500 }
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let mut agent = world
        .agent_with(
            "app",
            &format!("http://{}", origin.address),
            at(tcp.address.port()),
        )
        .await;
    let mut visitor = world.dial().await;
    let head =
        format!("POST / HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: {length}\r\n\r\n");
    visitor.write_all(head.as_bytes()).await.unwrap();
    let body = pattern(length);
    visitor.write_all(&body[..4 << 20]).await.unwrap();
    udp.set(cut());
    let rest = timeout(WHILE, visitor.write_all(&body[4 << 20..]));
    let (rest, ()) = tokio::join!(rest, moved(&mut agent, Transport::Tcp));
    rest.expect("the upload in time").unwrap();
    let answer = soon("an answer", read_head(&mut visitor)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(tcp.carried() > 1 << 20);
}

#[tokio::test]
async fn a_websocket_goes_on_when_udp_is_cut() {
    let world = World::start().await;
    let (udp, tcp) = adit_tests::TcpPath::beside(world.quic, world.https, 24).await;
    let origin = Origin::scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut bytes = [0; 1024];
        while let Ok(length @ 1..) = stream.read(&mut bytes).await {
            bytes[..length].make_ascii_uppercase();
            stream.write_all(&bytes[..length]).await.unwrap();
        }
    })
    .await;
    let mut agent = world
        .agent_with(
            "app",
            &format!("http://{}", origin.address),
            at(tcp.address.port()),
        )
        .await;
    let mut visitor = world.dial().await;
    let request =
        b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n";
    visitor.write_all(request).await.unwrap();
    soon("101", read_head(&mut visitor)).await;
    udp.set(cut());
    visitor.write_all(b"over tcp;").await.unwrap();
    moved(&mut agent, Transport::Tcp).await;
    assert_eq!(
        soon("an echo", read_until(&mut visitor, b";")).await,
        "OVER TCP;"
    );
    udp.set(Faults::default());
    moved(&mut agent, Transport::Udp).await;
    visitor.write_all(b"over udp;").await.unwrap();
    assert_eq!(
        soon("an echo", read_until(&mut visitor, b";")).await,
        "OVER UDP;"
    );
}
