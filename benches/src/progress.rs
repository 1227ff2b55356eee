//! One line on a terminal that says how a load test goes.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::load::{Glance, Progress};
use crate::unit::Unit;

/// The line on stderr; nothing where nobody would see it move.
#[derive(Debug)]
pub struct Line {
    shows: bool,
    drawn: bool,
    last: Option<(Instant, Glance)>,
}

impl Line {
    /// Shows nothing when `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self {
            shows: !quiet && io::stderr().is_terminal(),
            drawn: false,
            last: None,
        }
    }

    /// Shows how it goes.
    pub fn show(&mut self, progress: Progress) {
        if !self.shows {
            return;
        }
        let text = match progress {
            Progress::WarmingUp => "warming up".to_owned(),
            Progress::Waiting => "waiting for the last answers".to_owned(),
            Progress::Measuring { passed, of, glance } => self.measuring(passed, of, glance),
        };
        self.draw(&text);
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.drawn {
            self.draw("");
        }
    }

    fn measuring(&mut self, passed: Duration, of: Duration, glance: Glance) -> String {
        let now = Instant::now();
        let (before, earlier) = self
            .last
            .replace((now, glance))
            .unwrap_or_else(|| (now, Glance::default()));
        let time = (now - before).as_secs_f64().max(1e-3);
        let rate = |now: u64, earlier: u64| (now.saturating_sub(earlier)) as f64 / time;
        line(
            passed,
            of,
            glance,
            rate(glance.ok, earlier.ok),
            rate(
                glance.received + glance.sent,
                earlier.received + earlier.sent,
            ),
        )
    }

    fn draw(&mut self, text: &str) {
        self.drawn = true;
        // There is nobody to tell when the terminal is gone.
        drop(write!(anstream::stderr(), "\r\x1b[K{text}"));
        drop(io::stderr().flush());
    }
}

fn line(passed: Duration, of: Duration, glance: Glance, rate: f64, bytes: f64) -> String {
    let seconds = passed.as_secs().min(of.as_secs());
    let done = passed.as_secs_f64() / of.as_secs_f64().max(1e-3);
    let filled = ((done * BAR as f64) as usize).min(BAR);
    let errors = match glance.errors {
        0 => String::new(),
        errors => format!("  {errors} failed"),
    };
    format!(
        "[{}{}] {seconds}/{} s  {}  {}  p50 {}  p99 {}{errors}",
        "#".repeat(filled),
        ".".repeat(BAR - filled),
        of.as_secs(),
        Unit::PerSecond.text(rate),
        Unit::BytesPerSecond.text(bytes),
        Unit::Micros.text(glance.p50 as f64),
        Unit::Micros.text(glance.p99 as f64),
    )
}

const BAR: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is_and_fits_a_terminal() {
        let glance = Glance {
            ok: 12_345_678,
            errors: 12,
            p50: 1_234,
            p99: 56_789,
            ..Glance::default()
        };
        let shown = line(
            Duration::from_secs(15),
            Duration::from_secs(30),
            glance,
            123_456.0,
            1e9,
        );
        assert!(
            shown.starts_with("[##########..........] 15/30 s  123,456/s"),
            "{shown}"
        );
        assert!(shown.ends_with("12 failed") && shown.len() < 100, "{shown}");
    }
}
