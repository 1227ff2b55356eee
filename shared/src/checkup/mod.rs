//! What the doctors of both programs found, one [`Row`] a check, and how it is shown.
//!
//! `machine` and [`directory`] are the checks that both make. No row holds a secret.

pub mod directory;
mod machine;

use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

pub use self::machine::{udp_buffers, udp_offload};

/// What one check found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Row {
    /// What was checked.
    pub name: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do; empty when there is nothing to do.
    pub fix: String,
}

/// How a check went.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but not as well as it could.
    Warn,
    /// Does not work like this.
    Fail,
    /// There was nothing to check.
    Skipped,
}

impl Row {
    /// As it should be.
    pub fn ok(name: &'static str, seen: impl fmt::Display) -> Self {
        Self::new(name, Verdict::Ok, seen, String::new())
    }

    /// There was nothing to check; says why.
    pub fn skipped(name: &'static str, why: impl fmt::Display) -> Self {
        Self::new(name, Verdict::Skipped, why, String::new())
    }

    /// Works, but could be better; says how.
    pub fn warn(name: &'static str, seen: impl fmt::Display, fix: impl Into<String>) -> Self {
        Self::new(name, Verdict::Warn, seen, fix.into())
    }

    /// Does not work; says what to do.
    pub fn fail(name: &'static str, seen: impl fmt::Display, fix: impl Into<String>) -> Self {
        Self::new(name, Verdict::Fail, seen, fix.into())
    }

    fn new(name: &'static str, verdict: Verdict, seen: impl fmt::Display, fix: String) -> Self {
        Self {
            name,
            verdict,
            seen: seen.to_string(),
            fix,
        }
    }
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Ok => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Fail => AnsiColor::Red.on_default().bold(),
            Self::Skipped => Style::new().dimmed(),
        }
    }
}

/// Writes `rows` to stdout, as a table or as JSON lines. True when nothing failed.
///
/// # Errors
///
/// When stdout is closed.
pub fn show(rows: &[Row], json: bool) -> io::Result<bool> {
    if json {
        write_json(rows, &mut io::stdout().lock())?;
    } else {
        write_table(rows, &mut anstream::stdout().lock())?;
    }
    Ok(rows.iter().all(|row| row.verdict != Verdict::Fail))
}

/// Writes `rows` as JSON, one object a line.
///
/// # Errors
///
/// When `to` takes no more.
pub fn write_json(rows: &[Row], to: &mut impl Write) -> io::Result<()> {
    for row in rows {
        writeln!(to, "{}", serde_json::to_string(row)?)?;
    }
    Ok(())
}

/// Writes `rows` as a table for people, coloured.
///
/// # Errors
///
/// When `to` takes no more.
pub fn write_table(rows: &[Row], to: &mut impl Write) -> io::Result<()> {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for row in rows {
        let (style, word) = (row.verdict.style(), row.verdict.word());
        let (name, seen) = (row.name, &row.seen);
        writeln!(to, "{style}{word:<WORD$}{style:#}  {name:<width$}  {seen}")?;
        if !row.fix.is_empty() {
            let indent = WORD + 2 + width + 2;
            writeln!(to, "{:indent$}fix: {}", "", row.fix)?;
        }
    }
    Ok(())
}

/// An error with all its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// Characters of the longest verdict.
const WORD: usize = "skipped".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_a_table_or_lines_of_json() {
        let rows = [
            Row::ok("token", "accepted"),
            Row::fail("relay", "no answer", "check the name"),
        ];
        let (mut table, mut json) = (Vec::new(), Vec::new());
        write_table(&rows, &mut table).unwrap();
        write_json(&rows, &mut json).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert_eq!(
            anstream::adapter::strip_str(&table).to_string(),
            "ok       token  accepted\n\
             fail     relay  no answer\n                fix: check the name\n"
        );
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "{\"name\":\"token\",\"verdict\":\"ok\",\"seen\":\"accepted\",\"fix\":\"\"}\n\
             {\"name\":\"relay\",\"verdict\":\"fail\",\"seen\":\"no answer\",\"fix\":\"check the name\"}\n"
        );
    }
}
