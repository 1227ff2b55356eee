//! A program that sets and removes DNS records, called as lego's `exec` provider calls it:
//! `PROGRAM present FQDN VALUE` and `PROGRAM cleanup FQDN VALUE`.
//!
//! It runs without a shell, beside a thread of its own: the runtime never waits for a child.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{DnsError, Record};

/// Runs the program to its end. Dropped, the program is killed.
pub(super) async fn run(
    program: &Path,
    action: &'static str,
    record: &Record,
) -> Result<(), DnsError> {
    run_within(PATIENCE, program, action, record).await
}

async fn run_within(
    patience: Duration,
    program: &Path,
    action: &'static str,
    record: &Record,
) -> Result<(), DnsError> {
    let mut command = Command::new(program);
    command
        .args([action, &record.name, &record.value])
        .stdin(Stdio::null())
        // Its own words go to the log; stdout is the relay's ready line.
        .stdout(Stdio::null());
    let wanted = Wanted::default();
    let (program, flag) = (program.to_owned(), wanted.0.clone());
    let waited = tokio::task::spawn_blocking(move || {
        let ended = wait(command, patience, &flag, &program)?;
        match ended.success() {
            true => Ok(()),
            false => Err(DnsError::Failed(program, action, ended)),
        }
    });
    let result = waited.await;
    drop(wanted);
    result.unwrap_or_else(|panic| Err(DnsError::Run(PathBuf::new(), std::io::Error::other(panic))))
}

fn wait(
    mut command: Command,
    patience: Duration,
    unwanted: &AtomicBool,
    program: &Path,
) -> Result<ExitStatus, DnsError> {
    let fail = |error| DnsError::Run(program.to_owned(), error);
    let deadline = Instant::now() + patience;
    let mut child = command.spawn().map_err(fail)?;
    loop {
        if let Some(status) = child.try_wait().map_err(fail)? {
            return Ok(status);
        }
        if unwanted.load(Ordering::Relaxed) || Instant::now() > deadline {
            drop(child.kill());
            drop(child.wait());
            return Err(DnsError::Late(program.to_owned(), patience));
        }
        thread::park_timeout(LOOK);
    }
}

/// Says, when it is dropped, that nobody waits any more.
#[derive(Default)]
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Providers answer within seconds; some programs wait until the record can be seen.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often to look whether the program has ended.
const LOOK: Duration = Duration::from_millis(50);

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::store::directory::Scratch;

    fn program(dir: &Scratch, text: &str) -> PathBuf {
        let path = dir.path().join("hook");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    fn record() -> Record {
        Record::of_challenge("example.com", "a value; $(false)".into())
    }

    #[tokio::test]
    async fn it_gets_its_words_as_they_are() {
        let dir = Scratch::new();
        let out = dir.path().join("out");
        let hook = program(&dir, &format!("printf '%s|' \"$@\" > {}", out.display()));
        run(&hook, "present", &record()).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(out).unwrap(),
            "present|_acme-challenge.example.com.|a value; $(false)|"
        );
    }

    #[tokio::test]
    async fn failing_hanging_and_missing_are_told_apart() {
        let dir = Scratch::new();
        let hook = program(&dir, "exit 3");
        let failed = run(&hook, "present", &record()).await.unwrap_err();
        assert!(failed.to_string().contains("exit status: 3"), "{failed}");
        let hook = program(&dir, "exec sleep 60");
        let soon = Duration::from_millis(100);
        let late = run_within(soon, &hook, "cleanup", &record()).await;
        assert!(matches!(late, Err(DnsError::Late(..))));
        let missing = run(&dir.path().join("none"), "present", &record()).await;
        assert!(matches!(missing, Err(DnsError::Run(..))));
    }
}
