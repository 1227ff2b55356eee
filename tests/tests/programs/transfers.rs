//! Large transfers through the built programs: whole, unchanged, and in flat memory.

use adit_tests::origin::{Origin, read_head};
use adit_tests::program::{BuiltRelay, Program, run};
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// A gibibyte. Debug builds take a while for it, so they carry a part.
const TOTAL: usize = if cfg!(debug_assertions) {
    256 << 20
} else {
    1 << 30
};

/// What a transfer may add to the memory of either program, in KiB.
const GROWTH: u64 = 32 << 10;

struct Tunnel {
    relay: BuiltRelay,
    agent: Program,
    url: String,
}

async fn tunnel(origin: &Origin) -> Tunnel {
    let relay = BuiltRelay::start(&[]).await;
    let url = format!("http://{}", origin.address);
    let mut agent = Program::start(relay.agent(&["--subdomain", "app", "--origin", &url]));
    let url = agent.line("its URL", |line| Some(line.to_owned())).await;
    Tunnel { relay, agent, url }
}

impl Tunnel {
    fn memory(&self) -> (u64, u64) {
        (self.relay.program.resident(), self.agent.resident())
    }
}

#[tokio::test]
async fn a_gibibyte_comes_down_in_flat_memory() {
    let origin = Origin::scripted(|mut stream| async move {
        if read_head(&mut stream).await.is_empty() {
            return;
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {TOTAL}\r\n\r\n");
        drop(stream.write_all(head.as_bytes()).await);
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..TOTAL >> 20 {
            if stream.write_all(&piece).await.is_err() {
                return;
            }
        }
    })
    .await;
    let tunnel = tunnel(&origin).await;
    let before = tunnel.memory();
    let mut curl = Command::new("sh");
    let command = format!(
        "curl --silent --show-error --fail {} | tr -d x | wc -c",
        tunnel.url
    );
    curl.args(["-c", &command]);
    let mut count = Command::new("curl");
    count.args([
        "--silent",
        "--fail",
        "--output",
        "/dev/null",
        "--write-out",
        "%{size_download}",
    ]);
    count.arg(&tunnel.url);
    let (other, size) = tokio::join!(run(curl), run(count));
    assert_eq!(other.trim(), "0", "bytes that were not sent");
    assert_eq!(size, TOTAL.to_string());
    assert_flat(before, tunnel.memory());
}

#[tokio::test]
async fn a_gibibyte_goes_up_in_flat_memory() {
    let origin = Origin::serving(|request| async move {
        let mut body = request.into_body();
        let (mut total, mut same) = (0, true);
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            total += data.len();
            same &= data.iter().all(|byte| *byte == 0);
        }
        http::Response::new(http_body_util::Full::new(format!("{total} {same}").into()))
    })
    .await;
    let tunnel = tunnel(&origin).await;
    let before = tunnel.memory();
    let mut curl = Command::new("sh");
    let command = format!(
        "head -c {TOTAL} /dev/zero | curl --silent --show-error --fail --upload-file - {}",
        tunnel.url
    );
    curl.args(["-c", &command]);
    assert_eq!(run(curl).await, format!("{TOTAL} true"));
    assert_flat(before, tunnel.memory());
}

fn assert_flat(before: (u64, u64), after: (u64, u64)) {
    assert!(
        after.0 < before.0 + GROWTH,
        "relay: {} -> {} KiB",
        before.0,
        after.0
    );
    assert!(
        after.1 < before.1 + GROWTH,
        "agent: {} -> {} KiB",
        before.1,
        after.1
    );
}
