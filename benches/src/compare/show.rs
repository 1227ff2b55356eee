//! A comparison in words, and as a table for a terminal.

use std::fmt;

use crate::unit;

use super::{Change, Comparison, Difference, LEVEL, Reason, Row, Verdict};

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = format!("{} % interval", LEVEL * 100.0);
        let head = ["", "before", "now", "change", &level, "verdict"].map(String::from);
        let rows = self.rows.iter().map(Row::cells);
        let table: Vec<_> = std::iter::once(head).chain(rows).collect();
        let width = |column: usize| {
            let cells = table.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: [usize; 6] = std::array::from_fn(width);
        for row in &table {
            let [name, old, new, change, interval, verdict] = row;
            let [
                name_width,
                old_width,
                new_width,
                change_width,
                interval_width,
                _,
            ] = widths;
            writeln!(
                f,
                "{name:name_width$}  {old:>old_width$}  {new:>new_width$}  {change:>change_width$}  \
                 {interval:>interval_width$}  {verdict}"
            )?;
        }
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}

impl Row {
    /// Name, earlier and later figure, change, interval, verdict: as text.
    pub fn cells(&self) -> [String; 6] {
        let interval = self.change.as_ref().and_then(Change::interval_text);
        [
            self.name.clone(),
            self.unit.text(self.old),
            self.unit.text(self.new),
            self.change.as_ref().map_or_else(String::new, Change::text),
            interval.unwrap_or_default(),
            self.verdict.to_string(),
        ]
    }
}

impl Change {
    /// `+9.8 %`, or `+0.12 points` between shares.
    pub fn text(&self) -> String {
        self.one(self.seen)
    }

    /// `+7.1 % to +12.4 %`.
    pub fn interval_text(&self) -> Option<String> {
        let (low, high) = self.interval?;
        Some(format!("{} to {}", self.one(low), self.one(high)))
    }

    fn one(&self, change: f64) -> String {
        if change.is_infinite() {
            "from none".into()
        } else if self.points {
            let sign = if change > 0.0 { "+" } else { "" };
            format!("{sign}{} points", unit::number(change * 100.0))
        } else {
            unit::change(change)
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Better => f.write_str("better"),
            Self::Worse => f.write_str("worse"),
            Self::Noise => f.write_str("within noise"),
            Self::Unknown(Reason::Single) => f.write_str("one figure a run"),
            Self::Unknown(reason) => write!(f, "cannot tell: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Different(fields) if fields.len() == 1 => write!(f, "{} differs", fields[0]),
            Self::Different(fields) => write!(f, "{} differ", fields.join(", ")),
            Self::Short(seconds) => write!(f, "only {seconds} s"),
            Self::Nothing => f.write_str("nothing measured"),
            Self::Single => f.write_str("one figure a run"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, old, new } = self;
        write!(f, "No verdict: {field} was {old} and is {new}.")
    }
}
