//! The suite as its users run it: the built program, on one quick case.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot do without may end it"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_case_that_runs_is_reported_with_its_figures() {
    let directory = Scratch::new("case");
    let out = directory.0.join("bench.json");
    let output = bench()
        .args(["--quick", "--only", "start", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{errors}");
    assert!(shown.contains("relay ms"), "{shown}");
    let text = fs::read_to_string(&out).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["format"], "adit-bench/1");
    assert_eq!(report["failures"].as_array().unwrap().len(), 0);
    let figures = report["figures"].as_array().unwrap();
    let relay = figures
        .iter()
        .find(|figure| figure["measure"] == "relay ms");
    assert!(relay.unwrap()["rounds"][0].as_f64().unwrap() > 0.0);
}

#[test]
fn a_relay_that_is_flooded_serves_everybody_else() {
    let output = bench()
        .args(["floods", "--only", "resets", "--seconds", "1"])
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{errors}");
    let row = shown.lines().find(|line| line.starts_with("| resets"));
    let cells: Vec<_> = row.unwrap().split('|').map(str::trim).collect();
    // Sent, refused, and what failed of everybody else's; how fast those are depends on what else runs here.
    let number = |at: usize| cells[at].parse::<u64>().unwrap();
    assert!(number(2) > 100 && number(3) > 0, "{shown}");
    assert_eq!(number(6), 0, "{shown}");
}

#[test]
fn an_unknown_case_is_a_mistake() {
    let output = bench().args(["--only", "nothing"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("there is no case nothing"), "{errors}");
}

#[test]
fn a_process_of_the_suite_ends_with_its_stdin() {
    let mut origin = bench()
        .args(["role", "origin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut lines = BufReader::new(origin.stdout.take().unwrap());
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("address"), "{line}");
    drop(origin.stdin.take());
    assert!(origin.wait().unwrap().success());
}

#[test]
fn nothing_outlives_a_suite_that_is_killed() {
    let directory = Scratch::new("killed");
    let mut suite = bench()
        .args(["--only", "storm", "--out"])
        .arg(directory.0.join("bench.json"))
        .env("TMPDIR", &directory.0)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says which case begins once origin, hop, relay, agent and both ends of QUIC are there.
    let mut line = String::new();
    let mut errors = BufReader::new(suite.stderr.take().unwrap());
    errors.read_line(&mut line).unwrap();
    let children = children(&suite);
    assert!(children.len() >= 6, "{line}: {children:?}");
    suite.kill().unwrap();
    suite.wait().unwrap();
    let began = Instant::now();
    while let Some(child) = children.iter().find(|child| is_alive(child)) {
        assert!(began.elapsed() < Duration::from_secs(20), "{child} lives");
        std::thread::yield_now();
    }
}

fn bench() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    let beside = Path::new(env!("CARGO_BIN_EXE_bench")).with_file_name("relay");
    assert!(
        beside.exists(),
        "relay and agent are not built: run the tests with `make test`"
    );
    command.env("NO_COLOR", "1");
    command
}

fn children(of: &Child) -> Vec<String> {
    let path = format!("/proc/{0}/task/{0}/children", of.id());
    let text = fs::read_to_string(path).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Not gone, and not merely waiting to be noticed by whoever inherited it.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("adit-suite-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
