//! Trust: which relay an agent believes, which agent a relay believes, and certificates.

use std::sync::Arc;

use adit_agent::link::Stop;
use adit_shared::identity::Identity;
use adit_shared::quic::tls::{self, Trust, read_certificates};
use adit_shared::wire::code::Close;
use adit_shared::wire::control::Message;
use adit_tests::visit::parse;
use adit_tests::world::Agent;
use adit_tests::{World, soon};
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{sessions, url, word};
use crate::hostile::Evil;

#[tokio::test]
async fn an_agent_connects_only_to_the_relay_that_it_trusts() {
    let (world, other) = (World::start().await, World::start().await);
    let wrong_pin = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
    let wrong_ca = read_certificates(&other.ca()).unwrap();
    let mut config = world.agent_config("shop", "echo");
    config.once = true;
    for trust in [
        Trust::Pin(wrong_pin),
        Trust::Pin(other.pin()),
        Trust::Roots(wrong_ca),
    ] {
        config.trust = Some(trust.clone());
        match Agent::start(config.clone()).ended().await {
            Err(Stop::Unreachable(why)) => {
                assert!(
                    why.contains("could not prove who it is"),
                    "{trust:?}: {why}"
                );
            }
            other => panic!("{trust:?}: {other:?}"),
        }
    }
    assert_eq!(world.get("shop", "/").await.error(), Some("unknown-name"));

    config.trust = Some(Trust::Pin(world.pin()));
    Agent::start(config).online().await;
}

#[tokio::test]
async fn a_hello_that_was_signed_for_another_connection_is_refused() {
    let world = World::start().await;
    let victim = Evil::dial(&world).await;
    let mut thief = Evil::dial(&world).await;
    thief.tell(&Message::Hello(victim.hello())).await;
    let (code, why) = thief.closed().await;
    assert_eq!(code, Close::Refused);
    assert_eq!(why, "the signature does not belong to the identity");

    // Nor does a key help whose owner signed nothing.
    let mut liar = Evil::dial(&world).await;
    let mut hello = liar.hello();
    hello.key = Identity::generate().unwrap().public_key();
    liar.tell(&Message::Hello(hello)).await;
    assert_eq!(liar.closed().await.0, Close::Refused);
    assert_eq!(sessions(&world).await, 0);
}

#[tokio::test]
async fn an_own_domain_is_claimed_and_served() {
    let world = World::start().await;
    let origin = word("customer").await;
    let agent = world
        .agent_with("", &url(&origin), |config| {
            config.tunnels[0].host = Some("Shop.Example.com".parse().unwrap());
        })
        .await;
    let port = world.http.port();
    assert_eq!(agent.url, format!("http://shop.example.com:{port}"));
    let request = b"GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n";
    assert_eq!(world.say(request).await.text(), "customer");
    let answer = parse(&world.raw_tls("shop.example.com", request).await);
    assert_eq!(answer.text(), "customer");
    let other = b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    assert_eq!(world.say(other).await.error(), Some("unknown-name"));
}

#[tokio::test]
async fn each_name_has_a_certificate_of_its_own() {
    let world = World::start().await;
    let _one = world.agent_with("one", "echo", |_| {}).await;
    let _two = world.agent_with("two", "echo", |_| {}).await;
    let one = certificate(&world, "one.localhost").await;
    let two = certificate(&world, "two.localhost").await;
    let says = |certificate: &[u8], text: &str| {
        let text = text.as_bytes();
        certificate.windows(text.len()).any(|window| window == text)
    };
    assert!(says(&one, "one.localhost") && says(&two, "two.localhost"));
    assert!(!says(&one, "two.localhost") && !says(&one, "*.localhost"));
}

/// The certificate that the relay shows to visitors of `host`, after checking it with the CA.
async fn certificate(world: &World, host: &str) -> CertificateDer<'static> {
    let trust = Trust::Roots(read_certificates(&world.ca()).unwrap());
    let connector = TlsConnector::from(Arc::new(tls::client(&trust, &[b"http/1.1"]).unwrap()));
    let stream = TcpStream::connect(world.https).await.unwrap();
    let name = host.to_owned().try_into().unwrap();
    let stream = soon("a handshake", connector.connect(name, stream)).await;
    let stream = stream.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}
