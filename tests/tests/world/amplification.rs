//! What a relay sends to an address that has proved nothing: whoever forges it must not get more sent there than
//! three times what they send (RFC 9000 section 8.1).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use adit_shared::quic::HTTP3;
use adit_shared::quic::tls::{self, Trust, read_certificates};
use adit_shared::wire::ALPN;
use adit_tests::{World, soon};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout, timeout_at};

async fn socket() -> UdpSocket {
    let here: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    UdpSocket::bind(here).await.unwrap()
}

/// The datagrams with which a client of this protocol begins, before anybody has answered it.
async fn flight(world: &World, protocol: &'static [u8]) -> Vec<Vec<u8>> {
    let trust = Trust::Roots(read_certificates(&world.ca()).unwrap());
    let tls = tls::client(&trust, &[protocol]).unwrap();
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let home: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let client = Endpoint::client(home).unwrap();
    // Nobody is there who would answer.
    let nobody = socket().await;
    let there = nobody.local_addr().unwrap();
    let connecting = client.connect_with(config, there, "localhost").unwrap();
    let mut datagrams = Vec::new();
    let mut bytes = vec![0; 2000];
    let first = soon("a datagram", nobody.recv(&mut bytes)).await.unwrap();
    datagrams.push(bytes[..first].to_vec());
    // The rest follows at once, and is sent again only after a second.
    while let Ok(Ok(len)) = timeout(Duration::from_millis(200), nobody.recv(&mut bytes)).await {
        datagrams.push(bytes[..len].to_vec());
    }
    drop(connecting);
    datagrams
}

/// Sends these datagrams from a new address and then nothing. Says how many bytes went and came, until the relay
/// has given up.
async fn silent(world: &World, datagrams: &[Vec<u8>]) -> (usize, usize) {
    let client = socket().await;
    let mut sent = 0;
    for datagram in datagrams {
        sent += client.send_to(datagram, world.quic).await.unwrap();
    }
    let end = Instant::now() + GIVEN_UP + Duration::from_secs(1);
    let (mut came, mut bytes) = (0, vec![0; 2000]);
    while let Ok(read) = timeout_at(end, client.recv(&mut bytes)).await {
        came += read.unwrap();
    }
    (sent, came)
}

#[tokio::test]
async fn a_client_that_falls_silent_gets_three_times_what_it_sent_at_most() {
    let world = World::with(|config| {
        config.limits.hello_timeout = GIVEN_UP;
        config.limits.handshake_timeout = GIVEN_UP;
    })
    .await;
    // Each of them has ids of its own, or the relay would know them for one.
    let (agent, visitor, first, twice) = tokio::join!(
        flight(&world, ALPN),
        flight(&world, HTTP3),
        flight(&world, ALPN),
        flight(&world, ALPN),
    );
    let (first, twice) = (&first[..1], [&twice[..], &twice[..]].concat());
    let (of_agent, of_visitor, of_first, of_twice) = tokio::join!(
        silent(&world, &agent),
        silent(&world, &visitor),
        silent(&world, first),
        silent(&world, &twice),
    );
    for (what, (sent, came)) in [
        ("an agent", of_agent),
        ("a visitor", of_visitor),
        ("the first datagram alone", of_first),
        ("all of it twice", of_twice),
    ] {
        println!("{what}: {sent} bytes sent, {came} came");
        assert!(came > 0, "{what} is not answered at all");
        assert!(came <= 3 * sent, "{what}: {came} came for {sent}");
    }
}

/// Under load, addresses are proved first: with one datagram, which is smaller than what asked for it.
#[tokio::test]
async fn a_client_that_falls_silent_under_load_gets_less_than_it_sent() {
    let world = World::with(|config| {
        config.limits.handshakes_unvalidated = 0;
        config.limits.hello_timeout = GIVEN_UP;
    })
    .await;
    let agent = flight(&world, ALPN).await;
    let (sent, came) = silent(&world, &agent[..1]).await;
    println!("under load: {sent} bytes sent, {came} came");
    assert!(came > 0 && came < sent, "{came} came for {sent}");
}

/// What is no handshake is answered with less than it has, or not at all (RFC 9000 sections 5.2.2, 6.1 and
/// 10.3.3).
#[tokio::test]
async fn what_is_no_handshake_gets_no_more_than_it_sent() {
    let world = World::start().await;
    let mut unknown = vec![0; 1200];
    // A long header of a version that nobody has, and connection ids of eight bytes.
    unknown[..6].copy_from_slice(&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8]);
    unknown[14] = 8;
    let short = [vec![0x40], vec![7; 40]].concat();
    let garbage: Vec<u8> = (0..1200_u32).map(|at| (at * 31 % 251) as u8).collect();
    for (what, datagram) in [
        ("a version that nobody has", unknown.clone()),
        ("the same, too short for an answer", unknown[..200].to_vec()),
        ("a packet of no connection", short),
        ("garbage", garbage),
        ("a byte", vec![0x40]),
        ("an empty datagram", Vec::new()),
    ] {
        let client = socket().await;
        client.send_to(&datagram, world.quic).await.unwrap();
        let (mut came, mut bytes) = (0, vec![0; 2000]);
        while let Ok(read) = timeout(Duration::from_millis(300), client.recv(&mut bytes)).await {
            came += read.unwrap();
        }
        println!("{what}: {} bytes sent, {came} came", datagram.len());
        assert!(came <= datagram.len(), "{what}: {came} came");
    }
}

/// When the relay gives a handshake up that does not go on. What is lost is sent again before.
const GIVEN_UP: Duration = Duration::from_secs(4);
