//! One address that wants all there is: it gets what one may have, and the others get theirs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use adit_shared::wire::code::Close;
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::visit::{Answer, parse};
use adit_tests::world::Agent;
use adit_tests::{World, eventually, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use super::{Evil, assert_well};

/// Another address of this machine.
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

async fn dial_from(world: &World, ip: IpAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(ip, 0)).unwrap();
    socket.connect(world.http).await.unwrap()
}

/// What another address is answered.
async fn get_from_other(world: &World, name: &str) -> Answer {
    let mut stream = dial_from(world, OTHER).await;
    let get = format!("GET / HTTP/1.1\r\nhost: {name}.localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon("an answer", stream.read_to_end(&mut answer))
        .await
        .unwrap();
    parse(&answer)
}

pub(crate) async fn limited(world: &World, limit: &str) -> u64 {
    let metrics = world.admin_text("/metrics").await;
    let line = format!("adit_relay_limited_total{{limit=\"{limit}\"}} ");
    let value = metrics.lines().find_map(|text| text.strip_prefix(&line));
    value.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn connections_of_one_address_are_bounded_and_others_come_in() {
    let world = World::with(|config| config.limits.connections_per_address = 2).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let get = b"GET / HTTP/1.1\r\nHost: good.localhost\r\n\r\n";
    let (mut one, two) = (world.dial().await, world.dial().await);
    assert_eq!(world.raw(get).await, b"");
    assert_eq!(get_from_other(&world, "good").await.status, 200);
    one.write_all(get).await.unwrap();
    let seen = soon("an answer", read_until(&mut one, b"\n\n")).await;
    assert!(seen.starts_with("HTTP/1.1 200 "), "{seen}");
    assert_eq!(limited(&world, "connections-per-address").await, 1);
    drop(two);
    eventually("there is room again", || async {
        let get = b"GET / HTTP/1.1\r\nHost: good.localhost\r\nConnection: close\r\n\r\n";
        !world.raw(get).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn connections_of_one_address_come_no_faster_than_they_may() {
    let world = World::with(|config| {
        config.limits.connects_per_address = 1;
        config.limits.connections_per_address = 5;
    })
    .await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let mut refused = 0;
    for _ in 0..10 {
        refused += usize::from(world.raw(GOOD).await.is_empty());
    }
    // A slow machine may take a second for them.
    assert!((1..=5).contains(&refused), "{refused}");
    assert!(limited(&world, "connects-per-address").await >= 1);
    assert_eq!(get_from_other(&world, "good").await.status, 200);
}

/// An origin that answers when it is let to, and one permit for each request that has come.
async fn held(world: &World, name: &str) -> (Agent, Origin, Arc<Semaphore>, Arc<Semaphore>) {
    let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (tell, wait) = (came.clone(), go.clone());
    let origin = Origin::scripted(move |mut stream| {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            tell.add_permits(1);
            wait.acquire().await.unwrap().forget();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            drop(stream.write_all(answer).await);
        }
    })
    .await;
    let agent = world.agent(name, origin.address).await;
    (agent, origin, came, go)
}

#[tokio::test]
async fn requests_of_one_address_in_flight_are_bounded_and_others_are_served() {
    let world = World::with(|config| config.limits.exchanges_per_address = 1).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let (_agent, _origin, came, go) = held(&world, "slow").await;
    let second = async {
        came.acquire().await.unwrap().forget();
        let answer = world.get("good", "/").await;
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (429, Some("too-many-requests")));
        assert_eq!(answer.fields["retry-after"], "1");
        assert_eq!(get_from_other(&world, "good").await.status, 200);
        go.add_permits(1);
    };
    let (first, ()) = tokio::join!(world.get("slow", "/"), second);
    assert_eq!(first.text(), "ok");
    assert_eq!(limited(&world, "exchanges-per-address").await, 1);
    assert_well(&world).await;
}

#[tokio::test]
async fn requests_of_one_address_come_no_faster_than_they_may() {
    let world = World::with(|config| config.limits.requests_per_address = 1).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let h2 = world.h2c().await;
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let (answer, _) = h2.get("http://good.localhost/").await.unwrap();
        statuses.push(answer.status.as_u16());
    }
    // Ten at once, and one for each second that this took.
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!((10..20).contains(&served), "{statuses:?}");
    assert_eq!(statuses[..10], [200; 10]);
    assert!(statuses.contains(&429));
    assert!(limited(&world, "requests-per-address").await >= 1);
    assert_eq!(get_from_other(&world, "good").await.status, 200);
}

#[tokio::test]
async fn a_tunnel_and_the_relay_have_so_many_requests_in_flight() {
    for (limit, code, others) in [
        ("exchanges-per-tunnel", "too-many-requests-in-flight", 200),
        ("exchanges", "relay-busy", 503),
    ] {
        let world = World::with(|config| {
            if limit == "exchanges" {
                config.limits.exchanges = 1;
            } else {
                config.limits.exchanges_per_tunnel = 1;
            }
        })
        .await;
        let _good = world.agent_with("good", "echo", |_| {}).await;
        let (_agent, _origin, came, go) = held(&world, "slow").await;
        let second = async {
            came.acquire().await.unwrap().forget();
            let answer = world.get("slow", "/").await;
            let shown = (answer.status.as_u16(), answer.error());
            assert_eq!(shown, (503, Some(code)));
            assert_eq!(answer.fields["retry-after"], "1");
            assert_eq!(world.get("good", "/").await.status, others, "{limit}");
            go.add_permits(2);
        };
        let (first, ()) = tokio::join!(world.get("slow", "/"), second);
        assert_eq!(first.text(), "ok");
        assert!(limited(&world, limit).await >= 1);
        assert_eq!(world.get("slow", "/").await.text(), "ok");
        assert_well(&world).await;
    }
}

#[tokio::test]
async fn agents_of_one_address_that_say_nothing_are_bounded() {
    let world = World::with(|config| {
        config.limits.handshakes_per_address = 1;
        config.limits.hello_timeout = Duration::from_secs(60);
    })
    .await;
    let silent = Evil::dial(&world).await;
    let second = Evil::try_dial(&world).await;
    assert!(second.is_err());
    assert!(limited(&world, "handshakes-per-address").await >= 1);
    drop(silent);
    let _good = world.agent_with("good", "echo", |_| {}).await;
    assert_well(&world).await;
}

#[tokio::test]
async fn agents_prove_their_address_when_many_come() {
    let world = World::with(|config| config.limits.handshakes_unvalidated = 0).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    assert_well(&world).await;
    assert_eq!(limited(&world, "handshakes-unvalidated").await, 1);
    // What is not said in time ends.
    let world = World::with(|config| {
        config.limits.handshakes_unvalidated = 0;
        config.limits.hello_timeout = Duration::from_millis(200);
    })
    .await;
    let silent = Evil::dial(&world).await;
    assert_eq!(silent.closed().await.0, Close::Timeout);
    assert_eq!(limited(&world, "hello-timeout").await, 1);
}

const GOOD: &[u8] = b"GET / HTTP/1.1\r\nHost: good.localhost\r\nConnection: close\r\n\r\n";
