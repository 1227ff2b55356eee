//! What a check found, and how it is shown.

use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// What one check found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Row {
    /// What was checked.
    pub check: &'static str,
    /// How it went.
    #[serde(rename = "status")]
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// What to do; empty when there is nothing to do.
    pub fix: String,
}

/// How a check went.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// No tunnel works like this.
    Fail,
    /// Works, but not as well as it could.
    Warn,
    /// There was nothing to check.
    Skip,
}

impl Row {
    pub(super) fn pass(check: &'static str, detail: impl fmt::Display) -> Self {
        Self::new(check, Verdict::Pass, detail, "")
    }

    pub(super) fn skip(check: &'static str, detail: impl fmt::Display) -> Self {
        Self::new(check, Verdict::Skip, detail, "")
    }

    pub(super) fn warn(
        check: &'static str,
        detail: impl fmt::Display,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Warn, detail, fix)
    }

    pub(super) fn fail(
        check: &'static str,
        detail: impl fmt::Display,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Fail, detail, fix)
    }

    fn new(
        check: &'static str,
        verdict: Verdict,
        detail: impl fmt::Display,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            check,
            verdict,
            detail: detail.to_string(),
            fix: fix.into(),
        }
    }
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Warn => "WARN",
            Self::Skip => "SKIP",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Pass => AnsiColor::Green.on_default(),
            Self::Fail => AnsiColor::Red.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Skip => Style::new().dimmed(),
        }
    }
}

pub(super) fn show(rows: &[Row], json: bool) -> io::Result<()> {
    if json {
        write_json(rows, &mut io::stdout().lock())
    } else {
        write_table(rows, &mut anstream::stdout().lock())
    }
}

fn write_json(rows: &[Row], to: &mut impl Write) -> io::Result<()> {
    for row in rows {
        writeln!(to, "{}", serde_json::to_string(row)?)?;
    }
    Ok(())
}

fn write_table(rows: &[Row], to: &mut impl Write) -> io::Result<()> {
    let width = rows.iter().map(|row| row.check.len()).max().unwrap_or(0);
    for row in rows {
        let (style, word) = (row.verdict.style(), row.verdict.word());
        let (check, detail) = (row.check, &row.detail);
        writeln!(to, "{style}{word}{style:#}  {check:<width$}  {detail}")?;
        if !row.fix.is_empty() {
            writeln!(to, "{:indent$}-> {}", "", row.fix, indent = width + 8)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_a_table_or_lines_of_json() {
        let rows = [
            Row::pass("token", "is there"),
            Row::fail("relay", "no answer", "check the name"),
        ];
        let (mut table, mut json) = (Vec::new(), Vec::new());
        write_table(&rows, &mut table).unwrap();
        write_json(&rows, &mut json).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert_eq!(
            anstream::adapter::strip_str(&table).to_string(),
            "PASS  token  is there\nFAIL  relay  no answer\n             -> check the name\n"
        );
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "{\"check\":\"token\",\"status\":\"PASS\",\"detail\":\"is there\",\"fix\":\"\"}\n\
             {\"check\":\"relay\",\"status\":\"FAIL\",\"detail\":\"no answer\",\"fix\":\"check the name\"}\n"
        );
    }
}
