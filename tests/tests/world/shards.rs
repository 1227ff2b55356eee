//! A relay on several shards: whoever comes to whichever of them, it is as if there were one.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use adit_agent::status::Event;
use adit_relay::StartError;
use adit_shared::quic::tls::{self, Trust, read_certificates};
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::visit::parse;
use adit_tests::world::Agent;
use adit_tests::{World, eventually, soon};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

const SHARDS: u16 = 3;

async fn world() -> World {
    World::with(|config| config.shards = SHARDS).await
}

async fn api(world: &World, what: &str) -> Vec<Value> {
    let answer = world.admin_text(&format!("/api/v1/{what}")).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

/// The shard of each name that is served.
async fn places(world: &World) -> BTreeMap<String, u64> {
    let sessions = api(world, "sessions").await;
    let shard = |id: &Value| {
        let session = sessions.iter().find(|session| session["id"] == *id);
        session.unwrap()["shard"].as_u64().unwrap()
    };
    let tunnels = api(world, "tunnels").await;
    let served = tunnels.iter().filter(|tunnel| tunnel["online"] == true);
    let place = |tunnel: &Value| {
        let host = tunnel["host"].as_str().unwrap();
        let name = host.strip_suffix(".localhost").unwrap();
        (name.to_owned(), shard(&tunnel["session"]))
    };
    served.map(place).collect()
}

/// Agents of `origin`, one on each shard at least.
async fn agents(world: &World, origin: &str) -> Vec<Agent> {
    let mut agents = Vec::new();
    loop {
        let name = format!("app-{}", agents.len());
        agents.push(world.agent_with(&name, origin, |_| {}).await);
        let shards: BTreeSet<_> = places(world).await.into_values().collect();
        if shards.len() == usize::from(SHARDS) {
            return agents;
        }
        assert!(agents.len() < 100, "agents come to all shards");
    }
}

/// Two names that are served on different shards.
async fn apart(world: &World) -> [String; 2] {
    let places = places(world).await;
    let (one, here) = places.first_key_value().unwrap();
    let other = places.iter().find(|(_, there)| *there != here).unwrap();
    [one.clone(), other.0.clone()]
}

#[tokio::test]
async fn a_request_is_served_on_the_shard_of_its_agent() {
    let world = world().await;
    let agents = agents(&world, "echo").await;
    let places = places(&world).await;
    assert_eq!(places.len(), agents.len());
    let mut expected = [0; SHARDS as usize];
    for (name, shard) in &places {
        let host = world.host(name);
        for target in ["/one", "/two"] {
            let answer = world.get(name, target).await;
            assert!(answer.text().starts_with(&format!("GET {target}\n")));
            let request = format!(
                "POST {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\n\
                 connection: close\r\n\r\nhello"
            );
            let answer = parse(&world.raw_tls(&host, request.as_bytes()).await);
            assert!(answer.text().contains("hello"), "{}", answer.text());
            let h2 = world.h2(&host).await;
            let (answer, _) = h2.get(&format!("https://{host}{target}")).await.unwrap();
            assert_eq!(answer.status, 200);
            expected[*shard as usize] += 3;
        }
    }
    eventually("each shard has counted its own", || async {
        let shards = api(&world, "shards").await;
        let requests = shards.iter().map(|shard| shard["requests"].as_i64());
        requests.eq(expected.map(Some))
            && shards.iter().all(|shard| shard["visitors"] == 0)
            && shards.iter().all(|shard| shard["exchanges"] == 0)
    })
    .await;
    let text = world.admin_text("/metrics").await;
    let (sessions, all) = (agents.len(), expected.iter().sum::<i64>());
    for line in [
        format!("sessions {sessions}"),
        format!("responses_total{{class=\"2xx\"}} {all}"),
        format!("request_duration_seconds_count {all}"),
        "visitors 0".into(),
    ] {
        assert!(text.contains(&format!("\nadit_relay_{line}\n")), "{text}");
    }
}

#[tokio::test]
async fn one_connection_may_ask_for_hosts_of_several_shards() {
    let world = world().await;
    let _agents = agents(&world, "echo").await;
    let names = apart(&world).await;
    let mut visitor = world.dial().await;
    for turn in 0..6 {
        let (name, target) = (&names[turn % 2], format!("/{turn}"));
        let answer = ask(&mut visitor, name, &target).await;
        assert!(
            answer.contains(&format!("\nhost: {name}.localhost")),
            "{answer}"
        );
    }
    let h2 = world.h2c().await;
    for turn in 0..6 {
        let url = format!("http://{}.localhost/{turn}", names[turn % 2]);
        let (answer, _) = h2.get(&url).await.unwrap();
        assert!(answer.text().starts_with(&format!("GET /{turn}\n")));
    }
}

/// What an echo says on a connection that stays open.
async fn ask(visitor: &mut TcpStream, name: &str, target: &str) -> String {
    let head = format!("GET {target} HTTP/1.1\r\nhost: {name}.localhost\r\n\r\n");
    visitor.write_all(head.as_bytes()).await.unwrap();
    let answer = soon("an answer", read_until(visitor, b"\n\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    answer
}

/// Writes a few bytes at a time, and gives way after each.
struct Trickle(TcpStream, bool);

impl AsyncWrite for Trickle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let few = bytes.len().min(7);
        Pin::new(&mut self.0).poll_write(cx, &bytes[..few])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

#[tokio::test]
async fn a_connection_is_handed_over_however_its_beginning_is_cut() {
    let world = world().await;
    let agents = agents(&world, "echo").await;
    let trust = Trust::Roots(read_certificates(&world.ca()).unwrap());
    let client = Arc::new(tls::client(&trust, &[b"http/1.1"]).unwrap());
    let places = places(&world).await;
    let mut expected = [0; SHARDS as usize];
    for (name, shard) in &places {
        let host = world.host(name);
        let body = "x".repeat(3000);
        let request = format!(
            "POST /slow HTTP/1.1\r\nx: {body}\r\nhost: {host}\r\ncontent-length: 3000\r\n\
             connection: close\r\n\r\n{body}"
        );
        let mut plain = Trickle(world.dial().await, false);
        let stream = TcpStream::connect(world.https).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let tls = TlsConnector::from(client.clone());
        let tls = tls.connect(host.try_into().unwrap(), Trickle(stream, false));
        let mut tls = soon("a handshake", tls).await.unwrap();
        for io in [
            &mut plain as &mut (dyn ReadWrite + Unpin),
            &mut tls as &mut (dyn ReadWrite + Unpin),
        ] {
            soon("an answer", async {
                io.write_all(request.as_bytes()).await.unwrap();
                io.flush().await.unwrap();
                let mut answer = Vec::new();
                drop(io.read_to_end(&mut answer).await);
                assert!(parse(&answer).text().ends_with(&body));
            })
            .await;
            expected[*shard as usize] += 1;
        }
    }
    eventually("each shard has counted its own", || async {
        let shards = api(&world, "shards").await;
        let requests = shards.iter().map(|shard| shard["requests"].as_i64());
        requests.eq(expected.map(Some))
    })
    .await;
    drop(agents);
}

trait ReadWrite: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> ReadWrite for T {}

#[tokio::test]
async fn a_visitor_counts_once_and_until_it_leaves_wherever_it_is_served() {
    let world = World::with(|config| {
        config.shards = SHARDS;
        config.limits.visitors = 12;
    })
    .await;
    let agents = agents(&world, "echo").await;
    let mut visitors = Vec::new();
    for turn in 0..12 {
        let mut visitor = world.dial().await;
        let name = format!("app-{}", turn % agents.len());
        let head = format!("GET /{turn} HTTP/1.1\r\nhost: {name}.localhost\r\n\r\n");
        visitor.write_all(head.as_bytes()).await.unwrap();
        soon("an answer", read_head(&mut visitor)).await;
        visitors.push(visitor);
    }
    let visitors_are = async |count: usize| {
        let line = format!("\nadit_relay_visitors {count}\n");
        eventually("the relay counts its visitors", || async {
            world.admin_text("/metrics").await.contains(&line)
        })
        .await;
    };
    visitors_are(12).await;
    let mut refused = world.dial().await;
    drop(refused.write_all(b"GET / HTTP/1.1\r\n").await);
    let end = soon("the end", refused.read(&mut [0; 64])).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    for visitor in visitors.drain(..6) {
        drop(visitor);
    }
    visitors_are(6).await;
    assert_eq!(world.get("app-0", "/").await.status, 200);
    drop(visitors);
    visitors_are(0).await;
}

#[tokio::test]
async fn who_does_not_say_what_it_wants_is_not_waited_for() {
    let world = World::with(|config| {
        config.shards = SHARDS;
        config.limits.head_timeout = Duration::from_millis(300);
        config.limits.handshake_timeout = Duration::from_millis(300);
    })
    .await;
    let _agents = agents(&world, "echo").await;
    let hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a hello that goes on";
    let beginnings: [(_, &[u8]); 5] = [
        (world.http, b""),
        (world.http, b"GET / HTTP/1.1\r\n"),
        (world.http, b"GET / HTTP/1.1\r\nhost: app-0.localhost\r\n"),
        (world.https, b""),
        (world.https, hello),
    ];
    for (address, beginning) in beginnings {
        let mut visitor = TcpStream::connect(address).await.unwrap();
        visitor.write_all(beginning).await.unwrap();
        let mut rest = Vec::new();
        drop(soon("the end", visitor.read_to_end(&mut rest)).await);
    }
    eventually("they are gone", || async {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains("\nadit_relay_visitors 0\n")
    })
    .await;
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_on_every_shard() {
    let mut world = world().await;
    let may = Arc::new(Semaphore::new(0));
    let wait = may.clone();
    let origin = Origin::scripted(move |mut stream| {
        let wait = wait.clone();
        async move {
            while !read_head(&mut stream).await.is_empty() {
                wait.acquire().await.unwrap().forget();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    let mut agents = agents(&world, &format!("http://{}", origin.address)).await;
    let mut visitors = Vec::new();
    for name in places(&world).await.keys() {
        let mut visitor = world.dial().await;
        let head = format!("GET / HTTP/1.1\r\nhost: {name}.localhost\r\n\r\n");
        visitor.write_all(head.as_bytes()).await.unwrap();
        visitors.push(visitor);
    }
    let line = format!("\nadit_relay_exchanges {}\n", visitors.len());
    eventually("all are in flight", || async {
        world.admin_text("/metrics").await.contains(&line)
    })
    .await;
    let drained = world.begin_drain();
    for agent in &mut agents {
        let told = |event| matches!(event, Event::RelayDraining).then_some(());
        agent.wait("the relay drains", told).await;
    }
    eventually("new visitors are refused", || async {
        TcpStream::connect(world.http).await.is_err()
    })
    .await;
    may.add_permits(visitors.len());
    for visitor in &mut visitors {
        let answer = soon("the response", read_until(visitor, b"done")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert!(soon("the end", drained).await.unwrap(), "nothing given up");
    for address in [world.http, world.https, world.admin] {
        assert!(TcpStream::connect(address).await.is_err());
    }
}

#[tokio::test]
async fn a_name_follows_its_agent_to_another_shard() {
    let world = world().await;
    let mut agent = world.agent_with("app", "echo", |_| {}).await;
    let mut visitor = world.dial().await;
    let mut seen = BTreeSet::new();
    while seen.len() < usize::from(SHARDS) {
        seen.insert(places(&world).await["app"]);
        for version in ["one", "two"] {
            let answer = world.get("app", &format!("/{version}")).await;
            assert_eq!(answer.status, 200);
        }
        // This connection stays where it was when the name was on the first shard.
        ask(&mut visitor, "app", "/kept").await;
        let config = agent.config();
        let mut next = Agent::start(config);
        next.online().await;
        agent = next;
    }
    assert_eq!(api(&world, "tunnels").await.len(), 1);
    drop(agent);
}

#[tokio::test]
async fn a_second_relay_does_not_join_the_first_ones_shards() {
    let world = world().await;
    for shards in [1, 2] {
        let start = |change: fn(&mut adit_relay::config::Config, &World)| {
            let any = ([127, 0, 0, 1], 0).into();
            let state = world.state().join(format!("other-{shards}"));
            let mut config = adit_relay::config::Config::local_for_agent(state, any, any);
            config.shards = shards;
            change(&mut config, &world);
            adit_relay::start(config)
        };
        let http = start(|config, world| config.http = Some(world.http)).await;
        assert!(matches!(http, Err(StartError::Bind("http", ..))));
        let quic = start(|config, world| config.quic = Some(world.quic)).await;
        assert!(matches!(quic, Err(StartError::Quic(_))));
    }
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    assert_eq!(world.get("app", "/").await.status, 200);
}
