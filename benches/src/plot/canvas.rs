//! SVG elements as text, and the one style of all plots.

use std::fmt::Write;

/// An SVG image that is being written.
pub(super) struct Canvas {
    text: String,
}

/// Where a text stands in relation to its position.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Canvas {
    /// An image with its own paper. Readers of the screen hear `title` and `description`.
    pub(super) fn new(size: (f64, f64), title: &str, description: &str, style: bool) -> Self {
        let (width, height) = size;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\
             <title>{}</title>",
            escape(title)
        );
        if !description.is_empty() {
            let _ = write!(text, "<desc>{}</desc>", escape(description));
        }
        if style {
            let _ = write!(text, "<style>{STYLE}</style>");
        }
        text.push('\n');
        let mut canvas = Self { text };
        canvas.rect((0.0, 0.0), size, "paper");
        canvas
    }

    pub(super) fn text(&mut self, at: (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y) = (px(at.0), px(at.1));
        let text = escape(text);
        let _ = writeln!(
            self.text,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>"
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let (x1, y1, x2, y2) = (px(from.0), px(from.1), px(to.0), px(to.1));
        let _ = writeln!(
            self.text,
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        );
    }

    pub(super) fn rect(&mut self, at: (f64, f64), size: (f64, f64), class: &str) {
        let (x, y, width, height) = (px(at.0), px(at.1), px(size.0), px(size.1));
        let _ = writeln!(
            self.text,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }

    pub(super) fn polyline(&mut self, points: &[(f64, f64)], class: &str) {
        self.points("polyline", points, class);
    }

    pub(super) fn polygon(&mut self, points: &[(f64, f64)], class: &str) {
        self.points("polygon", points, class);
    }

    fn points(&mut self, element: &str, points: &[(f64, f64)], class: &str) {
        let _ = write!(self.text, "<{element} class=\"{class}\" points=\"");
        for (index, (x, y)) in points.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            let _ = write!(self.text, "{space}{},{}", px(*x), px(*y));
        }
        self.text.push_str("\"/>\n");
    }

    /// A point of the line `look`: a disc, a square, a triangle or a diamond.
    pub(super) fn mark(&mut self, at: (f64, f64), look: usize, class: &str) {
        let (x, y) = at;
        let corners: &[(f64, f64)] = match look % 4 {
            0 => {
                let (x, y) = (px(x), px(y));
                let _ = writeln!(
                    self.text,
                    "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>"
                );
                return;
            }
            1 => &[(-2.8, -2.8), (2.8, -2.8), (2.8, 2.8), (-2.8, 2.8)],
            2 => &[(0.0, -3.8), (3.6, 2.8), (-3.6, 2.8)],
            _ => &[(0.0, -4.0), (4.0, 0.0), (0.0, 4.0), (-4.0, 0.0)],
        };
        let corners: Vec<_> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        self.polygon(&corners, class);
    }

    pub(super) fn end(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

/// How wide `text` will be, about: there is no font here to ask.
pub(super) fn width(text: &str) -> f64 {
    text.chars()
        .map(|letter| match letter {
            'i' | 'j' | 'l' | 't' | 'f' | '.' | ',' | ' ' | '\'' | '|' | ':' => 3.9,
            'm' | 'w' | 'M' | 'W' | '%' => 10.4,
            'A'..='Z' => 8.3,
            _ => 7.0,
        })
        .sum()
}

/// `text`, or as much of it as fits in `room`.
pub(super) fn fitted(text: &str, room: f64) -> String {
    if width(text) <= room {
        return text.into();
    }
    let mut short = String::new();
    for letter in text.chars() {
        if width(&short) + 17.0 > room {
            break;
        }
        short.push(letter);
    }
    short.push('…');
    short
}

/// Text that may stand in an element or in a quoted attribute, of HTML and of XML: characters that
/// XML forbids become replacement characters.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(letter),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ if letter.is_control() => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out
}

/// A coordinate, to a tenth of a pixel.
fn px(value: f64) -> String {
    if !value.is_finite() {
        return "0".into();
    }
    let text = format!("{value:.1}");
    let short = text.strip_suffix(".0").unwrap_or(&text);
    if short == "-0" { "0" } else { short }.into()
}

/// Colours that differ in lightness too. The dark ones are for screens only, so that paper stays white;
/// no custom properties, which programs other than browsers do not know.
pub(crate) const STYLE: &str = "
.plot{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-variant-numeric:tabular-nums}
.plot text{fill:#1b1f24}.plot .soft{fill:#59626c}.plot .head{font-size:14px;font-weight:600}.plot .strong{font-weight:600}
.plot .paper{fill:#fff}.plot .grid{stroke:#dfe3e7}.plot .axis{stroke:#59626c}
.plot .mean{stroke:#1b1f24;stroke-dasharray:3 3}.plot .whisker{stroke:#1b1f24;stroke-width:1.2}
.plot polyline,.plot .sample{fill:none;stroke-width:1.8;stroke-linejoin:round}
.plot .l0{stroke:#0b5394}.plot .l1{stroke:#c44e00;stroke-dasharray:7 3}.plot .l2{stroke:#15795a;stroke-dasharray:2 2.5}
.plot .l3{stroke:#8034a0;stroke-dasharray:10 3 2 3}.plot .l4{stroke:#7d6200;stroke-dasharray:14 4}.plot .l5{stroke:#50555b;stroke-dasharray:4 2 1 2}
.plot .m0,.plot .b0{fill:#0b5394}.plot .m1,.plot .b1{fill:#c44e00}.plot .m2,.plot .b2{fill:#15795a}
.plot .m3,.plot .b3{fill:#8034a0}.plot .m4,.plot .b4{fill:#7d6200}.plot .m5,.plot .b5{fill:#50555b}
.plot .b0,.plot .b1,.plot .b2,.plot .b3,.plot .b4,.plot .b5{opacity:.16}
.plot .bar{stroke:#1b1f24;stroke-width:.6}.plot .f0{fill:#0b5394}.plot .f1{fill:#8fb8de}.plot .f2{fill:#d7a257}.plot .f3{fill:#e4e7ea}.plot .rest{fill:#b4bcc5}
@media screen and (prefers-color-scheme:dark){
.plot text{fill:#e6e9ec}.plot .soft{fill:#a3acb5}.plot .paper{fill:#15181b}.plot .grid{stroke:#33393f}.plot .axis{stroke:#a3acb5}
.plot .mean,.plot .whisker,.plot .bar{stroke:#e6e9ec}
.plot .l0{stroke:#6fb1f0}.plot .l1{stroke:#ff9a52}.plot .l2{stroke:#5fcca4}.plot .l3{stroke:#d39cec}.plot .l4{stroke:#dcc05a}.plot .l5{stroke:#b9c0c7}
.plot .m0,.plot .b0{fill:#6fb1f0}.plot .m1,.plot .b1{fill:#ff9a52}.plot .m2,.plot .b2{fill:#5fcca4}
.plot .m3,.plot .b3{fill:#d39cec}.plot .m4,.plot .b4{fill:#dcc05a}.plot .m5,.plot .b5{fill:#b9c0c7}
.plot .f0{fill:#6fb1f0}.plot .f1{fill:#32618d}.plot .f2{fill:#a8742a}.plot .f3{fill:#4a5057}.plot .rest{fill:#5c656e}
}
";
