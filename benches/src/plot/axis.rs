//! What an axis shows, its ticks, and where a value lies on it.

use crate::unit::{Unit, number};

/// One axis as it is asked for.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, in a few words; the unit is added.
    pub label: String,
    /// What its values count.
    pub unit: Unit,
    /// How they are spread.
    pub scale: Scale,
}

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scale {
    /// Evenly, from zero.
    Linear,
    /// By their logarithm; zero and less cannot be shown.
    Log,
    /// Shares below 1 by the logarithm of 1 / (1 - share): as much room from 99 % to 99.9 % as from
    /// 90 % to 99 %.
    Percentile,
}

impl Axis {
    /// An axis that begins at zero.
    pub fn linear(label: impl Into<String>, unit: Unit) -> Self {
        Self {
            label: label.into(),
            unit,
            scale: Scale::Linear,
        }
    }

    /// An axis on which equal steps are equal factors.
    pub fn log(label: impl Into<String>, unit: Unit) -> Self {
        Self {
            scale: Scale::Log,
            ..Self::linear(label, unit)
        }
    }

    /// An axis of percentiles, as shares from 0 to 1.
    pub fn percentile(label: impl Into<String>) -> Self {
        Self {
            scale: Scale::Percentile,
            ..Self::linear(label, Unit::Share)
        }
    }

    /// Lays the axis out for `values` with about `wanted` ticks.
    pub(super) fn span(&self, values: impl Iterator<Item = f64>, wanted: usize) -> Span {
        let shown = values.filter_map(|value| self.scale.place(value));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let data = (low <= high).then_some((low, high));
        match self.scale {
            Scale::Linear => self.linear_span(data, wanted),
            Scale::Log => self.log_span(data, wanted),
            Scale::Percentile => self.percentile_span(data),
        }
    }

    fn linear_span(&self, data: Option<(f64, f64)>, wanted: usize) -> Span {
        let (low, high) = data.unwrap_or((0.0, 1.0));
        let (low, mut high) = (low.min(0.0), high.max(0.0));
        if high - low <= 0.0 {
            high = 1.0;
        }
        let (divisor, suffix) = self.unit.prefix(high.max(-low));
        let step = nice((high - low) / divisor / wanted.max(1) as f64);
        let first = (low / divisor / step).floor() as i64;
        let last = ((high / divisor / step) - 1e-9).ceil() as i64;
        let ticks = (first..=last.max(first + 1)).map(|index| {
            let value = index as f64 * step;
            Tick {
                at: value * divisor,
                label: number(value),
            }
        });
        let ticks: Vec<_> = ticks.collect();
        let suffix = suffix.trim();
        Span {
            scale: self.scale,
            low: ticks[0].at,
            high: ticks[ticks.len() - 1].at,
            label: match (self.label.as_str(), suffix) {
                (label, "" | "/s" | "×") => label.into(),
                ("", suffix) => suffix.into(),
                (label, suffix) => format!("{label} ({suffix})"),
            },
            ticks,
        }
    }

    fn log_span(&self, data: Option<(f64, f64)>, wanted: usize) -> Span {
        let (low, high) = data.unwrap_or((0.0, 1.0));
        // Every 1, 2 and 5 below and above the data, so that the ends are ticks too.
        let mut marks = Vec::new();
        for decade in low.floor() as i32 - 1..=high.ceil() as i32 + 1 {
            for digit in [1.0, 2.0, 5.0] {
                marks.push(digit * 10f64.powi(decade));
            }
        }
        let begin = marks.iter().rposition(|mark| mark.log10() <= low + 1e-9);
        let begin = begin.unwrap_or(0);
        let end = marks.iter().position(|mark| mark.log10() >= high - 1e-9);
        let end = end.unwrap_or(marks.len() - 1).max(begin + 1);
        let (low, high) = (marks[begin].log10(), marks[end].log10());
        let shown = &marks[begin..=end];
        let decades = high - low;
        // As many ticks as there is room for: 1, 2 and 5; decades; every second decade; ...
        let every = (decades / wanted.max(1) as f64).ceil().max(1.0) as i32;
        let ticks = shown.iter().filter(|mark| {
            let log = mark.log10();
            let is_decade = (log - log.round()).abs() < 1e-9;
            shown.len() <= wanted + 3 || is_decade && (log.round() as i32).rem_euclid(every) == 0
        });
        let ticks = ticks.map(|mark| Tick {
            at: mark.log10(),
            label: self.unit.text(*mark),
        });
        Span {
            scale: self.scale,
            low,
            high,
            label: self.label.clone(),
            ticks: ticks.collect(),
        }
    }

    fn percentile_span(&self, data: Option<(f64, f64)>) -> Span {
        let high = data.map_or(2.0, |(_, high)| high.max(1.0));
        let ticks = PERCENTILES.into_iter().filter_map(|(share, label)| {
            let at = self.scale.place(share)?;
            (at <= high + 1e-9).then(|| Tick {
                at,
                label: label.into(),
            })
        });
        Span {
            scale: self.scale,
            low: 0.0,
            high,
            label: self.label.clone(),
            ticks: ticks.collect(),
        }
    }
}

impl Scale {
    /// Where a value stands on an even line, if it can be shown at all.
    fn place(self, value: f64) -> Option<f64> {
        let place = match self {
            Self::Linear => value,
            Self::Log => (value > 0.0).then(|| value.log10())?,
            Self::Percentile => (0.0..1.0)
                .contains(&value)
                .then(|| -(1.0 - value).log10())?,
        };
        place.is_finite().then_some(place)
    }
}

/// An axis laid out for its data.
pub(super) struct Span {
    scale: Scale,
    low: f64,
    high: f64,
    /// The axis's label, with the unit of its ticks where they do not carry one.
    pub(super) label: String,
    pub(super) ticks: Vec<Tick>,
}

/// A labelled place on an axis.
pub(super) struct Tick {
    at: f64,
    pub(super) label: String,
}

impl Span {
    /// Ends the axis with the data instead of at the tick behind it: time needs no room to spare.
    pub(super) fn tight(mut self, values: impl Iterator<Item = f64>) -> Self {
        let shown = values.filter_map(|value| self.scale.place(value));
        let high = shown.fold(f64::NEG_INFINITY, f64::max);
        if high > self.low {
            self.high = high;
            self.ticks
                .retain(|tick| tick.at <= high + 1e-9 * high.abs());
        }
        self
    }

    /// How far along the axis `value` lies, from 0 to 1, if it can be shown.
    pub(super) fn along(&self, value: f64) -> Option<f64> {
        let place = self.scale.place(value)?;
        Some(self.part(place))
    }

    /// How far along the axis the tick lies.
    pub(super) fn tick(&self, tick: &Tick) -> f64 {
        self.part(tick.at)
    }

    fn part(&self, place: f64) -> f64 {
        ((place - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// The next 1, 2 or 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10f64.powi(step.log10().floor() as i32);
    let steps = [1.0, 2.0, 5.0].map(|digit| digit * power);
    let fits = steps.into_iter().find(|nice| *nice >= step * (1.0 - 1e-9));
    fits.unwrap_or(10.0 * power)
}

const PERCENTILES: [(f64, &str); 7] = [
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.99999, "99.999 %"),
    (0.999_999, "99.9999 %"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        let span = axis.span(values.iter().copied(), 5);
        span.ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_data() {
        let linear = Axis::linear("", Unit::Count);
        assert_eq!(
            labels(&linear, &[3.0, 97.0]),
            ["0", "20", "40", "60", "80", "100"]
        );
        assert_eq!(labels(&linear, &[]), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        let memory = Axis::linear("Memory", Unit::Bytes);
        let span = memory.span([0.0, 40.0 * 1024.0 * 1024.0].into_iter(), 5);
        assert_eq!(span.label, "Memory (MiB)");
        assert_eq!(labels(&memory, &[41.9e6]), ["0", "10", "20", "30", "40"]);
        let log = Axis::log("", Unit::Micros);
        assert_eq!(
            labels(&log, &[90.0, 900.0]),
            ["50 µs", "100 µs", "200 µs", "500 µs", "1 ms"]
        );
        assert_eq!(
            labels(&log, &[90.0, 2e6]),
            ["100 µs", "1 ms", "10 ms", "100 ms", "1 s"]
        );
        assert_eq!(labels(&log, &[100.0]), ["100 µs", "200 µs"]);
        assert_eq!(
            labels(&Axis::percentile(""), &[0.995]),
            ["50 %", "90 %", "99 %"]
        );
    }

    #[test]
    fn a_tight_axis_ends_with_its_data() {
        let time = Axis::linear("", Unit::Seconds);
        let values = || [0.0, 12.0].into_iter();
        let span = time.span(values(), 4).tight(values());
        assert_eq!(span.along(12.0), Some(1.0));
        let labels: Vec<_> = span.ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["0", "5", "10"]);
        let none = time.span([].into_iter(), 4).tight([].into_iter());
        assert_eq!(none.ticks.len(), 3);
    }

    #[test]
    fn what_cannot_be_shown_has_no_place() {
        let log = Axis::log("", Unit::Micros).span([1.0, 100.0].into_iter(), 5);
        assert_eq!(log.along(10.0), Some(0.5));
        assert_eq!(log.along(0.0), None);
        assert_eq!(log.along(f64::NAN), None);
        let percentile = Axis::percentile("").span([0.99].into_iter(), 5);
        assert_eq!(percentile.along(1.0), None);
        let part = percentile.along(0.9).unwrap();
        assert!((part - 0.5).abs() < 1e-9, "{part}");
    }
}
