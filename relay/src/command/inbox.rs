//! `relay inbox`: looks at what is kept for agents that are away, and decides what becomes of it. The relay
//! may run meanwhile; it takes changes over within a second.

use std::io::{self, Write};
use std::iter;
use std::path::Path;

use adit_shared::name::Host;
use anyhow::{Context as _, bail};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{table, time};
use crate::args::{Inbox as Action, InboxState};
use crate::queue::database::{self, Kept, State};
use crate::queue::letter::{Id, Letter};
use crate::queue::read;
use crate::store::seal::Seal;

/// Does it; the result goes to stdout, words for people to stderr.
///
/// # Errors
///
/// Whatever went wrong.
pub fn run(action: Action) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let mut words = io::stderr().lock();
    match action {
        Action::List { place, host, json } => {
            let dir = place.find_state_dir()?;
            let db = connect(&dir)?;
            match host {
                None => inboxes(&db, json, &mut out, &mut words),
                Some(host) => requests(&db, &dir, &host, json, &mut out, &mut words),
            }
        }
        Action::Show { place, id, json } => {
            let dir = place.find_state_dir()?;
            show(&connect(&dir)?, &dir, &id, json, &mut out)
        }
        Action::Redeliver { place, host, id } => {
            let db = connect(&place.find_state_dir()?)?;
            let id = id.as_deref().map(parse).transpose()?;
            let count = database::redeliver(&db, &host, id)?;
            Ok(writeln!(
                words,
                "{count} to be tried again as soon as the agent is there."
            )?)
        }
        Action::Purge { place, host, state } => {
            let db = connect(&place.find_state_dir()?)?;
            let state = state.map(|state| match state {
                InboxState::Waiting => State::Waiting,
                InboxState::Aside => State::Aside,
                InboxState::Dead => State::Dead,
            });
            let count = database::purge(&db, &host, state)?;
            Ok(writeln!(words, "{count} forgotten.")?)
        }
        Action::Pause { place, host } => {
            set_paused(&connect(&place.find_state_dir()?)?, &host, true, &mut words)
        }
        Action::Resume { place, host } => set_paused(
            &connect(&place.find_state_dir()?)?,
            &host,
            false,
            &mut words,
        ),
        Action::Remove { place, host } => {
            let db = connect(&place.find_state_dir()?)?;
            let count = database::remove_inbox(&db, &host)?;
            Ok(writeln!(
                words,
                "The inbox of {host} is gone, with {count} requests. An agent that asks for it opens it anew."
            )?)
        }
    }
}

/// A mistyped directory should not look like an empty list.
fn connect(state_dir: &Path) -> anyhow::Result<Connection> {
    let path = database::path(state_dir);
    let exists = path
        .try_exists()
        .with_context(|| format!("cannot look for {}", path.display()))?;
    if !exists {
        bail!(
            "no relay has kept requests in {}; say where with --state-dir, --domain or --config, as \
             for the relay itself",
            state_dir.display()
        );
    }
    Ok(database::connect(state_dir)?)
}

fn set_paused(
    db: &Connection,
    host: &Host,
    paused: bool,
    words: &mut impl Write,
) -> anyhow::Result<()> {
    if !database::pause(db, host, paused)? {
        bail!("{host} has no inbox; `relay inbox list` shows them all");
    }
    let what = if paused {
        "Nothing of it is delivered until `relay inbox resume`; what comes is kept."
    } else {
        "It is delivered again."
    };
    Ok(writeln!(words, "{what}")?)
}

fn inboxes(
    db: &Connection,
    json: bool,
    out: &mut impl Write,
    words: &mut impl Write,
) -> anyhow::Result<()> {
    let inboxes = database::inboxes(db)?;
    let levels = database::levels(db)?;
    let count = |host: &Host, state: State| {
        let found = levels
            .iter()
            .find(|level| level.host == *host && level.state == state);
        found.map_or(0, |level| level.count)
    };
    let bytes = |host: &Host| -> u64 {
        let own = levels.iter().filter(|level| level.host == *host);
        own.map(|level| level.bytes).sum()
    };
    if json {
        for inbox in &inboxes {
            let counts: serde_json::Map<_, Value> = State::ALL
                .iter()
                .map(|state| (state.word().to_owned(), count(&inbox.host, *state).into()))
                .collect();
            let line = json!({
                "host": inbox.host.as_str(),
                "open": inbox.open,
                "paused": inbox.paused,
                "requests": counts,
                "bytes": bytes(&inbox.host),
            });
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    if inboxes.is_empty() {
        writeln!(
            words,
            "There are no inboxes; an agent opens one with --inbox."
        )?;
        return Ok(());
    }
    let head = ["HOST", "STATE", "WAITING", "ASIDE", "DEAD", "BYTES"].map(str::to_owned);
    let rows = inboxes.iter().map(|inbox| {
        let state = match (inbox.open, inbox.paused) {
            (_, true) => "paused",
            (true, false) => "open",
            (false, false) => "closed",
        };
        let waiting = count(&inbox.host, State::Waiting) + count(&inbox.host, State::AtOrigin);
        [
            inbox.host.to_string(),
            state.to_owned(),
            waiting.to_string(),
            count(&inbox.host, State::Aside).to_string(),
            count(&inbox.host, State::Dead).to_string(),
            bytes(&inbox.host).to_string(),
        ]
    });
    let rows: Vec<_> = iter::once(head).chain(rows).collect();
    Ok(table(&rows, out)?)
}

fn requests(
    db: &Connection,
    state_dir: &Path,
    host: &Host,
    json: bool,
    out: &mut impl Write,
    words: &mut impl Write,
) -> anyhow::Result<()> {
    let seal = Seal::of(state_dir)?;
    let mut after = None;
    let mut rows =
        vec![["ID", "RECEIVED", "STATE", "TRIED", "METHOD", "PATH", "WHY"].map(str::to_owned)];
    loop {
        let page = database::list(db, host, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for kept in &page {
            let letter = read(&seal, host, kept);
            if json {
                writeln!(out, "{}", as_json(host, kept, letter.as_ref().ok()))?;
            } else {
                rows.push(as_row(kept, letter.as_ref().ok()));
            }
        }
    }
    if !json && rows.len() == 1 {
        writeln!(words, "Nothing is kept for {host}.")?;
    } else if !json {
        table(&rows, out)?;
    }
    Ok(())
}

fn show(
    db: &Connection,
    state_dir: &Path,
    id: &str,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Some((host, kept)) = database::find(db, parse(id)?)? else {
        bail!("nothing is kept with the id {id}: it may have been delivered");
    };
    let letter = read(&Seal::of(state_dir)?, &host, &kept);
    let letter = letter.map_err(|error| anyhow::anyhow!("cannot read it: {error}"))?;
    if json {
        let mut value = as_json(&host, &kept, Some(&letter));
        let fields = letter.head.fields.iter();
        let fields = fields.map(|(name, value)| json!([text(name), text(value)]));
        value["target"] = letter.head.target.as_str().into();
        value["fields"] = fields.collect();
        value["body"] = text(&letter.body).into();
        return Ok(writeln!(out, "{value}")?);
    }
    // As it is: whoever asks for it may pipe it on.
    let head = &letter.head;
    writeln!(out, "{} {} HTTP/1.1", head.method, head.target)?;
    writeln!(out, "host: {}", text(head.authority.as_bytes()))?;
    for (name, value) in &head.fields {
        out.write_all(name)?;
        out.write_all(b": ")?;
        out.write_all(value)?;
        out.write_all(b"\n")?;
    }
    out.write_all(b"\n")?;
    out.write_all(&letter.body)?;
    Ok(out.flush()?)
}

fn parse(id: &str) -> anyhow::Result<Id> {
    id.parse()
        .map_err(|_| anyhow::anyhow!("{id} is no id: those have 16 digits, 0 to f"))
}

fn as_json(host: &Host, kept: &Kept, letter: Option<&Letter>) -> Value {
    json!({
        "id": kept.id.to_string(),
        "host": host.as_str(),
        "state": kept.state.word(),
        "attempts": kept.attempts,
        "error": kept.error,
        "received_at": letter.map(|letter| time(letter.received / 1000)),
        "method": letter.map(|letter| letter.head.method.as_str()),
        "path": letter.map(|letter| letter.head.target.path()),
        "event": letter.and_then(Letter::event),
        "body_bytes": letter.map(|letter| letter.body.len()),
    })
}

fn as_row(kept: &Kept, letter: Option<&Letter>) -> [String; 7] {
    // Visitors have written most of it, and must not steer the terminal.
    let plain = |text: &str| text.escape_debug().to_string();
    let of = |pick: fn(&Letter) -> String| letter.map_or_else(|| "?".into(), pick);
    [
        kept.id.to_string(),
        of(|letter| time(letter.received / 1000)),
        kept.state.word().to_owned(),
        kept.attempts.to_string(),
        of(|letter| letter.head.method.to_string()),
        plain(&of(|letter| letter.head.target.path().to_owned())),
        plain(kept.error.as_deref().unwrap_or("-")),
    ]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Requests that are read at once.
const PAGE: usize = 64;
