//! Tables and plots of a run for docs/benchmarks.md: what stands between its marks is made anew, the rest
//! is left as it is.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::cases::{bulk, requests};
use super::figures::Figure;
use super::report::Report;
use crate::plot::{Bar, Bars};
use crate::unit::Unit;

impl Report {
    /// Renews the page in this directory.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written, or has not all the marks.
    pub(crate) fn document(&self, directory: &Path) -> anyhow::Result<()> {
        let pictures = directory.join(PICTURES);
        fs::create_dir_all(&pictures)?;
        for (name, svg) in self.plots() {
            fs::write(pictures.join(format!("{name}.svg")), svg)?;
        }
        let path = directory.join(PAGE);
        let page =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut figures = String::new();
        for (case, table) in self.cases() {
            figures.push_str(&format!("**{case}**\n\n{}\n", table.markdown()));
        }
        let remarks = self.remarks();
        let remarks: String = remarks
            .iter()
            .map(|remark| format!("- {remark}\n"))
            .collect();
        let page = renewed(&page, "circumstances", &self.circumstances())?;
        let page = renewed(&page, "targets", &self.targets().markdown())?;
        let page = renewed(&page, "ratios", &self.ratios().markdown())?;
        let page = renewed(&page, "figures", figures.trim_end())?;
        let page = renewed(&page, "remarks", &remarks)?;
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
    }

    fn plots(&self) -> Vec<(&'static str, String)> {
        let mut plots = Vec::new();
        for (name, title, measure, unit) in [
            (
                "requests",
                "Requests a second, 1 KiB, 64 connections",
                "req/s",
                Unit::PerSecond,
            ),
            (
                "cost",
                "Processor time of one request, 1 KiB, 64 connections",
                "CPU us/req",
                Unit::Micros,
            ),
        ] {
            let mut bars = Bars::new(title, measure, unit);
            for system in SYSTEMS {
                if let Some(figure) = self.main(system, measure) {
                    bars = add(bars, system, figure);
                }
            }
            plots.push((name, bars.svg()));
        }
        let mut latency = Bars::new("Latency of one request at a time", "p50", Unit::Micros);
        for system in SYSTEMS {
            if let Some(figure) = self.figures.find(requests::ALONE, system, "p50 us") {
                latency = add(latency, system, figure);
            }
        }
        plots.push(("latency", latency.svg()));
        let mut bulk = Bars::new(
            "Processor time of 1 GiB over one connection",
            "seconds",
            Unit::Seconds,
        )
        .series(["down", "up"]);
        for system in SYSTEMS {
            let find = |case| self.figures.find(case, system, "CPU s/GiB");
            if let (Some(down), Some(up)) = (find(bulk::DOWN), find(bulk::UP)) {
                bulk = bulk.row(system, [bar(down), bar(up)]);
                if system == OWN {
                    bulk = bulk.own();
                }
            }
        }
        plots.push(("bulk", bulk.svg()));
        plots
    }
}

fn add(bars: Bars, system: &str, figure: &Figure) -> Bars {
    let bars = bars.row(system, [bar(figure)]);
    if system == OWN { bars.own() } else { bars }
}

fn bar(figure: &Figure) -> Bar {
    let rounds = figure.rounds.iter().copied();
    let (least, most) = rounds.fold((f64::INFINITY, 0.0_f64), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    Bar {
        value: figure.median(),
        spread: Some((least, most)),
    }
}

/// The page with other text between the marks called `name`.
fn renewed(page: &str, name: &str, text: &str) -> anyhow::Result<String> {
    let (open, close) = (
        format!("<!-- bench: {name} -->"),
        format!("<!-- end: {name} -->"),
    );
    let Some((before, rest)) = page.split_once(&open) else {
        bail!("{PAGE} has no mark {open}");
    };
    let Some((_, after)) = rest.split_once(&close) else {
        bail!("{PAGE} has no mark {close}");
    };
    Ok(format!(
        "{before}{open}\n\n{}\n\n{close}{after}",
        text.trim_end()
    ))
}

const PAGE: &str = "benchmarks.md";
const PICTURES: &str = "benchmarks";
const OWN: &str = "adit";
/// From the ceilings to the peers.
const SYSTEMS: [&str; 7] = [
    "direct",
    "quinn",
    "hop",
    OWN,
    requests::UNINSPECTED,
    "rathole",
    "frp",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_renewed() {
        let page = "before\n<!-- bench: a -->\nold\n<!-- end: a -->\nafter\n";
        let once = renewed(page, "a", "new").unwrap();
        assert_eq!(
            once,
            "before\n<!-- bench: a -->\n\nnew\n\n<!-- end: a -->\nafter\n"
        );
        assert_eq!(renewed(&once, "a", "new").unwrap(), once);
        assert!(renewed(page, "b", "new").is_err());
    }
}
