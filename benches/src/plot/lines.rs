//! Lines and bands over x.

use super::{
    axis::{Axis, Span},
    canvas::{Anchor, Canvas, fitted, width},
};

/// A plot of lines.
#[derive(Clone, Debug)]
pub struct Lines {
    title: String,
    description: String,
    x: Axis,
    y: Axis,
    size: (f64, f64),
    lines: Vec<Line>,
    bands: Vec<Band>,
}

/// A line, or single points where a neighbour is missing.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// What lies between a lower and an upper value: an interval around a line, or a time span.
#[derive(Clone, Debug)]
struct Band {
    look: usize,
    /// x, lower, upper.
    edges: Vec<(f64, f64, f64)>,
}

impl Lines {
    /// An empty plot.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            description: String::new(),
            x,
            y,
            size: (440.0, 270.0),
            lines: Vec::new(),
            bands: Vec::new(),
        }
    }

    /// What a reader who cannot see the plot should know.
    #[must_use]
    pub fn describe(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Width and height, in pixels where it is not scaled. 440 by 270 unless told.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.size = (f64::from(width.max(240)), f64::from(height.max(160)));
        self
    }

    /// Adds a line; a point that is no number is a gap. The points are drawn too if they are few.
    #[must_use]
    pub fn line(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        self.lines.push(Line {
            name: name.into(),
            points: points.into_iter().collect(),
        });
        self
    }

    /// Adds a band in the colour of the line added last: x, its lower and its upper value.
    #[must_use]
    pub fn band(mut self, edges: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        self.bands.push(Band {
            look: self.lines.len().saturating_sub(1),
            edges: edges.into_iter().collect(),
        });
        self
    }

    /// An SVG file of its own.
    pub fn svg(&self) -> String {
        self.draw(true)
    }

    /// For a page that has [`STYLE`](super::STYLE).
    pub(crate) fn inline(&self) -> String {
        self.draw(false)
    }

    fn draw(&self, style: bool) -> String {
        let (wide, high) = self.size;
        let canvas = Canvas::new(self.size, &self.title, &self.description, style);
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let edges = || self.bands.iter().flat_map(|band| &band.edges);
        let y_values = points()
            .map(|point| point.1)
            .chain(edges().flat_map(|(_, low, high)| [*low, *high]));
        let y = self.y.span(y_values, (high / 55.0) as usize);
        let x_values = || {
            let points = points().map(|point| point.0);
            points.chain(edges().map(|edge| edge.0))
        };
        let x = self.x.span(x_values(), (wide / 80.0) as usize);
        let x = x.tight(x_values());
        let gutter = y
            .ticks
            .iter()
            .map(|tick| width(&tick.label))
            .fold(0.0, f64::max);
        let mut plot = Drawing {
            canvas,
            x,
            y,
            left: gutter + 10.0,
            top: 0.0,
            right: wide - 14.0,
            bottom: high - 38.0,
        };
        plot.heading(&self.title, wide);
        plot.legend(self.lines.iter().map(|line| line.name.as_str()));
        plot.axes();
        let mut empty = true;
        for band in &self.bands {
            empty &= !plot.band(band);
        }
        for (look, line) in self.lines.iter().enumerate() {
            empty &= !plot.line(line, look);
        }
        if empty {
            let middle = (
                (plot.left + plot.right) / 2.0,
                (plot.top + plot.bottom) / 2.0,
            );
            plot.canvas.text(middle, Anchor::Middle, "soft", "no data");
        }
        plot.canvas.end()
    }
}

/// A plot that is being drawn, and the rectangle of its axes.
struct Drawing {
    canvas: Canvas,
    x: Span,
    y: Span,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Drawing {
    fn heading(&mut self, title: &str, wide: f64) {
        let title = fitted(title, (wide - 4.0) * 0.84);
        self.canvas.text((0.0, 15.0), Anchor::Start, "head", &title);
        self.top = 22.0;
    }

    /// A sample of each line with its name, in as many rows as they need.
    fn legend<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let (mut x, mut y, mut rows) = (0.0, self.top + 12.0, 0);
        for (look, name) in names.enumerate() {
            if name.is_empty() {
                continue;
            }
            let name = fitted(name, self.right - 40.0);
            let room = 34.0 + width(&name) + 14.0;
            if x > 0.0 && x + room > self.right {
                (x, y) = (0.0, y + 17.0);
                rows += 1;
            }
            let class = format!("sample l{}", look % LOOKS);
            let middle = y - 4.0;
            self.canvas.line((x, middle), (x + 28.0, middle), &class);
            self.canvas.text((x + 34.0, y), Anchor::Start, "", &name);
            x += room;
            rows = rows.max(1);
            self.top = y + 5.0;
        }
    }

    fn axes(&mut self) {
        let (left, right, bottom) = (self.left, self.right, self.bottom);
        if !self.y.label.is_empty() {
            let at = (0.0, self.top + 13.0);
            self.canvas.text(at, Anchor::Start, "soft", &self.y.label);
            self.top += 20.0;
        }
        self.top += 6.0;
        for tick in &self.y.ticks {
            let y = bottom - self.y.tick(tick) * (bottom - self.top);
            self.canvas.line((left, y), (right, y), "grid");
            let at = (left - 6.0, y + 4.0);
            self.canvas.text(at, Anchor::End, "soft", &tick.label);
        }
        self.canvas.line((left, bottom), (right, bottom), "axis");
        let mut free = f64::NEG_INFINITY;
        for tick in &self.x.ticks {
            let x = left + self.x.tick(tick) * (right - left);
            self.canvas.line((x, bottom), (x, bottom + 4.0), "axis");
            let half = width(&tick.label) / 2.0;
            let x = x.min(right + 12.0 - half);
            if x - half < free {
                continue;
            }
            free = x + half + 6.0;
            let at = (x, bottom + 17.0);
            self.canvas.text(at, Anchor::Middle, "soft", &tick.label);
        }
        let at = (right, bottom + 33.0);
        self.canvas.text(at, Anchor::End, "soft", &self.x.label);
    }

    /// True if there was anything to draw.
    fn band(&mut self, band: &Band) -> bool {
        let places = band
            .edges
            .iter()
            .filter_map(|&(x, low, high)| Some((self.place((x, low))?, self.place((x, high))?)));
        let (mut outline, upper): (Vec<_>, Vec<_>) = places.unzip();
        outline.extend(upper.into_iter().rev());
        let drawn = outline.len() > 2;
        if drawn {
            let class = format!("b{}", band.look % LOOKS);
            self.canvas.polygon(&outline, &class);
        }
        drawn
    }

    /// True if there was anything to draw.
    fn line(&mut self, line: &Line, look: usize) -> bool {
        let places: Vec<_> = line.points.iter().map(|point| self.place(*point)).collect();
        let marked = places.len() <= FEW;
        let (class, mark) = (format!("l{}", look % LOOKS), format!("m{}", look % LOOKS));
        let mut drawn = false;
        for run in places.split(Option::is_none) {
            let run: Vec<_> = run.iter().flatten().copied().collect();
            drawn |= !run.is_empty();
            if run.len() > 1 {
                self.canvas.polyline(&thinned(&run), &class);
            }
            if marked || run.len() == 1 {
                for at in run {
                    self.canvas.mark(at, look, &mark);
                }
            }
        }
        drawn
    }

    fn place(&self, point: (f64, f64)) -> Option<(f64, f64)> {
        let (x, y) = (self.x.along(point.0)?, self.y.along(point.1)?);
        Some((
            self.left + x * (self.right - self.left),
            self.bottom - y * (self.bottom - self.top),
        ))
    }
}

/// The highest and the lowest point of each pixel: a day of seconds draws as an hour does.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MANY {
        return points.to_vec();
    }
    let mut out = Vec::new();
    for pixel in points.chunk_by(|one, other| one.0.floor() == other.0.floor()) {
        let by_height = |one: &&(f64, f64), other: &&(f64, f64)| one.1.total_cmp(&other.1);
        let highest = pixel.iter().min_by(by_height);
        let lowest = pixel.iter().max_by(by_height);
        out.extend(highest.into_iter().chain(lowest).copied());
    }
    out
}

/// Lines that look different; more begin again.
const LOOKS: usize = 6;

/// Up to so many points each point is drawn as well.
const FEW: usize = 12;

/// From so many points on a line is thinned.
const MANY: usize = 1500;
