//! Ways that go dead for a while under exchanges that are open: they go on soon after.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use adit_agent::config::RelayAddress;
use adit_agent::status::Event;
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::path::{Faults, Rate};
use adit_tests::world::Agent;
use adit_tests::{Path, World, eventually, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A way with a round trip of 40 ms.
fn well() -> Faults {
    Faults {
        delay: Duration::from_millis(20),
        rate: Some(Rate::with_usual_queue(
            20_000_000,
            Duration::from_millis(40),
        )),
        ..Faults::default()
    }
}

/// An agent that reaches its relay over such a way, and serves `origin` as `app`.
pub(super) async fn over_path(origin: &Origin) -> (World, Agent, Path) {
    let world = World::start().await;
    let path = Path::to(world.quic, 21).await;
    path.set(well());
    let agent = world
        .agent_with("app", &format!("http://{}", origin.address), |config| {
            config.relay = RelayAddress::Remote {
                host: "127.0.0.1".into(),
                port: path.address.port(),
            };
        })
        .await;
    (world, agent, path)
}

/// Cuts the way for this long, and says when it was mended.
async fn cut(path: &Path, time: Duration) -> Instant {
    path.set(Faults {
        cut: true,
        ..well()
    });
    // What is tested is what the time does: timers of the transport back off meanwhile.
    tokio::time::sleep(time).await;
    path.set(well());
    Instant::now()
}

/// Holds the time since `mended` against what is promised, with room for a busy machine.
fn in_time(what: &str, mended: Instant) {
    let took = mended.elapsed();
    assert!(took < RESUMED, "{what}: {took:?}");
}

/// Long enough for the transport's own probes to be a second apart.
const CUT: Duration = Duration::from_millis(2500);
/// The transport alone takes up to the length of the cut.
const RESUMED: Duration = Duration::from_millis(800);

/// An origin that counts what it is sent.
async fn counting() -> (Origin, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let origin = Origin::scripted(move |mut stream| {
        let counted = counted.clone();
        async move {
            let head = read_head(&mut stream).await;
            let early = head
                .split_once("\r\n\r\n")
                .map_or(0, |(_, early)| early.len());
            counted.fetch_add(early as u64, Ordering::Relaxed);
            let mut piece = vec![0; 64 << 10];
            while let Ok(len @ 1..) = stream.read(&mut piece).await {
                counted.fetch_add(len as u64, Ordering::Relaxed);
            }
        }
    })
    .await;
    (origin, count)
}

/// An origin that sends without end.
async fn pouring() -> Origin {
    Origin::scripted(|mut stream| async move {
        if read_head(&mut stream).await.is_empty() {
            return;
        }
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n";
        drop(stream.write_all(head).await);
        while stream.write_all(&[b'x'; 16 << 10]).await.is_ok() {}
    })
    .await
}

/// An origin that says what it is told to, event after event.
pub(super) async fn telling() -> (Origin, mpsc::Sender<&'static str>) {
    let (say, words) = mpsc::channel::<&str>(1);
    let words = Arc::new(tokio::sync::Mutex::new(words));
    let origin = Origin::scripted(move |mut stream| {
        let words = words.clone();
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                connection: close\r\n\r\n";
            drop(stream.write_all(head.as_bytes()).await);
            while let Some(word) = words.lock().await.recv().await {
                drop(stream.write_all(word.as_bytes()).await);
            }
        }
    })
    .await;
    (origin, say)
}

pub(super) async fn ask(world: &World) -> TcpStream {
    let mut visitor = world.dial().await;
    visitor
        .write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await
        .unwrap();
    visitor
}

/// Reads all that comes while `work` goes on.
async fn reading<T>(visitor: &mut TcpStream, work: impl Future<Output = T>) -> T {
    let mut piece = vec![0; 64 << 10];
    let read = async {
        loop {
            assert!(visitor.read(&mut piece).await.unwrap() > 0, "it was cut");
        }
    };
    tokio::select! {
        done = work => done,
        () = read => unreachable!(),
    }
}

#[tokio::test]
async fn a_download_goes_on_soon_after_a_cut() {
    let origin = pouring().await;
    let (world, _agent, path) = over_path(&origin).await;
    let mut visitor = ask(&world).await;
    let mut piece = vec![0; 1 << 20];
    soon("a start", visitor.read_exact(&mut piece))
        .await
        .unwrap();
    let mended = reading(&mut visitor, cut(&path, CUT)).await;
    soon("more", visitor.read_exact(&mut piece[..1000]))
        .await
        .unwrap();
    in_time("a download", mended);
}

#[tokio::test]
async fn an_upload_goes_on_soon_after_a_cut() {
    let (origin, count) = counting().await;
    let (world, _agent, path) = over_path(&origin).await;
    let mut visitor = world.dial().await;
    let head = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 999999999\r\n\r\n";
    visitor.write_all(head).await.unwrap();
    let pour = async { while visitor.write_all(&[b'x'; 16 << 10]).await.is_ok() {} };
    let test = async {
        eventually("a start", || async {
            count.load(Ordering::Relaxed) > 1 << 20
        })
        .await;
        let mended = cut(&path, CUT).await;
        let before = count.load(Ordering::Relaxed);
        eventually("more", || async { count.load(Ordering::Relaxed) > before }).await;
        in_time("an upload", mended);
    };
    tokio::select! {
        () = test => {}
        () = pour => panic!("the upload was refused"),
    }
}

/// Nothing else is open: knocks find out, and the user is told.
#[tokio::test]
async fn events_go_on_soon_after_a_cut() {
    let (origin, say) = telling().await;
    let (world, mut agent, path) = over_path(&origin).await;
    let mut visitor = ask(&world).await;
    soon("the head", read_head(&mut visitor)).await;
    say.send("data: one\n\n").await.unwrap();
    soon("one", read_until(&mut visitor, b"one\n\n")).await;
    let long = Duration::from_millis(3500);
    let (mended, ()) = tokio::join!(cut(&path, long), async {
        // It is lost on its way.
        say.send("data: two\n\n").await.unwrap();
    });
    soon("two", read_until(&mut visitor, b"two\n\n")).await;
    in_time("an event", mended);
    let is_silent = |event| matches!(event, Event::Silent).then_some(());
    agent.wait("silence", is_silent).await;
    let resumed = |event| match event {
        Event::Resumed { stalled, lost: 0 } => Some(stalled),
        _ => None,
    };
    let stalled = agent.wait("its end", resumed).await;
    let least = long - Duration::from_millis(1500);
    assert!((least..long + RESUMED).contains(&stalled), "{stalled:?}");
}

#[tokio::test]
async fn a_request_that_comes_in_a_cut_is_answered_soon_after() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let (world, _agent, path) = over_path(&origin).await;
    assert_eq!(world.get("app", "/").await.status, 200);
    let (mended, answer) = tokio::join!(cut(&path, CUT), world.get("app", "/"));
    assert_eq!(answer.status, 200);
    in_time("a request", mended);
}

#[tokio::test]
async fn many_changes_of_address_under_many_requests_lose_none() {
    let origin = Origin::serving(|_| async { http::Response::new(String::from("ok")) }).await;
    let (world, _agent, path) = over_path(&origin).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let one = async || {
        let mut took = Vec::new();
        while !*stopped.borrow() {
            let begun = Instant::now();
            assert_eq!(world.get("app", "/").await.status, 200);
            took.push(begun.elapsed());
        }
        took
    };
    let all = futures_util::future::join_all((0..64).map(|_| one()));
    let (answers, ()) = tokio::join!(all, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        for _ in 0..20 {
            ticks.tick().await;
            path.rebind();
        }
        stop.send(true).unwrap();
    });
    let mut took = answers.concat();
    took.sort_unstable();
    let median = took[took.len() / 2];
    assert!(
        median < Duration::from_secs(1),
        "{median:?} of {}",
        took.len()
    );
}

/// The agent does not notice, and has nothing to say of its own.
#[tokio::test]
async fn a_nat_that_forgets_an_agent_which_only_listens_loses_nothing() {
    let (origin, count) = counting().await;
    let (world, _agent, path) = over_path(&origin).await;
    let mut visitor = world.dial().await;
    let head = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 999999999\r\n\r\n";
    visitor.write_all(head).await.unwrap();
    let pour = async { while visitor.write_all(&[b'x'; 16 << 10]).await.is_ok() {} };
    let test = async {
        for _ in 0..5 {
            let before = count.load(Ordering::Relaxed);
            path.rebind();
            let moved = Instant::now();
            eventually("much more", || async {
                count.load(Ordering::Relaxed) > before + (1 << 20)
            })
            .await;
            // It takes 420 ms by itself.
            let took = moved.elapsed();
            assert!(took < Duration::from_secs(2), "{took:?}");
        }
    };
    tokio::select! {
        () = test => {}
        () = pour => panic!("the upload was refused"),
    }
}

/// As above, while what is open says nothing for a while: a knock tells the relay where the agent is.
#[tokio::test]
async fn a_nat_that_forgets_an_agent_with_nothing_to_say_is_found_out() {
    let (origin, count) = counting().await;
    let (world, _agent, path) = over_path(&origin).await;
    let mut visitor = world.dial().await;
    let head = b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 99\r\n\r\n";
    visitor.write_all(head).await.unwrap();
    for at in 0..4 {
        let moved = Instant::now();
        path.rebind();
        visitor.write_all(b"x").await.unwrap();
        let is_there = || async { count.load(Ordering::Relaxed) > at };
        eventually("one more byte", is_there).await;
        let took = moved.elapsed();
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }
    eventually("the relay has noticed", || async {
        let metrics = world.admin_text("/metrics").await;
        let mut lines = metrics.lines();
        let count = lines.find_map(|line| line.strip_prefix("adit_relay_migrations_total "));
        count.is_some_and(|count| (1..=4).contains(&count.parse().unwrap()))
    })
    .await;
}
