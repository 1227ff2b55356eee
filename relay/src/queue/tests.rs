//! What was answered is on disk, whatever ends the program.

use std::collections::HashSet;
use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use adit_shared::wire::head;
use http::header::HeaderValue;
use http::{HeaderMap, Method};

use super::*;
use crate::route::Limits as RouteLimits;
use crate::store::directory::Scratch;

const DIR: &str = "ADIT_TEST_INBOX";

fn open(dir: &Path) -> Inboxes {
    open_with(dir, |limits| limits.requests_per_tunnel = 1_000_000)
}

fn open_with(dir: &Path, change: impl FnOnce(&mut Limits)) -> Inboxes {
    let routes = Routes::new(RouteLimits {
        hold: Duration::ZERO,
        held_per_host: 0,
        held: 0,
        held_bytes: 0,
        reserve: Duration::ZERO,
    });
    let mut limits = Limits::default();
    change(&mut limits);
    Inboxes::open(dir, limits, routes).unwrap()
}

fn host() -> Host {
    "app.localhost".parse().unwrap()
}

fn wish() -> Wish {
    Wish {
        tunnel: 0,
        causes: Causes(0),
        status: 202,
        ack_within_ms: 0,
        parallel: 1,
        patterns: vec!["*".into()],
    }
}

async fn claim(inboxes: &Inboxes, owner: u8) -> Arc<Tray> {
    let (host, wish) = (host(), wish());
    let claimed = inboxes.claim(&host, [owner; 32].into(), None, Some(&wish));
    claimed.await.unwrap().unwrap()
}

async fn tray(inboxes: &Inboxes) -> Arc<Tray> {
    claim(inboxes, 7).await
}

async fn keep(inboxes: &Inboxes, tray: &Tray, body: Bytes) -> Id {
    let letter = letter(body);
    let put = inboxes.put(tray, &letter, None, State::Waiting, 0);
    put.await.unwrap()
}

fn letter(body: Bytes) -> Letter {
    Letter {
        head: head::Request {
            tunnel: 0,
            method: Method::POST,
            https: true,
            authority: HeaderValue::from_static("app.localhost"),
            target: "/hooks?a=%2F".parse().unwrap(),
            protocol: None,
            arrival: None,
            fields: Default::default(),
            end: false,
        },
        body,
        trailers: HeaderMap::new(),
        received: 1,
    }
}

/// What the killed program does: it keeps requests, says so, and settles every third.
#[test]
#[ignore = "it is run by the tests that kill it"]
#[allow(clippy::print_stdout, reason = "that is how it speaks")]
fn keeper() {
    let Some(dir) = env::var_os(DIR) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let inboxes = open(Path::new(&dir));
        let tray = tray(&inboxes).await;
        let one = async |at: u64| {
            for round in 0_u64.. {
                let number = round * 8 + at;
                let body = format!("{number} ").repeat(200);
                let id = keep(&inboxes, &tray, body.into()).await;
                println!("kept {id} {number}");
                if number.is_multiple_of(3) {
                    println!("gone {id}");
                    inboxes.delivered(&tray.host, id).await;
                }
            }
        };
        futures_util::future::join_all((0..8).map(one)).await;
    });
}

/// Kills a program that keeps requests `times` times, at random.
fn kill(times: u32) {
    let dir = Scratch::new();
    let (mut kept, mut gone) = (HashSet::new(), HashSet::new());
    for _ in 0..times {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "queue::tests::keeper",
                "--nocapture",
            ])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (begun, begins) = mpsc::channel::<()>();
        let reader = std::thread::spawn(move || {
            let mut begun = Some(begun);
            let mut lines = Vec::new();
            for line in out.lines().map_while(Result::ok) {
                if line.starts_with("kept") {
                    begun = None;
                }
                lines.push(line);
            }
            drop(begun);
            lines
        });
        // It has begun when the channel is closed; then at a random moment.
        let _ = begins.recv_timeout(Duration::from_secs(20));
        let wait = adit_shared::backoff::random_fraction() * 25.0;
        let (_never, later) = mpsc::channel::<()>();
        let _ = later.recv_timeout(Duration::from_secs_f64(wait / 1000.0));
        child.kill().unwrap();
        child.wait().unwrap();
        let lines = reader.join().unwrap();
        // The last line may be cut.
        for line in &lines {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["kept", id, number] if id.len() == 16 => {
                    kept.insert((id.to_owned(), number.to_owned()));
                }
                ["gone", id] => drop(gone.insert(id.to_owned())),
                _ => {}
            }
        }
    }
    let db = database::connect(dir.path()).unwrap();
    let verdict: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    let seal = Seal::of(dir.path()).unwrap();
    assert!(kept.len() > times as usize, "{} kept", kept.len());
    for (id, number) in &kept {
        if gone.contains(id) {
            continue;
        }
        let found = database::find(&db, id.parse().unwrap()).unwrap();
        let (host, found) = found.unwrap_or_else(|| panic!("{id} was lost"));
        let letter = read(&seal, &host, &found).unwrap();
        let first = letter.body.split(|byte| *byte == b' ').next();
        assert_eq!(first, Some(number.as_bytes()), "{id}");
    }
}

#[test]
fn what_was_answered_survives_a_kill_at_any_moment() {
    kill(30);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn what_was_answered_survives_thousands_of_kills() {
    kill(3000);
}

/// Requests of 2 KiB that 64 senders have kept in a second, each synced before it is answered.
#[test]
#[ignore = "a measurement: make soak"]
fn many_senders_share_a_sync() {
    let dir = Scratch::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (count, seconds) = runtime.block_on(async {
        let inboxes = open(dir.path());
        let tray = tray(&inboxes).await;
        let body = Bytes::from(vec![7; 2048]);
        let began = Instant::now();
        let one = async || {
            let mut count = 0_u32;
            while began.elapsed() < Duration::from_secs(5) {
                keep(&inboxes, &tray, body.clone()).await;
                count += 1;
            }
            count
        };
        let all = futures_util::future::join_all((0..64).map(|_| one())).await;
        (all.iter().sum::<u32>(), began.elapsed().as_secs_f64())
    });
    let rate = f64::from(count) / seconds;
    tracing::info!(rate, "kept a second");
    assert!(rate >= 3000.0, "{rate:.0} a second");
}

#[tokio::test]
async fn a_copy_of_the_file_shows_nothing_of_what_is_kept() {
    let dir = Scratch::new();
    let inboxes = open(dir.path());
    let tray = tray(&inboxes).await;
    keep(&inboxes, &tray, Bytes::from_static(b"canary")).await;
    for file in dir.path().read_dir().unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [&b"canary"[..], b"/hooks"] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        }
    }
}

#[tokio::test]
async fn an_inbox_goes_with_its_owner_and_what_is_taken_counts_as_tried() {
    let dir = Scratch::new();
    let inboxes = open(dir.path());
    let old = tray(&inboxes).await;
    let id = keep(&inboxes, &old, Bytes::new()).await;
    let taken = inboxes.take(&old.host).await.unwrap();
    assert_eq!((taken.requests[0].id, taken.requests[0].attempts), (id, 1));
    let taken = inboxes.take(&old.host).await.unwrap();
    assert_eq!(taken.requests[0].attempts, 2);
    // Another process has its say, too.
    let other = database::connect(dir.path()).unwrap();
    assert!(database::pause(&other, &host(), true).unwrap());
    let open_ = inboxes.0.as_ref().unwrap();
    for _ in 0..200 {
        open_.work.send(Work::Look).await.unwrap();
        if old.record().paused {
            break;
        }
    }
    inboxes.take(&host()).await.unwrap();
    assert!(old.record().paused);
    let new = claim(&inboxes, 8).await;
    assert_eq!((new.total(), new.record().paused), (0, false));
    assert!(inboxes.take(&host()).await.unwrap().requests.is_empty());
}

#[tokio::test]
async fn one_address_does_not_fill_an_inbox() {
    let dir = Scratch::new();
    let limit = |limits: &mut Limits| {
        limits.requests_per_tunnel = 4;
        limits.requests_per_address = 3;
    };
    let inboxes = open_with(dir.path(), limit);
    let letter = letter(Bytes::new());
    let [greedy, other] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
    let put = async |inboxes: &Inboxes, from| {
        let tray = tray(inboxes).await;
        let put = inboxes.put(&tray, &letter, from, State::Waiting, 0);
        put.await
    };
    let first = put(&inboxes, greedy).await.unwrap();
    put(&inboxes, greedy).await.unwrap();
    put(&inboxes, greedy).await.unwrap();
    assert_eq!(put(&inboxes, greedy).await, Err(Refusal::Share));
    // What was delivered counts no more.
    inboxes.delivered(&host(), first).await;
    put(&inboxes, greedy).await.unwrap();
    drop(inboxes);
    let inboxes = open_with(dir.path(), limit);
    assert_eq!(
        put(&inboxes, greedy).await,
        Err(Refusal::Share),
        "known after a restart"
    );
    put(&inboxes, other).await.unwrap();
    assert_eq!(put(&inboxes, other).await, Err(Refusal::Full));
    let db = database::connect(dir.path()).unwrap();
    let plain: i64 = db
        .query_row(
            "SELECT count(*) FROM requests WHERE sender LIKE '%192%' OR sender IS NULL",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(plain, 0, "no address is on disk");
}

/// With 20,000 requests kept, a look at all of them for each that is delivered would be quadratic.
#[test]
fn what_is_next_is_found_without_a_scan_or_a_sort() {
    let dir = Scratch::new();
    let planned = || {
        let db = database::connect(dir.path()).unwrap();
        let plan = |query: &str| {
            let mut explained = db.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            // The plan is the same whatever the parameters are.
            let rows = explained.raw_query().mapped(|row| row.get::<_, String>(3));
            rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        [plan(next::WAITING), plan(next::DUE)]
    };
    let expected = [
        "SEARCH requests USING COVERING INDEX requests_in_order (host=? AND state=?)",
        "SEARCH requests USING COVERING INDEX requests_by_host (host=? AND state=? AND due<?)",
    ];
    assert_eq!(planned(), expected);
    // A database of before gets what it lacks.
    let old = database::connect(dir.path()).unwrap();
    old.execute_batch(
        "DROP INDEX requests_in_order; ALTER TABLE requests DROP COLUMN sender;
         PRAGMA user_version = 1",
    )
    .unwrap();
    drop(old);
    assert_eq!(planned(), expected);
}

#[test]
fn those_that_are_due_again_take_their_place_among_those_that_wait() {
    let dir = Scratch::new();
    let db = database::connect(dir.path()).unwrap();
    let put = |id, state| database::put(&db, Id(id), &host(), None, state, 0, &[0; 100]).unwrap();
    for id in 1..=6 {
        put(id, State::Waiting);
    }
    let aside = |id, due| {
        database::update(&db, Id(id), State::Aside, 1, due, None).unwrap();
    };
    aside(2, 1000);
    aside(4, 500);
    aside(5, 1001);
    let take = |most, bytes| -> Vec<_> {
        let taken = next::take(&db, &host(), 1000, most, bytes).unwrap();
        taken
            .iter()
            .map(|kept| (kept.id.0, kept.attempts))
            .collect()
    };
    assert_eq!(take(64, 1 << 20), [(1, 1), (2, 2), (3, 1), (4, 2), (6, 1)]);
    assert_eq!(take(2, 1 << 20), [(1, 2), (2, 3)]);
    assert_eq!(
        take(64, 250),
        [(1, 3), (2, 4)],
        "no more than there is room for"
    );
    assert_eq!(next::due(&db, &host()).unwrap(), Some(500));
}
