//! Heads: what of a request reaches the origin, and what of a response the visitor.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::visit::{parse, rest, unchunk};
use adit_tests::{World, soon};
use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;

/// An origin that answers 200 and keeps what it received.
async fn listening() -> (Origin, Arc<Mutex<String>>) {
    let heard = Arc::new(Mutex::new(String::new()));
    let keep = heard.clone();
    let origin = Origin::scripted(move |mut stream| {
        let keep = keep.clone();
        async move {
            let mut kept = keep.lock().await;
            *kept = read_head(&mut stream).await;
            drop(kept);
            drop(
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await,
            );
        }
    })
    .await;
    (origin, heard)
}

#[tokio::test]
async fn method_path_and_query_travel_byte_for_byte() {
    let world = World::start().await;
    let (origin, heard) = listening().await;
    let _agent = world.agent("app", origin.address).await;
    for line in [
        "GET / HTTP/1.1",
        "DELETE /a//b/../c/./%2F%2f%zz?q=%20+&&=&a=1&a=2 HTTP/1.1",
        "PATCH /?a=[1]{2}|^`\\&url=http://x/?y HTTP/1.1",
        "PROPFIND /;p=1,2:3@4!$'()*~ HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET /? HTTP/1.1",
    ] {
        let request = format!("{line}\r\nHost: app.localhost\r\nConnection: close\r\n\r\n");
        assert_eq!(world.say(request.as_bytes()).await.status, 200);
        let heard = heard.lock().await;
        assert_eq!(heard.lines().next().unwrap(), line);
    }
}

#[tokio::test]
async fn an_absolute_target_reaches_the_origin_as_a_path() {
    let world = World::start().await;
    let (origin, heard) = listening().await;
    let _agent = world.agent("app", origin.address).await;
    let request = b"GET http://app.localhost/x?y HTTP/1.1\r\nHost: app.localhost\r\n\
        Connection: close\r\n\r\n";
    assert_eq!(world.say(request).await.status, 200);
    assert!(heard.lock().await.starts_with("GET /x?y HTTP/1.1\r\n"));
    let request = b"GET http://app.localhost?y HTTP/1.1\r\nHost: app.localhost\r\n\
        Connection: close\r\n\r\n";
    assert_eq!(world.say(request).await.status, 200);
    assert!(heard.lock().await.starts_with("GET /?y HTTP/1.1\r\n"));
}

#[tokio::test]
async fn fields_reach_the_origin_as_the_contract_says() {
    let world = World::start().await;
    let (origin, heard) = listening().await;
    let _agent = world.agent("app", origin.address).await;
    let request = "GET / HTTP/1.1\r\nHost: App.localhost:8080\r\nX-One: 1\r\nX-One: \r\nX-One: 3\r\n\
        Cookie: a=1\r\nConnection: close, X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\n\
        TE: gzip\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
        X-Forwarded-Proto: https\r\ntraceparent: 00-1-2-01\r\nX-Bytes: \u{e9}\r\n\r\n";
    assert_eq!(world.say(request.as_bytes()).await.status, 200);
    let heard = heard.lock().await.to_lowercase();
    let values = |name: &str| -> Vec<String> {
        let prefix = format!("{name}: ");
        heard
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(values("host"), ["app.localhost:8080"]);
    assert_eq!(values("x-one"), ["1", "", "3"]);
    assert_eq!(values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(
        values("forwarded"),
        ["for=127.0.0.1;host=\"app.localhost:8080\";proto=http"]
    );
    assert_eq!(values("x-forwarded-proto"), ["http"]);
    assert_eq!(values("x-forwarded-host"), ["app.localhost:8080"]);
    assert_eq!(values("traceparent"), ["00-1-2-01"]);
    assert_eq!(values("x-bytes"), ["\u{e9}"]);
    assert_eq!(values("x-request-id").len(), 1);
    for gone in ["x-private", "keep-alive", "te"] {
        assert_eq!(values(gone), [""; 0], "{gone}");
    }
}

#[tokio::test]
async fn the_host_field_is_rewritten_on_request() {
    use adit_agent::config::HostHeader;
    let world = World::start().await;
    let (origin, heard) = listening().await;
    let url = format!("http://{}", origin.address);
    let _agent = world
        .agent_with("app", &url, |config| {
            config.tunnels[0].host_header = HostHeader::Rewrite
        })
        .await;
    world.get("app", "/").await;
    let heard = heard.lock().await.to_lowercase();
    assert!(
        heard.contains(&format!("\r\nhost: {}\r\n", origin.address)),
        "{heard}"
    );
    assert!(heard.contains("\r\nx-forwarded-host: app.localhost\r\n"));
}

#[tokio::test]
async fn a_response_reaches_the_visitor_as_it_is() {
    let world = World::start().await;
    let origin = Origin::saying(
        "HTTP/1.1 418 Teapot\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Odd: \t v \r\n\
         Content-Length: 2\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\nhi",
    )
    .await;
    let _agent = world.agent("app", origin.address).await;
    let answer = world.get("app", "/").await;
    assert_eq!(answer.status, 418);
    let cookies: Vec<_> = answer.fields.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(answer.fields["content-length"], "2");
    assert_eq!(answer.fields.get("x-hop"), None);
    assert_eq!(answer.fields.get("date"), None, "the relay adds nothing");
    assert_eq!(answer.text(), "hi");
}

#[tokio::test]
async fn responses_without_body_stay_without() {
    let world = World::start().await;
    for (method, response) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n"),
    ] {
        let origin = Origin::saying(response).await;
        let agent = world.agent("app", origin.address).await;
        let request =
            format!("{method} / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n");
        let answer = world.raw(request.as_bytes()).await;
        let answer = String::from_utf8(answer).unwrap();
        let status = response.split(' ').nth(1).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(
            answer.contains("content-length: 1000"),
            response.contains("1000"),
            "{answer}"
        );
        assert!(!answer.contains("transfer-encoding"), "{answer}");
        agent.stop().await;
    }
}

#[tokio::test]
async fn bodies_with_length_chunked_or_empty_arrive_whole() {
    let world = World::start().await;
    let origin = Origin::serving(|request| async move {
        use http_body_util::BodyExt as _;
        let length = request.headers().get("content-length").cloned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let text = format!(
            "{:?} {}",
            length.map(|l| l.to_str().unwrap().to_owned()),
            body.len()
        );
        http::Response::new(http_body_util::Full::new(Bytes::from(text)))
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let big = vec![7; 300_000];
    assert_eq!(
        world.post("app", "/", &big).await.text(),
        "Some(\"300000\") 300000"
    );
    assert_eq!(world.post("app", "/", b"").await.text(), "Some(\"0\") 0");
    let chunked = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\
        Connection: close\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n";
    assert_eq!(world.say(chunked).await.text(), "None 5");
    // A GET may have a body, too.
    let get = b"GET / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\
        Connection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(world.say(get).await.text(), "None 3");
}

#[tokio::test]
async fn trailers_travel_in_both_directions() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        let heard = read_until(&mut stream, b"x-sum: 5\r\n\r\n").await;
        assert!(heard.to_lowercase().contains("te: trailers"));
        let answer = "HTTP/1.1 200 OK\r\ntrailer: x-check\r\ntransfer-encoding: chunked\r\n\r\n\
            2\r\nok\r\n0\r\nx-check: 9\r\n\r\n";
        drop(stream.write_all(answer.as_bytes()).await);
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    let request = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nTE: trailers\r\nTrailer: x-sum\r\n\
        Transfer-Encoding: chunked\r\nConnection: close, TE\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n";
    let answer = world.raw(request).await;
    let head = parse(&answer);
    assert_eq!(head.text(), "ok");
    let start = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let (_, trailers) = unchunk(&answer[start..]);
    assert_eq!(trailers, "x-check: 9\r\n\r\n");
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole() {
    let world = World::start().await;
    let origin = Origin::saying("HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
    let _agent = world.agent("app", origin.address).await;
    assert_eq!(world.get("app", "/").await.text(), "until the end");
}

#[tokio::test]
async fn connections_to_the_origin_are_used_again_and_replaced_when_closed() {
    let world = World::start().await;
    // Serves two requests on each connection, then closes without a word.
    let origin = Origin::scripted(|mut stream| async move {
        for _ in 0..2 {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            drop(
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await,
            );
        }
    })
    .await;
    let _agent = world.agent("app", origin.address).await;
    for _ in 0..10 {
        let answer = world.get("app", "/").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (200, "ok")
        );
    }
    // One more is the agent's look whether the origin is up.
    assert_eq!(origin.connections.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn one_visitor_connection_carries_many_requests() {
    let world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let mut stream = world.dial().await;
    for n in 0..20 {
        let request = format!("GET /{n} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = soon("an answer", read_until(&mut stream, b"\n\n")).await;
        assert!(answer.contains(&format!("GET /{n}\n")), "{answer}");
    }
}

#[tokio::test]
async fn http2_visitors_reach_http1_origins() {
    let world = World::start().await;
    let (origin, heard) = listening().await;
    let _agent = world.agent("app", origin.address).await;
    let (answer, _) = world
        .h2c()
        .await
        .get("http://app.localhost/a?b")
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    let heard = heard.lock().await.to_lowercase();
    assert!(heard.starts_with("get /a?b http/1.1\r\n"), "{heard}");
    assert!(heard.contains("\r\nhost: app.localhost\r\n"), "{heard}");
}

#[tokio::test]
async fn tls_visitors_are_served_under_the_name_of_their_handshake() {
    let world = World::start().await;
    let (origin, heard) = listening().await;
    let _agent = world.agent("app", origin.address).await;
    let request = b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n";
    let answer = parse(&world.raw_tls("app.localhost", request).await);
    assert_eq!(answer.status, 200);
    assert!(
        heard
            .lock()
            .await
            .to_lowercase()
            .contains("x-forwarded-proto: https")
    );
    let h2 = world.h2("app.localhost").await;
    let (answer, _) = h2.get("https://app.localhost/").await.unwrap();
    assert_eq!(answer.status, 200);

    let _other = world.agent_with("other", "echo", |_| {}).await;
    let answer = parse(&world.raw_tls("other.localhost", request).await);
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (421, Some("misdirected"))
    );
    let (answer, _) = h2.get("https://other.localhost/").await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (421, Some("misdirected"))
    );
}

#[tokio::test]
async fn an_h2c_origin_sees_trailers_and_is_seen_with_its_own() {
    let world = World::start().await;
    let origin = Origin::serving(|request| async move {
        use http_body_util::BodyExt as _;
        assert_eq!(request.version(), http::Version::HTTP_2);
        assert_eq!(request.headers()["te"], "trailers");
        let collected = request.into_body().collect().await.unwrap();
        let sum = collected.trailers().map(|t| t["x-sum"].clone());
        let body = http_body_util::Full::new(collected.to_bytes());
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("x-sum", sum.unwrap());
        http::Response::new(body.with_trailers(async move { Some(Ok(trailers)) }))
    })
    .await;
    let url = format!("h2c://{}", origin.address);
    let _agent = world.agent_with("app", &url, |_| {}).await;
    let h2 = world.h2c().await;
    let request = Request::post("http://app.localhost/pkg.Service/Method")
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let mut sender = h2.sender().await;
    let (response, mut send) = sender.send_request(request, false).unwrap();
    send.send_data(Bytes::from_static(b"hello"), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "5".parse().unwrap());
    send.send_trailers(trailers).unwrap();
    let (parts, mut body) = soon("a head", response).await.unwrap().into_parts();
    assert_eq!(parts.status, 200);
    assert_eq!(soon("data", body.data()).await.unwrap().unwrap(), "hello");
    assert_eq!(rest(&mut body).await.unwrap(), b"");
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-sum"]),
        (&"0".parse().unwrap(), &"5".parse().unwrap())
    );
}

#[tokio::test]
async fn a_request_that_ends_with_its_head_has_no_body_at_the_origin() {
    let world = World::start().await;
    let (origin, heard) = listening().await;
    let _agent = world.agent("app", origin.address).await;
    world.get("app", "/").await;
    let heard = heard.lock().await.to_lowercase();
    assert!(
        !heard.contains("transfer-encoding") && !heard.contains("content-length"),
        "{heard}"
    );
    assert!(heard.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn one_agent_serves_several_tunnels() {
    let world = World::start().await;
    let one = Origin::saying("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").await;
    let two = Origin::saying("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo").await;
    let mut agent = world.start_agent("one", &format!("http://{}", one.address), |config| {
        let mut second = config.tunnels[0].clone();
        second.id = 7;
        second.name = Some("two".parse().unwrap());
        second.origin = format!("http://{}", two.address).parse().unwrap();
        config.tunnels.push(second);
    });
    agent.online().await;
    agent.online().await;
    assert_eq!(world.get("one", "/").await.text(), "one");
    assert_eq!(world.get("two", "/").await.text(), "two");
}

#[tokio::test]
async fn unix_sockets_are_origins_too() {
    let world = World::start().await;
    let path = world.state().join("origin.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 1024];
            if stream.read(&mut bytes).await.unwrap_or(0) > 0 {
                drop(
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nunix")
                        .await,
                );
            }
        }
    });
    let _agent = world
        .agent_with("app", &format!("unix:{}", path.display()), |_| {})
        .await;
    assert_eq!(world.get("app", "/").await.text(), "unix");
}

#[tokio::test]
async fn requests_that_come_at_once_share_one_connection_to_an_h2c_origin() {
    let world = World::start().await;
    let origin = Origin::serving(|_| async move {
        http::Response::new(http_body_util::Full::new(Bytes::from_static(b"ok")))
    })
    .await;
    let url = format!("h2c://{}", origin.address);
    let _agent = world.agent_with("app", &url, |_| {}).await;
    let h2 = world.h2c().await;
    let visits = (0..20).map(|_| h2.get("http://app.localhost/"));
    for visit in futures_util::future::join_all(visits).await {
        assert_eq!(visit.unwrap().0.status, 200);
    }
    // One more is the agent's look whether the origin is up.
    assert_eq!(origin.connections.load(Ordering::Relaxed), 2);
}
