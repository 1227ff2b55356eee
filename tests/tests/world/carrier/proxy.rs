//! Networks whose only way out is a proxy.

use adit_shared::quic::Transport;
use adit_tests::origin::{Origin, read_head};
use adit_tests::path::Faults;
use adit_tests::{TcpPath, World};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Download, at, cut, moved, saying};

/// A proxy that lets in who says this.
async fn proxy(authorization: &'static str) -> Origin {
    Origin::scripted(move |mut agent| async move {
        let head = read_head(&mut agent).await;
        if !head.contains(&format!("\r\nProxy-Authorization: {authorization}\r\n")) {
            let answer = b"HTTP/1.1 407 x\r\ncontent-length: 0\r\n\r\n";
            return drop(agent.write_all(answer).await);
        }
        let target = head.split(' ').nth(1).unwrap();
        assert!(head.starts_with("CONNECT "), "{head}");
        let mut relay = TcpStream::connect(target).await.unwrap();
        agent
            .write_all(b"HTTP/1.1 200 Go\r\nVia: 1.1 x\r\n\r\n")
            .await
            .unwrap();
        drop(tokio::io::copy_bidirectional(&mut agent, &mut relay).await);
    })
    .await
}

#[tokio::test]
async fn a_session_goes_through_a_proxy_and_leaves_it_for_udp() {
    let world = World::start().await;
    let (udp, tcp) = TcpPath::beside(world.quic, world.https, 51).await;
    udp.set(cut());
    let proxy = proxy("Basic dXNlcjpwYXNz").await;
    let origin = saying(16 << 20).await;
    let address = format!("http://{}", origin.address);
    let mut agent = world.start_agent("app", &address, |config| {
        at(tcp.address.port())(config);
        config.proxy = Some(
            format!("http://user:pass@{}", proxy.address)
                .parse()
                .unwrap(),
        );
    });
    moved(&mut agent, Transport::Tcp).await;
    let mut download = Download::start(&world).await;
    download.read(4 << 20).await;
    udp.set(Faults::default());
    moved(&mut agent, Transport::Udp).await;
    download.read(12 << 20).await;
}

#[tokio::test]
async fn a_proxy_that_says_no_is_named_as_the_reason_without_a_secret() {
    let world = World::start().await;
    let (udp, tcp) = TcpPath::beside(world.quic, world.https, 52).await;
    udp.set(cut());
    let proxy = proxy("Basic other").await;
    let mut agent = world.start_agent("app", "echo", |config| {
        at(tcp.address.port())(config);
        config.once = true;
        config.proxy = Some(
            format!("http://user:canary@{}", proxy.address)
                .parse()
                .unwrap(),
        );
    });
    let why = agent.ended().await.unwrap_err().to_string();
    assert!(
        why.contains("the proxy wants other credentials (407)"),
        "{why}"
    );
    assert!(!why.contains("canary"), "{why}");
    assert_eq!(tcp.carried(), 0, "nothing goes around the proxy");
}
