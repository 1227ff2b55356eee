//! What was measured: a value for each round of each case.

use serde::Serialize;

/// All of it.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Figures(Vec<Figure>);

/// One measure of one system in one case.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// What was done, such as `1 KiB x 64`.
    pub case: String,
    /// What it was done with, such as `adit`.
    pub system: String,
    /// What was measured, with its unit, such as `CPU us/request`.
    pub measure: &'static str,
    /// A value for each round.
    pub rounds: Vec<f64>,
}

impl Figure {
    /// The middle value.
    pub(crate) fn median(&self) -> f64 {
        median(&self.rounds)
    }
}

impl Figures {
    /// Keeps the value of a round.
    pub(crate) fn note(&mut self, case: &str, system: &str, measure: &'static str, value: f64) {
        let same = |figure: &&mut Figure| {
            figure.case == case && figure.system == system && figure.measure == measure
        };
        match self.0.iter_mut().find(same) {
            Some(figure) => figure.rounds.push(value),
            None => self.0.push(Figure {
                case: case.to_owned(),
                system: system.to_owned(),
                measure,
                rounds: vec![value],
            }),
        }
    }

    /// What is known of one measure of one system in one case.
    pub(crate) fn find(&self, case: &str, system: &str, measure: &str) -> Option<&Figure> {
        self.0.iter().find(|figure| {
            figure.case == case && figure.system == system && figure.measure == measure
        })
    }

    /// The middle value of it.
    pub(crate) fn median(&self, case: &str, system: &str, measure: &str) -> Option<f64> {
        self.find(case, system, measure).map(Figure::median)
    }

    /// All of them, in the order in which they were measured first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Figure> {
        self.0.iter()
    }
}

/// How two measures compare.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Ratio {
    /// The middle of the rounds' ratios: what drifts with the machine drifts in both.
    pub middle: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Ratio {
    /// The ratios of the rounds that both have; none when there is none.
    pub(crate) fn of(above: &[f64], below: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = above
            .iter()
            .zip(below)
            .map(|(above, below)| above / below)
            .filter(|ratio| ratio.is_finite())
            .collect();
        (!ratios.is_empty()).then(|| Self {
            middle: median(&ratios),
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            most: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

/// The middle value, or the mean of the two in the middle; not a number when there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[at],
        _ => (sorted[at - 1] + sorted[at]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let ratio = Ratio::of(&[2.0, 6.0, 30.0, 1.0], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((ratio.least, ratio.middle, ratio.most), (2.0, 3.0, 10.0));
        assert!(Ratio::of(&[1.0], &[0.0]).is_none());
    }

    #[test]
    fn rounds_are_kept_together() {
        let mut figures = Figures::default();
        figures.note("case", "adit", "req/s", 1.0);
        figures.note("case", "hop", "req/s", 2.0);
        figures.note("case", "adit", "req/s", 3.0);
        assert_eq!(figures.median("case", "adit", "req/s"), Some(2.0));
        assert_eq!(figures.iter().count(), 2);
    }
}
