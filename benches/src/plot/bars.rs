//! Bars by name, lying down so that names can be read.

use super::{
    axis::Axis,
    canvas::{Anchor, Canvas, fitted, width},
};
use crate::unit::Unit;

/// A plot of bars. Each row has one bar for each series.
#[derive(Clone, Debug)]
pub struct Bars {
    title: String,
    description: String,
    axis: Axis,
    wide: f64,
    series: Vec<String>,
    rows: Vec<Row>,
    reference: Option<(String, f64)>,
}

/// The bars of one name.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    own: bool,
    bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// Its length. What is no number is written as a dash and has no bar.
    pub value: f64,
    /// The lowest and the highest that was measured, or an interval.
    pub spread: Option<(f64, f64)>,
}

impl From<f64> for Bar {
    fn from(value: f64) -> Self {
        Self {
            value,
            spread: None,
        }
    }
}

impl Bars {
    /// An empty plot of one series.
    pub fn new(title: impl Into<String>, label: impl Into<String>, unit: Unit) -> Self {
        Self {
            title: title.into(),
            description: String::new(),
            axis: Axis::linear(label, unit),
            wide: 640.0,
            series: Vec::new(),
            rows: Vec::new(),
            reference: None,
        }
    }

    /// What a reader who cannot see the plot should know.
    #[must_use]
    pub fn describe(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// The width in pixels where it is not scaled, 640 unless told; the height follows from the rows.
    #[must_use]
    pub fn wide(mut self, width: u32) -> Self {
        self.wide = f64::from(width.max(240));
        self
    }

    /// Names several bars in each row, in their order. At most four can be told apart.
    #[must_use]
    pub fn series<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.series = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a row.
    #[must_use]
    pub fn row<T: Into<Bar>>(
        mut self,
        name: impl Into<String>,
        bars: impl IntoIterator<Item = T>,
    ) -> Self {
        self.rows.push(Row {
            name: name.into(),
            own: false,
            bars: bars.into_iter().map(Into::into).collect(),
        });
        self
    }

    /// Makes the row added last stand out from the others.
    #[must_use]
    pub fn own(mut self) -> Self {
        if let Some(row) = self.rows.last_mut() {
            row.own = true;
        }
        self
    }

    /// Draws a line across all rows, at a target for example.
    #[must_use]
    pub fn reference(mut self, name: impl Into<String>, value: f64) -> Self {
        self.reference = Some((name.into(), value));
        self
    }

    /// An SVG file of its own.
    pub fn svg(&self) -> String {
        let top = if self.series.is_empty() { 30.0 } else { 52.0 };
        let each = self.rows.iter().map(Row::height);
        let bottom = top + each.sum::<f64>().max(ROW);
        let has_reference = self.reference.is_some();
        let high = bottom + 40.0 + if has_reference { 16.0 } else { 0.0 };
        let size = (self.wide, high);
        let mut canvas = Canvas::new(size, &self.title, &self.description, true);
        let title = fitted(&self.title, self.wide * 0.84);
        canvas.text((0.0, 15.0), Anchor::Start, "head", &title);
        self.legend(&mut canvas);

        let bars = self.rows.iter().flat_map(|row| &row.bars);
        let values = bars.flat_map(|bar| {
            let (low, high) = bar.spread.unwrap_or((bar.value, bar.value));
            [bar.value, low, high]
        });
        let reference = self.reference.iter().map(|reference| reference.1);
        let span = self
            .axis
            .span(values.chain(reference), (self.wide / 110.0) as usize);
        let names = self.rows.iter().map(|row| width(&row.name) * 1.04);
        let left = names.fold(0.0, f64::max).min(self.wide * 0.4) + 10.0;
        // Room behind the longest bar for its figure.
        let right = self.wide - 64.0;
        let x = |part: f64| left + part * (right - left);

        for tick in &span.ticks {
            let at = x(span.tick(tick));
            canvas.line((at, top), (at, bottom), "grid");
            canvas.text((at, bottom + 16.0), Anchor::Middle, "soft", &tick.label);
        }
        canvas.text((right, bottom + 33.0), Anchor::End, "soft", &span.label);
        let zero = x(span.along(0.0).unwrap_or(0.0));
        let any_own = self.rows.iter().any(|row| row.own);
        let mut y = top;
        for row in &self.rows {
            let middle = y + row.height() / 2.0;
            let class = if row.own { "strong" } else { "" };
            let name = fitted(&row.name, left - 8.0);
            canvas.text((left - 8.0, middle + 4.0), Anchor::End, class, &name);
            for (index, bar) in row.bars.iter().enumerate() {
                let fill = match (self.series.len() > 1, any_own && !row.own) {
                    (false, true) => "bar rest".into(),
                    (false, false) => "bar f0".into(),
                    (true, _) => format!("bar f{}", index % FILLS),
                };
                let bar_top = y + GAP / 2.0 + index as f64 * BAR;
                let mut end = zero;
                if let Some(part) = span.along(bar.value) {
                    end = x(part);
                    let size = ((end - zero).abs(), BAR - 2.0);
                    canvas.rect((zero.min(end), bar_top), size, &fill);
                    end = end.max(zero);
                }
                end = end.max(whisker(
                    &mut canvas,
                    bar,
                    |value| span.along(value).map(x),
                    bar_top,
                ));
                let figure = self.axis.unit.text(bar.value);
                let at = (end + 5.0, bar_top + BAR / 2.0 + 3.0);
                canvas.text(at, Anchor::Start, class, &figure);
            }
            y += row.height();
        }
        canvas.line((zero, top), (zero, bottom), "axis");
        if let Some((name, value)) = &self.reference
            && let Some(part) = span.along(*value)
        {
            let at = x(part);
            canvas.line((at, top - 3.0), (at, bottom), "mean");
            let text = format!("┆ {name}: {}", self.axis.unit.text(*value));
            canvas.text((right, bottom + 49.0), Anchor::End, "soft", &text);
        }
        if self.rows.is_empty() {
            let middle = (x(0.5), (top + bottom) / 2.0);
            canvas.text(middle, Anchor::Middle, "soft", "no data");
        }
        canvas.end()
    }

    fn legend(&self, canvas: &mut Canvas) {
        let mut x = 0.0;
        for (index, name) in self.series.iter().enumerate() {
            let fill = format!("bar f{}", index % FILLS);
            canvas.rect((x, 27.0), (14.0, 11.0), &fill);
            canvas.text((x + 20.0, 37.0), Anchor::Start, "", name);
            x += 20.0 + width(name) + 16.0;
        }
    }
}

impl Row {
    fn height(&self) -> f64 {
        GAP + BAR * self.bars.len().max(1) as f64
    }
}

/// Draws a bar's spread and says how far to the right it reaches.
fn whisker(canvas: &mut Canvas, bar: &Bar, x: impl Fn(f64) -> Option<f64>, bar_top: f64) -> f64 {
    let Some((low, high)) = bar.spread.and_then(|(low, high)| Some((x(low)?, x(high)?))) else {
        return f64::NEG_INFINITY;
    };
    let middle = bar_top + (BAR - 2.0) / 2.0;
    canvas.line((low, middle), (high, middle), "whisker");
    for end in [low, high] {
        canvas.line((end, middle - 3.0), (end, middle + 3.0), "whisker");
    }
    high
}

/// Fills that look different; more begin again.
const FILLS: usize = 4;

/// The height of a bar, with the line of paper below it.
const BAR: f64 = 16.0;

/// Between two rows.
const GAP: f64 = 8.0;

/// The height of a row of one bar.
const ROW: f64 = BAR + GAP;
