//! The built program: what it writes where, and how it exits.

use std::process::{Output, Stdio};

use adit_benches::result::{FORMAT, LoadResult};
use adit_tests::origin::Origin;
use http::Response;
use http_body_util::Full;
use tokio::process::Command;

async fn run(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(line.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap()
}

async fn hello() -> Origin {
    Origin::serving(|_| async { Response::new(Full::from("hello")) }).await
}

#[tokio::test]
async fn json_is_all_that_is_on_stdout() {
    let origin = hello().await;
    let line = format!(
        "--closed --http1 --connections 4 --duration 300ms --warmup 100ms --json http://{} \
         --watch me={}",
        origin.address,
        std::process::id()
    );
    let output = run(&line).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let result: LoadResult = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result.format, FORMAT);
    assert_eq!(result.totals.ok, result.latency.count);
    assert_eq!(result.totals.statuses["200"], result.totals.ok);
    assert!((result.totals.seconds - 0.3).abs() < 1e-6);
    assert_eq!(result.timeline.len(), 1);
    assert!(result.processes[0].rss_before > 0, "{result:?}");
    assert!(result.distribution.len() > 10, "{result:?}");
}

#[tokio::test]
async fn a_table_a_report_and_a_comparison_are_written() {
    let origin = hello().await;
    let place = env!("CARGO_TARGET_TMPDIR");
    let (result, page) = (
        format!("{place}/result.json"),
        format!("{place}/report.html"),
    );
    let url = format!("http://{} --warmup 0s --requests 100", origin.address);
    let output = run(&format!("{url} --result {result}")).await;
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("100 ok, 0 failed"), "{table}");
    assert!(table.is_ascii() || !table.contains('\u{1b}'), "{table}");

    let output = run(&format!("{url} --compare {result} --report {page}")).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().count() > 12, "{table}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") || page.starts_with("<!doctype html>"));

    let output = run(&format!("{url} --quiet")).await;
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}

#[tokio::test]
async fn exit_codes_say_how_it_went() {
    let nobody = Origin::nobody().await;
    let url = format!("http://{nobody} --warmup 0s --requests 1");
    assert_eq!(run(&url).await.status.code(), Some(1));
    assert_eq!(
        run("http://does-not-exist.invalid").await.status.code(),
        Some(1)
    );
    for line in [
        "",
        "ftp://a",
        "http://a --http3",
        "https://a.example --insecure",
        "http://a --watch relay=4294967295",
        "http://a --rate 1 --closed",
    ] {
        let output = run(line).await;
        assert_eq!(output.status.code(), Some(64), "{line}");
        assert!(output.stdout.is_empty(), "{line}");
    }
    let help = run("--help").await;
    assert_eq!(help.status.code(), Some(0));
    assert!(help.stderr.is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn an_interrupt_ends_it_early_and_it_still_reports() {
    let origin = hello().await;
    let line = format!(
        "http://{} --duration 60s --warmup 0s --json",
        origin.address
    );
    let child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(line.split_whitespace())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It catches the signal before it sends anything.
    while origin
        .connections
        .load(std::sync::atomic::Ordering::Relaxed)
        == 0
    {
        tokio::task::yield_now().await;
    }
    let pid = child.id().unwrap().to_string();
    let sent = Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .await
        .unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().await.unwrap();
    let result: LoadResult = serde_json::from_slice(&output.stdout).unwrap();
    assert!(result.totals.seconds < 30.0, "{result:?}");
}
