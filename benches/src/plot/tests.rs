//! Plots of data that nobody hopes for.

use super::*;
use crate::unit::Unit;

fn plot(points: &[(f64, f64)]) -> String {
    let axes = || {
        (
            Axis::linear("x", Unit::Seconds),
            Axis::log("y", Unit::Micros),
        )
    };
    let (x, y) = axes();
    let band = points.iter().map(|&(x, y)| (x, y / 2.0, y * 2.0));
    Lines::new("A plot", x, y)
        .describe("What it shows")
        .line("one", points.iter().copied())
        .band(band.collect::<Vec<_>>())
        .svg()
}

/// What every plot has to be.
fn check(svg: &str) {
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert!(svg.contains("<title>A plot</title>"));
}

#[test]
fn odd_data_breaks_no_plot() {
    let (nan, infinite) = (f64::NAN, f64::INFINITY);
    for (points, empty) in [
        (&[][..], true),
        (&[(0.0, 5.0)], false),
        (&[(3.0, 0.0), (4.0, 0.0)], true),
        (&[(nan, 1.0), (1.0, nan), (nan, nan)], true),
        (&[(infinite, 1.0), (1.0, infinite), (2.0, -infinite)], true),
        (&[(1.0, -3.0), (2.0, 1e300), (3.0, 1e-300)], false),
        (&[(7.0, 7.0), (7.0, 7.0)], false),
    ] {
        let svg = plot(points);
        check(&svg);
        assert_eq!(svg.contains("no data"), empty, "{points:?}: {svg}");
    }
}

#[test]
fn a_missing_point_is_a_gap() {
    let svg = plot(&[
        (0.0, 1.0),
        (1.0, 2.0),
        (2.0, f64::NAN),
        (3.0, 2.0),
        (4.0, 1.0),
    ]);
    assert_eq!(svg.matches("<polyline").count(), 2);
    let svg = plot(&[(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0)]);
    assert_eq!(svg.matches("<polyline").count(), 1);
    assert_eq!(svg.matches("<circle").count(), 3);
}

#[test]
fn a_day_of_seconds_keeps_its_highest_peak() {
    let day = (0..86_400).map(|second| {
        let peak = second == 40_000;
        (f64::from(second), if peak { 900.0 } else { 100.0 })
    });
    let flat = (0..86_400).map(|second| (f64::from(second), 100.0));
    let axis = || {
        (
            Axis::linear("", Unit::Seconds),
            Axis::linear("", Unit::Micros),
        )
    };
    let draw = |points: Vec<_>| {
        Lines::new("A plot", axis().0, axis().1)
            .line("", points)
            .svg()
    };
    let (day, flat) = (draw(day.collect()), draw(flat.collect()));
    assert!(day.len() < 20_000, "{} bytes", day.len());
    let heights = |svg: &str| {
        let points = svg.split("points=\"").nth(1).unwrap_or_default();
        let points = points.split('"').next().unwrap_or_default().to_string();
        let heights = points
            .split(' ')
            .filter_map(|point| point.split(',').nth(1)?.parse().ok());
        let heights: std::collections::BTreeSet<i64> =
            heights.map(|height: f64| height as i64).collect();
        heights.len()
    };
    assert_eq!((heights(&day), heights(&flat)), (2, 1));
}

#[test]
fn bars_take_any_value() {
    let svg = Bars::new("A plot", "requests", Unit::PerSecond)
        .series(["1 connection", "64 connections"])
        .row("direct", [1.0, f64::NAN])
        .row("tunnel <b>", [f64::INFINITY, -2.0])
        .own()
        .row("none", Vec::<f64>::new())
        .row(
            "spread",
            [Bar {
                value: 3.0,
                spread: Some((2.0, f64::NAN)),
            }],
        )
        .reference("target", 0.8)
        .svg();
    check(&svg);
    assert!(svg.contains("tunnel &lt;b&gt;"));
    check(&Bars::new("A plot", "", Unit::Count).svg());
}

#[test]
fn text_is_escaped() {
    assert_eq!(
        escape("a<b>&\"'\u{0}\u{7}é"),
        "a&lt;b&gt;&amp;&quot;&#39;\u{fffd}\u{fffd}é"
    );
}
