use adit_shared::wire::fields::Fields;
use adit_shared::wire::head;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};

use super::*;
use crate::capture::Side;
use crate::capture::exchange::State;
use crate::capture::tap::Tapped;

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("adit-inspect-{name}-{}.db", std::process::id()));
    drop(std::fs::remove_file(&path));
    path
}

async fn exchange(capture: &Capture, body: &'static [u8]) -> u64 {
    let head = head::Request {
        tunnel: 0,
        method: Method::PUT,
        https: true,
        authority: HeaderValue::from_static("a.test"),
        target: "/a%2Fb//c?d".parse().unwrap(),
        protocol: None,
        arrival: None,
        fields: Fields::from_pairs([
            ("x-bytes", &b"\xe4\xff"[..]),
            ("x-twice", b"1"),
            ("x-twice", b"2"),
        ])
        .unwrap(),
        end: false,
    };
    let open = capture
        .begin(&head, "web", || Some(Duration::from_millis(3)))
        .unwrap();
    let full = Full::new(Bytes::from_static(body));
    Tapped::new(full, open.tap().clone(), Side::Visitor)
        .collect()
        .await
        .unwrap();
    open.tap().response(&head::Response {
        status: StatusCode::CREATED,
        fields: Fields::from_pairs([("x-answer", "yes")]).unwrap(),
        end: true,
    });
    open.end("done");
    open.tap().exchange().id
}

#[tokio::test]
async fn exchanges_are_there_after_a_restart() {
    let path = path("restart");
    let limits = Limits::default();
    let capture = open(&path, limits).unwrap();
    let id = exchange(&capture, b"\x00\xffbody").await;
    capture.get(id).unwrap().mark(true);
    capture.get(id).unwrap().state().comment = "why?".into();
    capture.changed(&capture.get(id).unwrap());
    let gone = exchange(&capture, b"").await;
    assert!(capture.remove(gone));
    // A second agent must not write into the same file.
    assert!(matches!(open(&path, limits), Err(StoreError::Open(..))));
    capture.flush().await;
    drop(capture);

    let capture = again(&path, limits).await;
    let [one] = &capture.all()[..] else {
        panic!("{:?}", capture.all());
    };
    assert_eq!((one.id, one.is_marked(), one.is_ended()), (id, true, true));
    assert_eq!(one.head.target, "/a%2Fb//c?d");
    assert_eq!(one.fields.get("x-bytes"), Some(&b"\xe4\xff"[..]));
    assert_eq!(one.fields.get_all("x-twice").count(), 2);
    assert_eq!(one.bodies().0, &b"\x00\xffbody"[..]);
    let told = |state: &State| {
        (
            state.response.as_ref().map(|a| a.status),
            state.comment.clone(),
        )
    };
    assert_eq!(told(&one.state()), (Some(201), "why?".into()));
    // Numbers go on rising.
    assert!(exchange(&capture, b"").await > id);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    drop(capture);
    drop(std::fs::remove_file(&path));
}

#[tokio::test]
async fn the_file_keeps_to_the_limits() {
    let path = path("limits");
    let limits = Limits {
        requests: 3,
        ..Limits::default()
    };
    let capture = open(&path, limits).unwrap();
    let first = exchange(&capture, b"first").await;
    capture.get(first).unwrap().mark(true);
    capture.changed(&capture.get(first).unwrap());
    // A burst of three is followed at once, the others as the seconds go.
    for _ in 0..2 {
        exchange(&capture, b"more").await;
    }
    capture.flush().await;
    drop(capture);
    let limits = Limits {
        requests: 2,
        ..limits
    };
    let capture = again(&path, limits).await;
    let ids: Vec<_> = capture.all().iter().map(|one| one.id).collect();
    assert_eq!(ids, [first, first + 2], "what is marked stays");
    drop(capture);
    drop(std::fs::remove_file(&path));
}

#[tokio::test]
async fn what_is_forgotten_while_the_disk_is_busy_is_not_on_disk() {
    let path = path("busy");
    let limits = Limits::default();
    drop(open(&path, limits).unwrap());
    // The queue is full, and nobody writes yet.
    let (store, todo) = Store::new();
    let gone = store.gone.clone();
    let capture = Capture::new(limits, Some(store));
    let before = exchange(&capture, b"secret").await;
    let removed = exchange(&capture, b"secret").await;
    for _ in 0..WAITING {
        exchange(&capture, b"secret").await;
    }
    assert!(capture.remove(removed));
    capture.clear();
    let mut db = again_alone(&path).await;
    let writer = thread::spawn(move || {
        write(&mut db, &todo, &gone, limits);
    });
    capture.flush().await;
    let after = exchange(&capture, b"later").await;
    let single = exchange(&capture, b"secret").await;
    assert!(capture.remove(single));
    capture.flush().await;
    drop(capture);
    writer.join().unwrap();
    let kept = again(&path, limits).await;
    let ids: Vec<_> = kept.all().iter().map(|one| one.id).collect();
    assert_eq!(ids, [after], "{before} to {removed} were forgotten");
    drop(kept);
    drop(std::fs::remove_file(&path));
}

/// The file by itself, as soon as the thread that had it is gone.
async fn again_alone(path: &Path) -> Connection {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let db = Connection::open(path).unwrap();
        match db.execute_batch("BEGIN IMMEDIATE; COMMIT;") {
            Ok(()) => return db,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

/// Opens the file as soon as the thread that had it is gone.
async fn again(path: &Path, limits: Limits) -> Capture {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        match open(path, limits) {
            Ok(capture) => return capture,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}
