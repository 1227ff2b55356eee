//! Origins that fail: a clear answer, a fixed code, and nothing else disturbed.

use std::time::Duration;

use adit_agent::status::Event;
use adit_tests::World;
use adit_tests::origin::{Origin, read_head, read_until};
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn an_unknown_name_is_said_to_be_unknown() {
    let world = World::start().await;
    let answer = world.get("nobody", "/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (404, Some("unknown-name"))
    );
    assert!(
        answer
            .text()
            .contains(answer.fields["x-request-id"].to_str().unwrap())
    );
}

#[tokio::test]
async fn an_origin_that_is_down_is_waited_for_and_answered_502_meanwhile() {
    let world = World::start().await;
    let address = Origin::nobody().await;
    let mut agent = world.start_agent("app", &format!("http://{address}"), |_| {});
    let down = agent.wait("origin down", |event| match event {
        Event::OriginDown { origin, .. } => Some(origin),
        _ => None,
    });
    assert_eq!(down.await, address.to_string());
    adit_tests::eventually("502", || async {
        let answer = world.get("app", "/").await;
        (answer.status.as_u16(), answer.error()) == (502, Some("origin-refused"))
    })
    .await;
    // It comes up, and is used at once.
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let origin = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if !read_head(&mut stream).await.is_empty() {
                drop(
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        .await,
                );
            }
        }
    });
    assert_eq!(world.get("app", "/").await.status, 200);
    agent
        .wait("origin up", |event| {
            matches!(event, Event::OriginUp { .. }).then_some(())
        })
        .await;
    origin.abort();
}

#[tokio::test]
async fn an_origin_that_speaks_nonsense_is_answered_502() {
    let world = World::start().await;
    for (response, code) in [
        ("", "origin-reset"),
        ("HTTP/1.1 200 OK\r\ncontent-le", "origin-reset"),
        ("220 mail.example ESMTP\r\n", "origin-invalid"),
        ("\0\u{1}\u{2}\u{3}\r\n\r\n", "origin-invalid"),
        ("HTTP/1.1 xyz OK\r\n\r\n", "origin-invalid"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "origin-invalid",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nab",
            "origin-invalid",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            "origin-invalid",
        ),
    ] {
        let origin = Origin::saying(response).await;
        let agent = world.agent("app", origin.address).await;
        let answer = world.get("app", "/").await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()),
            (502, Some(code)),
            "{response:?}"
        );
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_no_response() {
    let world = World::start().await;
    let response = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n",
        "a".repeat(100_000)
    );
    let origin = Origin::saying(response).await;
    let _agent = world.agent("app", origin.address).await;
    let answer = world.get("app", "/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (502, Some("origin-invalid"))
    );
}

#[tokio::test]
async fn an_origin_that_gives_no_head_in_time_is_answered_504() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let url = format!("http://{}", origin.address);
    let _agent = world
        .agent_with("app", &url, |config| {
            config.tunnels[0].origin_timeout = Duration::from_millis(50);
        })
        .await;
    let answer = world.get("app", "/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (504, Some("origin-timeout"))
    );
}

#[tokio::test]
async fn a_failing_origin_disturbs_no_other_tunnel() {
    let world = World::start().await;
    let bad = Origin::saying("nonsense\r\n\r\n").await;
    let _bad = world.agent("bad", bad.address).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let failing = async {
        for _ in 0..50 {
            assert_eq!(world.get("bad", "/").await.status, 502);
        }
    };
    let working = async {
        for _ in 0..50 {
            assert_eq!(world.get("good", "/").await.status, 200);
        }
    };
    tokio::join!(failing, working);
}

#[tokio::test]
async fn an_upload_may_take_longer_than_an_answer() {
    let world = World::start().await;
    let origin = Origin::serving(|request| async move {
        use http_body_util::BodyExt as _;
        let body = request.into_body().collect().await.unwrap().to_bytes();
        http::Response::new(http_body_util::Full::new(body))
    })
    .await;
    let url = format!("http://{}", origin.address);
    let patience = Duration::from_millis(300);
    let _agent = world
        .agent_with("app", &url, |config| {
            config.tunnels[0].origin_timeout = patience
        })
        .await;
    let mut visitor = world.dial().await;
    let head = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 6\r\n\r\n";
    visitor.write_all(head).await.unwrap();
    let mut ticks = tokio::time::interval(patience / 3);
    for _ in 0..6 {
        // The whole takes twice the patience, no piece more than a third of it.
        ticks.tick().await;
        visitor.write_all(b"x").await.unwrap();
    }
    let answer = adit_tests::soon("the body", read_until(&mut visitor, b"xxxxxx")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn an_answer_of_the_relays_own_to_head_has_no_body() {
    let world = World::start().await;
    let request = http::Request::head("http://nobody.localhost/")
        .body(())
        .unwrap();
    let (answer, _) = world
        .h2c()
        .await
        .send(request, bytes::Bytes::new())
        .await
        .unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (404, Some("unknown-name"))
    );
    assert_eq!(answer.text(), "");
}
