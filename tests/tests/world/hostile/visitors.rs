//! Visitors that say nonsense, or not clearly for whom.

use adit_tests::eventually;
use bytes::Bytes;
use http::Request;
use tokio::io::AsyncWriteExt as _;

use super::{assert_well, recorded};

#[tokio::test]
async fn a_request_that_does_not_say_clearly_whom_it_is_for_is_refused() {
    let (world, _agents, _origin, heard) = recorded().await;
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "GET http://shop.localhost/ HTTP/1.1\r\n",
        "GET http://u@shop.localhost/ HTTP/1.1\r\nHost: shop.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\nHost: shop.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\nHost: good.localhost\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n",
        "GET / HTTP/1.1\r\nHost: shop localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost, good.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost/x\r\n",
        "GET / HTTP/1.1\r\nHost: http://shop.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: u@shop.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost:x\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost:80:80\r\n",
        "GET / HTTP/1.1\r\nHost: shop..localhost\r\n",
        "GET / HTTP/1.1\r\nHost: %73hop.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: sh\u{f6}p.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost#good.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost\\good.localhost\r\n",
    ] {
        let answer = world
            .say(format!("{head}Connection: close\r\n\r\n").as_bytes())
            .await;
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (400, Some("bad-host")), "{head:?}");
    }
    assert_eq!(*heard.lock().await, "");
    assert_well(&world).await;
}

#[tokio::test]
async fn a_request_that_names_two_hosts_is_misdirected() {
    let (world, _agents, _origin, heard) = recorded().await;
    let misdirected = (421, Some("misdirected"));
    for (target, host) in [
        ("http://shop.localhost/", "good.localhost"),
        ("http://good.localhost/", "shop.localhost"),
        ("https://shop.localhost/", "localhost"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = world.say(head.as_bytes()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()),
            misdirected,
            "{head}"
        );

        let request = Request::get(target).header("host", host).body(()).unwrap();
        let h2 = world.h2c().await;
        let (answer, _) = h2.send(request, Bytes::new()).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.error()),
            misdirected,
            "{head}"
        );
    }
    assert_eq!(*heard.lock().await, "");
    assert_well(&world).await;
}

#[tokio::test]
async fn the_relay_is_no_proxy_for_connect() {
    let (world, _agents, _origin, heard) = recorded().await;
    let refused = (501, Some("connect-not-supported"));
    for host in ["shop.localhost:443", "example.com:443"] {
        let head = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = world.say(head.as_bytes()).await;
        assert_eq!((answer.status.as_u16(), answer.error()), refused, "{host}");
        let request = Request::connect(host).body(()).unwrap();
        let h2 = world.h2c().await;
        let (answer, _) = h2.send(request, Bytes::new()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error()), refused, "{host}");
    }
    assert_eq!(*heard.lock().await, "");
}

#[tokio::test]
async fn garbage_and_halves_from_visitors_reach_nobody() {
    let (world, _agents, _origin, heard) = recorded().await;
    let garbage: Vec<u8> = (0..4096_usize).map(|n| (n * n * 31 % 251) as u8).collect();
    for bytes in [
        &garbage[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a client hello where there is no TLS\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand no frames at all, only words and words",
        b"\r\n\r\n\r\n\r\nHELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: shop.localhost\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
        b"GET shop HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n",
        b"G\xe9T / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: shop.localhost\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n: no name\r\n\r\n",
    ] {
        let seen = String::from_utf8_lossy(&world.raw(bytes).await).into_owned();
        assert!(!seen.contains(" 200 "), "{}: {seen}", bytes.escape_ascii());
    }
    for half in [
        "G",
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\n",
        "PRI * HTTP",
    ] {
        let mut visitor = world.dial().await;
        visitor.write_all(half.as_bytes()).await.unwrap();
        drop(visitor);
    }
    eventually("they are gone", || async {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains("\nadit_relay_visitors 0\n")
    })
    .await;
    assert_eq!(*heard.lock().await, "");
    assert_well(&world).await;
}
