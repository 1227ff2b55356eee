//! `relay doctor`: whether a relay with these settings would run well here.
//!
//! It looks and changes nothing. Each check is a row with a verdict, what was seen, and what to do.

mod checks;

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

use crate::args::Serve;
use crate::config::Config;

/// Prints all checks. The exit code is 1 when one failed.
///
/// # Errors
///
/// When stdout takes no more.
pub fn run(serve: &Serve) -> anyhow::Result<ExitCode> {
    let rows = examine(serve);
    let mut out = io::stdout().lock();
    for row in &rows {
        row.print(serve.json, &mut out)?;
    }
    let failed = rows.iter().any(|row| row.verdict == Verdict::Fail);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// All rows. Without a configuration there is nothing more to look at.
fn examine(serve: &Serve) -> Vec<Row> {
    match Config::load(serve) {
        Err(error) => vec![Row::fail(
            "config",
            chain(&error),
            "correct it, then ask again",
        )],
        Ok(config) => checks::all(&config),
    }
}

/// One check.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Row {
    check: &'static str,
    verdict: Verdict,
    detail: String,
    /// What to do; empty when there is nothing.
    fix: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Pass,
    Warn,
    Fail,
}

impl Row {
    fn pass(check: &'static str, detail: impl Into<String>) -> Self {
        Self::new(check, Verdict::Pass, detail, "")
    }

    fn warn(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warn, detail, fix)
    }

    fn fail(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(check, Verdict::Fail, detail, fix)
    }

    fn new(
        check: &'static str,
        verdict: Verdict,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            check,
            verdict,
            detail: detail.into(),
            fix: fix.into(),
        }
    }

    fn print(&self, json: bool, out: &mut impl Write) -> io::Result<()> {
        let verdict = match self.verdict {
            Verdict::Pass => "PASS",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        if json {
            let row = json!({
                "check": self.check,
                "status": verdict,
                "detail": self.detail,
                "fix": self.fix,
            });
            return writeln!(out, "{row}");
        }
        writeln!(out, "{verdict}  {:<13} {}", self.check, self.detail)?;
        if !self.fix.is_empty() {
            writeln!(out, "      {:<13} fix: {}", "", self.fix)?;
        }
        Ok(())
    }
}

/// An error with all its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;
    use crate::store::directory::Scratch;
    use crate::store::{connect, path, tokens};

    fn rows(flags: &str) -> Vec<Row> {
        let args = Args::try_parse_from(flags.split_whitespace()).unwrap();
        examine(&args.serve)
    }

    fn on_free_ports(dir: &Scratch) -> String {
        let ports = ["http", "https", "quic", "admin"].map(|key| format!("--{key} 127.0.0.1:0"));
        format!(
            "relay --state-dir {} {}",
            dir.path().display(),
            ports.join(" ")
        )
    }

    #[test]
    fn a_fresh_machine_has_no_failures_and_stays_fresh() {
        let dir = Scratch::new();
        let rows = rows(&on_free_ports(&dir));
        assert!(rows.len() >= 8, "{rows:?}");
        assert!(
            rows.iter().all(|row| row.verdict != Verdict::Fail),
            "{rows:#?}"
        );
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        let mut out = Vec::new();
        for row in &rows {
            row.print(true, &mut out).unwrap();
        }
        for line in String::from_utf8(out).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(row["check"].is_string() && row["status"].is_string());
        }
    }

    #[test]
    fn a_bad_configuration_is_the_only_row() {
        let rows = rows("relay --cert missing.pem");
        assert_eq!(rows.len(), 1);
        assert!(rows[0].verdict == Verdict::Fail && rows[0].detail.contains("--key"));
    }

    #[test]
    fn what_is_wrong_has_a_fix() {
        let dir = Scratch::new();
        std::fs::write(path(dir.path()), "not a database, for sure ".repeat(99)).unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let flags = format!(
            "{} --https {} --cert no.pem --key no.pem",
            on_free_ports(&dir).replace("--https 127.0.0.1:0", ""),
            taken.local_addr().unwrap()
        );
        let rows = rows(&flags);
        let verdict = |check| rows.iter().find(|row| row.check == check).unwrap().verdict;
        assert_eq!(verdict("https"), Verdict::Warn);
        assert_eq!(verdict("database"), Verdict::Fail);
        assert_eq!(verdict("certificate"), Verdict::Fail);
        for row in rows.iter().filter(|row| row.verdict != Verdict::Pass) {
            assert!(!row.fix.is_empty(), "{row:?}");
        }
    }

    #[test]
    fn a_public_relay_without_tokens_serves_nobody() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        let flags = format!("{} --domain relay.example.com", on_free_ports(&dir));
        let token = |rows: Vec<Row>| rows.into_iter().find(|row| row.check == "tokens").unwrap();
        assert_eq!(token(rows(&flags)).verdict, Verdict::Warn);
        tokens::create(&db, &tokens::tests::record("aaaaaaaa", "")).unwrap();
        assert_eq!(token(rows(&flags)).verdict, Verdict::Pass);
    }
}
