//! An open loop shows a stall to all who were due in it; a closed one shows it to those who were
//! being answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use adit_tests::origin::Origin;
use http::Response;
use http_body_util::Empty;
use tokio::sync::Mutex;

use crate::loadtest;

const STALL: Duration = Duration::from_millis(300);

/// Answers at once, but stops for a while at its hundredth request.
async fn stalling_once() -> Origin {
    let count = Arc::new(AtomicU32::new(0));
    let gate = Arc::new(Mutex::new(()));
    Origin::serving(move |_| {
        let (count, gate) = (count.clone(), gate.clone());
        async move {
            let open = gate.lock().await;
            if count.fetch_add(1, Ordering::Relaxed) == 100 {
                tokio::time::sleep(STALL).await;
            }
            drop(open);
            Response::new(Empty::<bytes::Bytes>::new())
        }
    })
    .await
}

#[tokio::test]
async fn an_open_loop_shows_a_stall_that_a_closed_one_hides() {
    let millis = |us: u64| us / 1000;
    let origin = stalling_once().await;
    let line = format!("http://{} --connections 4 --duration 1s", origin.address);
    let open = loadtest(&format!("{line} --rate 400")).await;
    assert_eq!((open.totals.ok, open.totals.unsent), (400, 0), "{open:?}");
    assert!(millis(open.latency.max_us) >= 299, "{:?}", open.latency);
    // 120 of 400 were due while it stood still, a third of them in its first 100 ms.
    assert!(millis(open.latency.p90_us) >= 150, "{:?}", open.latency);
    // Sent late, they were answered fast: that is what the service time says, and only that.
    assert!(millis(open.service.p90_us) < 100, "{:?}", open.service);

    let origin = stalling_once().await;
    let line = format!("http://{} --connections 4 --duration 1s", origin.address);
    let closed = loadtest(&format!("{line} --closed")).await;
    assert!(millis(closed.latency.max_us) >= 299, "{:?}", closed.latency);
    assert!(closed.totals.ok > 400, "{closed:?}");
    assert!(millis(closed.latency.p90_us) < 100, "{:?}", closed.latency);
}

#[tokio::test]
async fn what_could_not_be_sent_in_time_is_counted() {
    let origin = Origin::serving(|_| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Response::new(Empty::<bytes::Bytes>::new())
    })
    .await;
    let url = format!("http://{}", origin.address);
    let line = format!("{url} --connections 1 --duration 500ms --rate 100");
    let result = loadtest(&line).await;
    // Each is answered or unsent, and the one connection manages one in 50 ms.
    assert_eq!(result.totals.ok + result.totals.unsent, 50, "{result:?}");
    assert!((4..=11).contains(&result.totals.ok), "{result:?}");
    // The last that was sent had waited for about as long as the test took.
    assert!(result.latency.max_us > 300_000, "{:?}", result.latency);
}

#[tokio::test]
async fn an_open_loop_sends_what_its_rate_says() {
    let origin = Origin::serving(|_| async { Response::new(Empty::<bytes::Bytes>::new()) }).await;
    let url = format!("http://{}", origin.address);
    let line = format!("{url} --connections 4 --duration 500ms --rate 200");
    let result = loadtest(&line).await;
    assert_eq!((result.totals.ok, result.totals.unsent), (100, 0));
    assert!(result.totals.seconds >= 0.5, "{result:?}");
    assert!(result.latency.mean_us >= result.service.mean_us);
}
