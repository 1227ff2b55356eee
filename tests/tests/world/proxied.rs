//! Load balancers that say from where they pass a connection on: the PROXY protocol.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use adit_tests::origin::read_until;
use adit_tests::visit::{Answer, H2, parse};
use adit_tests::{World, eventually, soon};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Whose word is taken.
const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 49152 443\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n";

async fn world() -> World {
    World::with(|config| {
        config.proxy_protocol = vec!["127.0.0.2/32".parse().unwrap()];
    })
    .await
}

/// The header of version 2 with the same addresses, and something that is of no interest.
fn binary() -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 0, 1, 0xbb];
    let extension = b"\x02\x00\x0dapp.localhost";
    let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1c";
    [&start[..], &addresses, extension].concat()
}

/// The proxy's own connection.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

async fn dial(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let stream = socket.connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends these pieces and reads until the relay closes.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, pieces: &[&[u8]]) -> Vec<u8> {
    let mut seen = Vec::new();
    soon("an answer", async {
        for piece in pieces {
            drop(stream.write_all(piece).await);
            drop(stream.flush().await);
        }
        drop(stream.read_to_end(&mut seen).await);
    })
    .await;
    seen
}

/// What the origin was told of the visitor.
fn introduced(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (list, element) = (field(answer, "x-forwarded-for"), field(answer, "forwarded"));
    let ip = if list.contains(':') {
        format!("\"[{list}]\"")
    } else {
        list.clone()
    };
    assert!(element.starts_with(&format!("for={ip};")), "{element}");
    list
}

/// A field as the built-in origin saw it.
fn field(answer: &Answer, name: &str) -> String {
    let (text, start) = (answer.text(), format!("{name}: "));
    let value = text.lines().find_map(|line| line.strip_prefix(&start));
    value
        .unwrap_or_else(|| panic!("no {name}: {text}"))
        .to_owned()
}

async fn refused(world: &World) -> u64 {
    let metrics = world.admin_text("/metrics").await;
    let name = "adit_relay_proxy_headers_refused_total ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_origin_learns_the_address_that_a_balancer_announces() {
    let world = world().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let binary = binary();
    for (header, ip) in [
        (LINE, "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7"),
        (&binary, "192.0.2.7"),
        (LOCAL, "127.0.0.2"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.2"),
    ] {
        let seen = exchange(dial(BALANCER, world.http).await, &[header, GET]).await;
        let told = introduced(&parse(&seen));
        assert_eq!(told, ip);

        let mut stream = dial(BALANCER, world.https).await;
        stream.write_all(header).await.unwrap();
        let stream = world.tls_on(stream, "app.localhost", b"http/1.1").await;
        let told = introduced(&parse(&exchange(stream, &[GET]).await));
        assert_eq!(told, ip);

        let mut stream = dial(BALANCER, world.https).await;
        stream.write_all(header).await.unwrap();
        let stream = world.tls_on(stream, "app.localhost", b"h2").await;
        let (answer, _) = H2::on(stream)
            .await
            .get("https://app.localhost/")
            .await
            .unwrap();
        assert_eq!(introduced(&answer), ip);
    }
    assert_eq!(refused(&world).await, 0);
}

#[tokio::test]
async fn a_header_comes_in_any_pieces_and_nothing_after_it_is_lost() {
    let world = world().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    for header in [LINE.to_vec(), binary()] {
        let whole = [&header, GET].concat();
        let each: Vec<_> = whole.chunks(1).collect();
        for pieces in [
            vec![&whole[..]],
            vec![&whole[..10], &whole[10..]],
            vec![&header[..header.len() - 1], &whole[header.len() - 1..]],
            each,
        ] {
            let seen = exchange(dial(BALANCER, world.http).await, &pieces).await;
            assert_eq!(introduced(&parse(&seen)), "192.0.2.7");
        }
    }
}

/// The address goes along when the connection is served on another shard.
#[tokio::test]
async fn the_announced_address_is_known_on_every_shard() {
    let world = World::with(|config| {
        config.shards = 2;
        config.proxy_protocol = vec!["127.0.0.2/32".parse().unwrap()];
    })
    .await;
    let mut agents = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        agents.push(world.agent_with(name, "echo", |_| {}).await);
        let get = format!("GET / HTTP/1.1\r\nhost: {name}.localhost\r\nconnection: close\r\n\r\n");
        let stream = dial(BALANCER, world.http).await;
        let seen = exchange(stream, &[LINE, get.as_bytes()]).await;
        assert_eq!(introduced(&parse(&seen)), "192.0.2.7");
    }
}

#[tokio::test]
async fn a_balancer_that_says_nothing_or_nonsense_is_refused_and_counted() {
    let world = World::with(|config| {
        config.proxy_protocol = vec!["127.0.0.2/32".parse().unwrap()];
        config.limits.handshake_timeout = Duration::from_millis(200);
    })
    .await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let datagrams = binary().into_iter().enumerate().map(|(at, byte)| match at {
        13 => 0x12,
        _ => byte,
    });
    let datagrams: Vec<u8> = datagrams.collect();
    let long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
    let cases: [&[u8]; 7] = [
        GET,
        b"PROXY TCP4 192.0.2.7 10.0.0.1 49152\r\n",
        &datagrams,
        long,
        // Too late.
        b"",
        b"PROXY TCP4 192.0.2.7 ",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
    ];
    let mut count = 0;
    for bytes in cases {
        for address in [world.http, world.https] {
            let seen = exchange(dial(BALANCER, address).await, &[bytes]).await;
            assert!(seen.is_empty(), "{:?}", String::from_utf8_lossy(&seen));
            count += 1;
            eventually("it is counted", || async { refused(&world).await == count }).await;
        }
    }
    let seen = exchange(dial(BALANCER, world.http).await, &[LINE, GET]).await;
    assert_eq!(introduced(&parse(&seen)), "192.0.2.7");
}

#[tokio::test]
async fn a_strangers_header_is_a_bad_request() {
    let world = world().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let binary = binary();
    for header in [LINE, &binary, LOCAL] {
        let stranger = dial(Ipv4Addr::LOCALHOST, world.http).await;
        let seen = exchange(stranger, &[header, GET]).await;
        let text = String::from_utf8_lossy(&seen);
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
        assert!(!text.contains("192.0.2.7"), "{text}");
    }
    // Who is no balancer is served as always.
    let stranger = dial(Ipv4Addr::LOCALHOST, world.http).await;
    let seen = exchange(stranger, &[GET]).await;
    assert_eq!(introduced(&parse(&seen)), "127.0.0.1");
    assert_eq!(refused(&world).await, 0);
}

/// What a balancer announces decides whose `X-Forwarded-*` are believed.
#[tokio::test]
async fn a_trusted_proxy_behind_a_balancer_is_known_by_its_own_address() {
    let world = World::with(|config| {
        config.proxy_protocol = vec!["127.0.0.2/32".parse().unwrap()];
        config.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let get = "GET / HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\
               x-forwarded-for: 198.51.100.1\r\nforwarded: for=198.51.100.1\r\n\r\n";
    for (header, list) in [
        (LINE, "198.51.100.1, 192.0.2.7"),
        (
            &b"PROXY TCP4 203.0.113.1 10.0.0.1 1 2\r\n"[..],
            "203.0.113.1",
        ),
    ] {
        let stream = dial(BALANCER, world.http).await;
        let seen = exchange(stream, &[header, get.as_bytes()]).await;
        assert_eq!(field(&parse(&seen), "x-forwarded-for"), list);
    }
}

#[tokio::test]
async fn what_an_address_may_have_is_counted_for_the_announced_one() {
    let world = World::with(|config| {
        config.proxy_protocol = vec!["127.0.0.2/32".parse().unwrap()];
        config.limits.connections_per_address = 1;
    })
    .await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let mut first = dial(BALANCER, world.http).await;
    let get = b"GET / HTTP/1.1\r\nhost: app.localhost\r\n\r\n";
    first.write_all(&[LINE, get].concat()).await.unwrap();
    let seen = soon("an answer", read_until(&mut first, b"\n\n")).await;
    assert!(seen.starts_with("HTTP/1.1 200 "), "{seen}");

    let second = exchange(dial(BALANCER, world.http).await, &[LINE, GET]).await;
    assert!(second.is_empty());
    let other = b"PROXY TCP4 192.0.2.8 10.0.0.1 1 2\r\n";
    for header in [&other[..], LOCAL] {
        let seen = exchange(dial(BALANCER, world.http).await, &[header, GET]).await;
        assert_eq!(parse(&seen).status, 200);
    }
}
