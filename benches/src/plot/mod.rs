//! Plots as SVG text: no script, no fonts to load, nothing fetched.
//!
//! They are made for paper as much as for a screen: every line differs by its dashes and the shape of
//! its points as well as by its colour, fills differ in lightness, and only a screen gets the dark
//! colours. Whatever the data, a plot comes out: values that are no numbers leave a gap, and an empty
//! plot says that it has no data.
//!
//! - `axis`: what an axis shows, its ticks, and where a value lies on it;
//! - `lines`: lines and bands over x;
//! - `bars`: bars by name;
//! - `canvas`: the SVG elements that both draw with.

mod axis;
mod bars;
mod canvas;
mod lines;

pub use axis::{Axis, Scale};
pub use bars::{Bar, Bars};
pub(crate) use canvas::{STYLE, escape};
pub use lines::Lines;

#[cfg(test)]
mod tests;
