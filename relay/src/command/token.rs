//! `relay token`: makes, lists and revokes tokens in the database of a relay, which may run
//! meanwhile.

use std::io::{self, Write};
use std::iter;
use std::path::Path;

use anyhow::bail;
use serde_json::json;

use super::{connect_existing, table, time};
use crate::args::Token as Action;
use crate::auth::{Pattern, Token};
use crate::store::tokens::{self, Record};
use crate::store::{self, now};

/// Does it; the result goes to stdout, words for people to stderr.
///
/// # Errors
///
/// Whatever went wrong.
pub fn run(action: Action) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let mut words = io::stderr().lock();
    match action {
        Action::Create {
            place,
            names,
            label,
        } => {
            let dir = place.find_state_dir()?;
            create(&dir, &names, label, &mut out, &mut words)
        }
        Action::List { place, json } => list(&place.find_state_dir()?, json, &mut out, &mut words),
        Action::Revoke { place, token } => revoke(&place.find_state_dir()?, &token, &mut words),
    }
}

fn create(
    state_dir: &Path,
    names: &[Pattern],
    label: String,
    out: &mut impl Write,
    words: &mut impl Write,
) -> anyhow::Result<()> {
    let db = store::connect(state_dir)?;
    let is_good = |token: &Record| token.revoked_at.is_none();
    if !label.is_empty() && tokens::find(&db, &label)?.iter().any(is_good) {
        bail!("there is a token called {label} already; revoke it first, or choose another label");
    }
    let token = Token::generate()?;
    let record = Record {
        id: token.id().to_string(),
        hash: token.hash(),
        label,
        names: names.iter().map(Pattern::to_string).collect(),
        created_at: now(),
        last_used_at: None,
        revoked_at: None,
    };
    tokens::create(&db, &record)?;
    writeln!(out, "{}", token.reveal())?;
    out.flush()?;
    writeln!(
        words,
        "\nThis is token {id}, for names like {names}. It is shown only now.\n\
         Give it to an agent in a file, `agent --token-file FILE …`, or as ADIT_TOKEN in its\n\
         environment; not as an argument, which other users of the machine can see.\n\
         A relay that keeps its state in {dir} knows it within a second;\n\
         if yours keeps it elsewhere, say so with --domain, --state-dir or --config.\n\
         To end it: relay token revoke {id}",
        id = token.id(),
        names = record.names.join(", "),
        dir = state_dir.display(),
    )?;
    Ok(())
}

fn list(
    state_dir: &Path,
    json: bool,
    out: &mut impl Write,
    words: &mut impl Write,
) -> anyhow::Result<()> {
    let records = tokens::all(&connect_existing(state_dir)?)?;
    if json {
        for record in &records {
            writeln!(out, "{}", as_json(record))?;
        }
        return Ok(());
    }
    if records.is_empty() {
        writeln!(
            words,
            "There are no tokens yet; make one with `relay token create`."
        )?;
        return Ok(());
    }
    let head = ["ID", "LABEL", "NAMES", "CREATED", "LAST USED", "STATE"].map(str::to_owned);
    let rows: Vec<_> = iter::once(head).chain(records.iter().map(as_row)).collect();
    table(&rows, out)?;
    Ok(())
}

fn revoke(state_dir: &Path, id_or_label: &str, words: &mut impl Write) -> anyhow::Result<()> {
    let db = connect_existing(state_dir)?;
    let found = tokens::find(&db, id_or_label)?;
    if found.is_empty() {
        bail!("there is no token {id_or_label}; `relay token list` shows them all");
    }
    let mut good = found.iter().filter(|token| token.revoked_at.is_none());
    let Some(token) = good.next() else {
        writeln!(words, "Token {id_or_label} was revoked before.")?;
        return Ok(());
    };
    if let Some(other) = good.next() {
        bail!(
            "several tokens are called {id_or_label}: give an id, such as {} or {}",
            token.id,
            other.id
        );
    }
    tokens::revoke(&db, &token.id, now())?;
    writeln!(
        words,
        "Token {} is revoked. A running relay ends the sessions that use it within a second.",
        token.id
    )?;
    Ok(())
}

fn as_json(token: &Record) -> serde_json::Value {
    json!({
        "id": token.id,
        "label": token.label,
        "names": token.names,
        "created_at": time(token.created_at),
        "last_used_at": token.last_used_at.map(time),
        "revoked_at": token.revoked_at.map(time),
    })
}

fn as_row(token: &Record) -> [String; 6] {
    let or = |text: Option<String>, other: &str| match text {
        Some(text) if !text.is_empty() => text,
        _ => other.to_owned(),
    };
    // A label is free text, and must not steer the terminal.
    let label = token.label.escape_debug().to_string();
    let revoked = token.revoked_at.map(|at| format!("revoked {}", time(at)));
    [
        token.id.clone(),
        or(Some(label), "-"),
        or(Some(token.names.join(", ")), "-"),
        time(token.created_at),
        or(token.last_used_at.map(time), "never"),
        or(revoked, "good"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory::Scratch;

    fn made(dir: &Scratch, label: &str) -> Token {
        let (mut out, mut words) = (Vec::new(), Vec::new());
        let names = ["app-*".parse().unwrap()];
        create(dir.path(), &names, label.into(), &mut out, &mut words).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.lines().count(), 1, "the token stands alone");
        let token: Token = out.parse().unwrap();
        let words = String::from_utf8(words).unwrap();
        assert!(words.contains(token.id().as_str()) && !words.contains(token.reveal()));
        token
    }

    fn listed(dir: &Scratch, json: bool) -> String {
        let mut out = Vec::new();
        list(dir.path(), json, &mut out, &mut Vec::new()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_token_is_made_listed_and_revoked_without_showing_its_secret_again() {
        let dir = Scratch::new();
        let token = made(&dir, "laptop");
        for json in [false, true] {
            let list = listed(&dir, json);
            assert!(list.contains("laptop") && list.contains("app-*"), "{list}");
            assert!(!list.contains(&token.reveal()[14..]), "{list}");
        }
        assert!(listed(&dir, false).contains("good"));

        let mut words = Vec::new();
        revoke(dir.path(), "laptop", &mut words).unwrap();
        assert!(
            String::from_utf8(words)
                .unwrap()
                .contains("within a second")
        );
        assert!(listed(&dir, false).contains("revoked 2"));
        revoke(dir.path(), token.id().as_str(), &mut Vec::new()).unwrap();
        revoke(dir.path(), "nobody", &mut Vec::new()).unwrap_err();
    }

    #[test]
    fn a_label_means_one_token() {
        let dir = Scratch::new();
        made(&dir, "laptop");
        made(&dir, "");
        made(&dir, "");
        let again = create(
            dir.path(),
            &[],
            "laptop".into(),
            &mut Vec::new(),
            &mut Vec::new(),
        );
        assert!(again.unwrap_err().to_string().contains("already"));
        revoke(dir.path(), "laptop", &mut Vec::new()).unwrap();
        made(&dir, "laptop");
        let error = revoke(dir.path(), "", &mut Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("several"));
    }

    #[test]
    fn a_mistyped_directory_is_no_empty_list() {
        let dir = Scratch::new();
        let error = list(dir.path(), false, &mut Vec::new(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("--state-dir"));
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
}
