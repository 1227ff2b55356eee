//! How a figure is written for people: three significant digits and the prefix that suits it.

/// What a figure counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Things, or anything that has no better unit.
    Count,
    /// Things a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Microseconds.
    Micros,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// A part of a whole, 1.0 being all of it; also a processor's load, 1.0 being one processor.
    Share,
    /// How many times as much.
    Times,
}

impl Unit {
    /// The value with its unit: `1.25 ms`, `104,812`, `64 KiB`. What is no number is a dash.
    pub fn text(self, value: f64) -> String {
        if !value.is_finite() {
            return "–".into();
        }
        if matches!(self, Self::Count | Self::PerSecond) {
            return format!("{}{}", number(value), self.prefix(value).1);
        }
        let value = rounded(value);
        let (divisor, suffix) = self.prefix(value.abs());
        format!("{}{suffix}", number(value / divisor))
    }

    /// What values as large as `largest` are best divided by, and what then stands behind them.
    pub(crate) fn prefix(self, largest: f64) -> (f64, &'static str) {
        let choices: &[(f64, &str)] = match self {
            Self::Count => &[(1.0, "")],
            Self::PerSecond => &[(1.0, "/s")],
            Self::Seconds => &[(1e-6, " µs"), (1e-3, " ms"), (1.0, " s")],
            Self::Micros => &[(1.0, " µs"), (1e3, " ms"), (1e6, " s")],
            Self::Bytes => &[(1.0, " B"), (KIB, " KiB"), (MIB, " MiB"), (GIB, " GiB")],
            Self::BytesPerSecond => &[
                (1.0, " B/s"),
                (KIB, " KiB/s"),
                (MIB, " MiB/s"),
                (GIB, " GiB/s"),
            ],
            Self::Share => &[(0.01, " %")],
            Self::Times => &[(1.0, "×")],
        };
        if self == Self::Seconds && largest == 0.0 {
            return (1.0, " s");
        }
        let fits = choices.iter().rev().find(|choice| choice.0 <= largest);
        fits.copied().unwrap_or(choices[0])
    }
}

/// A number with three significant digits at least, all digits before the point, and commas between
/// thousands.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let size = value.abs();
    let decimals = if size < 1e-9 {
        0
    } else {
        (2 - size.log10().floor() as i32).clamp(0, 9) as usize
    };
    let text = format!("{size:.decimals$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part = part.trim_end_matches('0');
    let mut out = String::new();
    if value < 0.0 && text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        out.push('−');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !part.is_empty() {
        out.push('.');
        out.push_str(part);
    }
    out
}

/// A difference as a percentage with its sign: `+9.8 %`. 0.098 is +9.8 %.
pub(crate) fn change(difference: f64) -> String {
    if !difference.is_finite() {
        return "–".into();
    }
    let percent = difference * 100.0;
    let decimals = usize::from(percent.abs() < 99.95);
    let text = format!("{:.decimals$}", percent.abs());
    let sign = if !text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        "±"
    } else if percent > 0.0 {
        "+"
    } else {
        "−"
    };
    format!("{sign}{text} %")
}

/// To three significant digits, so that 999.9 µs becomes 1 ms and not 1000 µs.
fn rounded(value: f64) -> f64 {
    let size = value.abs();
    if !(1e-12..1e15).contains(&size) {
        return value;
    }
    let unit = 10f64.powi(size.log10().floor() as i32 - 2);
    (value / unit).round() * unit
}

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        for (unit, value, text) in [
            (Unit::Count, 104_812.0, "104,812"),
            (Unit::Count, 0.0, "0"),
            (Unit::PerSecond, 1999.6, "2,000/s"),
            (Unit::PerSecond, 12.346, "12.3/s"),
            (Unit::Micros, 87.0, "87 µs"),
            (Unit::Micros, 999.9, "1 ms"),
            (Unit::Micros, 1234.0, "1.23 ms"),
            (Unit::Micros, 61_000_000.0, "61 s"),
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Seconds, 0.0125, "12.5 ms"),
            (Unit::Bytes, 65536.0, "64 KiB"),
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::BytesPerSecond, 1.5 * 1024.0 * 1024.0, "1.5 MiB/s"),
            (Unit::Share, 0.0012, "0.12 %"),
            (Unit::Share, 1.25, "125 %"),
            (Unit::Times, 0.825, "0.825×"),
            (Unit::Micros, f64::NAN, "–"),
        ] {
            assert_eq!(unit.text(value), text);
        }
        assert_eq!(change(0.098), "+9.8 %");
        assert_eq!(change(-0.0001), "±0.0 %");
        assert_eq!(change(-1.5), "−150 %");
        assert_eq!(number(-1234.5), "−1,234");
    }
}
