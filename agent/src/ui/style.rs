//! How words and figures look on a terminal.

use std::borrow::Cow;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::escape::escape;

/// A line in one colour.
pub(super) fn coloured(colour: AnsiColor, text: &str) -> String {
    let style = colour.on_default();
    format!("{style}{text}{style:#}")
}

/// A short text from elsewhere.
pub(super) fn words(text: &str) -> Cow<'_, str> {
    escape(text, MAX_WORDS)
}

/// A duration in few characters.
pub(crate) fn brief(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 9.95 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else if ms < 99_950.0 {
        format!("{:.1} s", ms / 1e3)
    } else {
        format!("{:.0} min", ms / 60e3)
    }
}

/// A number of bytes in few characters.
pub(super) fn size(bytes: u64) -> String {
    let mut shown = bytes as f64;
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    for unit in ["kB", "MB", "GB"] {
        shown /= 1e3;
        if shown < 999.95 {
            return format!("{shown:.1} {unit}");
        }
    }
    format!("{:.1} TB", shown / 1e3)
}

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();

/// In characters.
const MAX_WORDS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_brief() {
        for (us, shown) in [
            (0, "0.0 ms"),
            (450, "0.5 ms"),
            (9_949, "9.9 ms"),
            (12_000, "12 ms"),
            (1_500_000, "1.5 s"),
            (120_000_000, "2 min"),
        ] {
            assert_eq!(brief(Duration::from_micros(us)), shown);
        }
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_500, "1.5 kB"),
            (3_000_000, "3.0 MB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
