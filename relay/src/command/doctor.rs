//! `relay doctor`: whether a relay with these settings would run well here.
//!
//! It looks and changes nothing. Each check is a row with a verdict, what was seen, and what to do.

mod checks;

use std::process::ExitCode;

use adit_shared::checkup::{self, Row, chain};

use crate::args::Serve;
use crate::config::Config;

/// Prints all checks. The exit code is 1 when one failed.
///
/// # Errors
///
/// When stdout takes no more.
pub fn run(serve: &Serve) -> anyhow::Result<ExitCode> {
    let is_well = checkup::show(&examine(serve), serve.json)?;
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
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

#[cfg(test)]
mod tests {
    use adit_shared::checkup::Verdict;
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
    }

    #[test]
    fn a_bad_configuration_is_the_only_row() {
        let rows = rows("relay --cert missing.pem");
        assert_eq!(rows.len(), 1);
        assert!(rows[0].verdict == Verdict::Fail && rows[0].seen.contains("--key"));
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
        let verdict = |check| rows.iter().find(|row| row.name == check).unwrap().verdict;
        assert_eq!(verdict("https"), Verdict::Warn);
        assert_eq!(verdict("database"), Verdict::Fail);
        assert_eq!(verdict("certificate"), Verdict::Fail);
        for row in rows.iter().filter(|row| row.verdict != Verdict::Ok) {
            assert!(!row.fix.is_empty(), "{row:?}");
        }
    }

    #[test]
    fn a_public_relay_without_tokens_serves_nobody() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        let flags = format!("{} --domain relay.example.com", on_free_ports(&dir));
        let token = |rows: Vec<Row>| rows.into_iter().find(|row| row.name == "tokens").unwrap();
        assert_eq!(token(rows(&flags)).verdict, Verdict::Warn);
        tokens::create(&db, &tokens::tests::record("aaaaaaaa", "")).unwrap();
        assert_eq!(token(rows(&flags)).verdict, Verdict::Ok);
    }
}
