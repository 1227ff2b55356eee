//! What came of the rows of one set.

use std::fmt::{Display, Write as _};

/// Collects what failed, so that one run shows all of it.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    rows: usize,
    failed: String,
}

impl Verdicts {
    /// Takes note of one row.
    pub(crate) fn note(&mut self, name: &str, source: &str, result: Result<(), impl Display>) {
        self.rows += 1;
        if let Err(why) = result {
            write!(self.failed, "\n{name} ({source}): {why}").unwrap();
        }
    }

    /// Panics with all that failed, or when there were no rows at all.
    pub(crate) fn settle(self) {
        assert!(self.rows > 0, "no row was tried");
        let failed = self.failed.lines().filter(|line| !line.is_empty()).count();
        assert!(
            self.failed.is_empty(),
            "{failed} lines of failures in {} rows:{}",
            self.rows,
            self.failed
        );
    }
}
