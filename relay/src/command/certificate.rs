//! `relay certificate`: lists what an authority issued to a relay, which may run meanwhile, and has it
//! revoked.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::table;
use crate::acme::revoke;
use crate::args::{Certificate as Action, Serve};
use crate::config::{Certificate, Config};
use crate::store::certificates::{self, Record};
use crate::store::seal::Seal;
use crate::store::{Store, now, orders};

/// Does it; the result goes to stdout, words for people to stderr.
///
/// # Errors
///
/// Whatever went wrong.
pub fn run(action: Action) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let mut words = io::stderr().lock();
    match action {
        Action::List { place, json } => list(&place.find_state_dir()?, json, &mut out, &mut words),
        Action::Revoke { serve, name } => {
            have_revoked(&serve, &name)?;
            writeln!(
                words,
                "The certificate for {name} is revoked. A running relay orders another within seconds."
            )?;
            Ok(())
        }
    }
}

fn list(
    state_dir: &Path,
    json: bool,
    out: &mut impl Write,
    words: &mut impl Write,
) -> anyhow::Result<()> {
    let db = super::connect_existing(state_dir)?;
    let (records, failed) = (certificates::all(&db)?, orders::all(&db)?);
    if json {
        for record in &records {
            let line = json!({
                "name": record.name,
                "directory": record.directory,
                "valid_from": super::time(record.not_before),
                "valid_until": super::time(record.not_after),
                "revoked_at": record.revoked_at.map(super::time),
            });
            writeln!(out, "{line}")?;
        }
        for order in &failed {
            let line = json!({
                "name": order.name,
                "failures": order.failures,
                "retry_at": super::time(order.retry_at),
                "error": order.error,
            });
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    if records.is_empty() && failed.is_empty() {
        writeln!(
            words,
            "No authority has issued a certificate to this relay yet."
        )?;
        return Ok(());
    }
    let head = ["NAME", "VALID UNTIL", "STATE"].map(str::to_owned);
    let rows = records.iter().map(as_row).chain(failed.iter().map(|order| {
        let state = match order.error.as_str() {
            "" => "ordered".to_owned(),
            // It may say what a stranger's server said, and must not steer the terminal.
            error => format!(
                "failed; order {} at {}: {}",
                order.failures + 1,
                super::time(order.retry_at),
                error.escape_debug()
            ),
        };
        [order.name.clone(), "-".to_owned(), state]
    }));
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), out)?;
    Ok(())
}

fn as_row(record: &Record) -> [String; 3] {
    let state = match record.revoked_at {
        Some(at) => format!("revoked {}", super::time(at)),
        None if record.not_after <= now() => "ended".to_owned(),
        None => "good".to_owned(),
    };
    [record.name.clone(), super::time(record.not_after), state]
}

fn have_revoked(serve: &Serve, name: &str) -> anyhow::Result<()> {
    let config = Config::load(serve)?;
    let Certificate::Acme(acme) = &config.certificate else {
        bail!("a relay with these settings orders no certificates");
    };
    let record = {
        let db = super::connect_existing(&config.state_dir)?;
        let all = certificates::all(&db)?;
        let found = all.into_iter().find(|record| record.name == name);
        found.with_context(|| {
            format!("there is no certificate for {name}; `relay certificate list` shows them all")
        })?
    };
    if let Some(at) = record.revoked_at {
        bail!("it was revoked before, at {}", super::time(at));
    }
    let seal = Seal::of(&config.state_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = Store::open(&config.state_dir)?;
        Ok(revoke::revoke(acme, &store, &seal, &record).await?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::certificates::tests::record;
    use crate::store::connect;
    use crate::store::directory::Scratch;

    #[test]
    fn a_list_shows_what_is_good_revoked_and_failed_and_no_key() {
        let dir = Scratch::new();
        let db = connect(dir.path()).unwrap();
        let mut good = record("good.example.com");
        good.not_after = now() + 1000;
        let mut bad = record("bad.example.com");
        bad.revoked_at = Some(15);
        certificates::put(&db, &good).unwrap();
        certificates::put(&db, &bad).unwrap();
        certificates::put(&db, &record("old.example.com")).unwrap();
        let failed = orders::Record {
            name: "app.customer.com".into(),
            failures: 2,
            interrupted: 0,
            retry_at: 100,
            error: "refused \u{1b}[31m".into(),
        };
        orders::put(&db, &failed).unwrap();
        let shown = |json| {
            let mut out = Vec::new();
            list(dir.path(), json, &mut out, &mut Vec::new()).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text = shown(false);
        for part in ["good\n", "ended", "revoked 1970", "failed; order 3 at"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\u{1b}'));
        let text = shown(true);
        assert_eq!(text.lines().count(), 4);
        assert!(!text.contains("key"));
    }
}
