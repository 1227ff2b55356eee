//! Sizes of bodies, drawn from a distribution, and bodies of these sizes.
//!
//! All chance comes from a fixed seed, so that two runs send the same.

use std::fmt;
use std::str::FromStr;

use adit_shared::quantity::Size;
use bytes::Bytes;
use thiserror::Error;

/// How large bodies are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sizes {
    /// All alike.
    Fixed(u64),
    /// From one size to another, each as likely.
    Uniform(u64, u64),
    /// Half are smaller than `median`; `sigma` is the spread of the logarithm.
    LogNormal {
        /// The median.
        median: u64,
        /// Standard deviation of the natural logarithm.
        sigma: f64,
    },
    /// Many small ones; the mean is this.
    Exponential(u64),
}

impl Sizes {
    /// The next size.
    pub fn draw(&self, dice: &mut Dice) -> u64 {
        match *self {
            Self::Fixed(size) => size,
            Self::Uniform(from, to) => from + dice.below(to - from + 1),
            Self::LogNormal { median, sigma } => {
                bounded(median, (sigma * dice.normal()).exp() * median as f64)
            }
            Self::Exponential(mean) => bounded(mean, -dice.share().ln() * mean as f64),
        }
    }

    /// Whether there is only one size.
    pub fn fixed(&self) -> Option<u64> {
        match *self {
            Self::Fixed(size) => Some(size),
            Self::Uniform(from, to) if from == to => Some(from),
            Self::Uniform(..) | Self::LogNormal { .. } | Self::Exponential(_) => None,
        }
    }
}

/// A tail without end would make two runs differ by a single giant.
fn bounded(typical: u64, size: f64) -> u64 {
    (size.round() as u64).min(typical.saturating_mul(TAIL))
}

const TAIL: u64 = 64;
/// A common shape of response and upload sizes on the web.
const SIGMA: f64 = 1.0;

impl FromStr for Sizes {
    type Err = BadSizes;

    fn from_str(text: &str) -> Result<Self, BadSizes> {
        if let Some((from, to)) = text.split_once("..") {
            let (from, to) = (size(from)?, size(to)?);
            if from > to {
                return Err(BadSizes);
            }
            return Ok(Self::Uniform(from, to));
        }
        if let Some(rest) = text.strip_prefix("lognormal:") {
            let (median, sigma) = match rest.split_once(',') {
                Some((median, sigma)) => (median, sigma.parse().map_err(|_| BadSizes)?),
                None => (rest, SIGMA),
            };
            if !(0.0..=4.0).contains(&sigma) {
                return Err(BadSizes);
            }
            let median = size(median)?;
            return Ok(Self::LogNormal { median, sigma });
        }
        if let Some(mean) = text.strip_prefix("exponential:") {
            return Ok(Self::Exponential(size(mean)?));
        }
        Ok(Self::Fixed(size(text)?))
    }
}

fn size(text: &str) -> Result<u64, BadSizes> {
    let Size(size) = text.parse().map_err(|_| BadSizes)?;
    u64::try_from(size).map_err(|_| BadSizes)
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Fixed(size) => write!(f, "{size} bytes"),
            Self::Uniform(from, to) => write!(f, "{from} to {to} bytes, uniform"),
            Self::LogNormal { median, sigma } => {
                write!(f, "log-normal, median {median} bytes, sigma {sigma}")
            }
            Self::Exponential(mean) => write!(f, "exponential, mean {mean} bytes"),
        }
    }
}

/// The text is no distribution of sizes.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("sizes are written 16KiB, 1KiB..64KiB, lognormal:8KiB[,SIGMA] or exponential:8KiB")]
pub struct BadSizes;

/// Chance that is the same in every run (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Another sequence for each `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(limit)) >> 64) as u64
    }

    /// Above 0, at most 1.
    fn share(&mut self) -> f64 {
        ((self.roll() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Normally distributed, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.share().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }
}

/// Where bodies come from.
#[derive(Clone, Debug)]
pub enum Bodies {
    /// There are none.
    None,
    /// Of these sizes, filled with noise that does not compress.
    Noise(Sizes, Bytes),
    /// Always this one.
    File(Bytes),
}

impl Bodies {
    /// Noise of these sizes.
    pub fn noise(sizes: Sizes) -> Self {
        let mut dice = Dice::new(1);
        let noise = (0..NOISE / 8).flat_map(|_| dice.roll().to_le_bytes());
        Self::Noise(sizes, noise.collect())
    }

    /// The next body.
    pub fn draw(&self, dice: &mut Dice) -> Body {
        match self {
            Self::None => Body::default(),
            Self::Noise(sizes, noise) => Body {
                len: sizes.draw(dice),
                shift: dice.below(noise.len() as u64) as usize,
                source: noise.clone(),
            },
            Self::File(bytes) => Body {
                len: bytes.len() as u64,
                shift: 0,
                source: bytes.clone(),
            },
        }
    }
}

impl fmt::Display for Bodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Noise(sizes, _) => sizes.fmt(f),
            Self::File(bytes) => write!(f, "a file of {} bytes", bytes.len()),
        }
    }
}

/// One body. It takes no memory of its own, however large it is: its source repeats.
#[derive(Clone, Debug, Default)]
pub struct Body {
    len: u64,
    shift: usize,
    source: Bytes,
}

impl Body {
    /// How long it is.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What follows the first `at` bytes, as far as it lies in one piece; empty at the end.
    pub fn piece(&self, at: u64) -> Bytes {
        self.span(at)
            .map_or_else(Bytes::new, |span| self.source.slice(span))
    }

    /// The same, borrowed.
    pub fn peek(&self, at: u64) -> &[u8] {
        self.span(at).map_or(&[], |span| &self.source[span])
    }

    fn span(&self, at: u64) -> Option<std::ops::Range<usize>> {
        let left = self.len.checked_sub(at).filter(|left| *left > 0)?;
        let whole = self.source.len();
        let from = ((self.shift as u64 + at) % whole as u64) as usize;
        let len = left.min((whole - from) as u64) as usize;
        Some(from..from + len)
    }
}

/// Long enough that the pieces of a large body are.
const NOISE: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, sizes) in [
            ("0", Sizes::Fixed(0)),
            ("16KiB", Sizes::Fixed(16384)),
            ("1KiB..64KiB", Sizes::Uniform(1024, 65536)),
            (
                "lognormal:8KiB",
                Sizes::LogNormal {
                    median: 8192,
                    sigma: 1.0,
                },
            ),
            (
                "lognormal:100,0.5",
                Sizes::LogNormal {
                    median: 100,
                    sigma: 0.5,
                },
            ),
            ("exponential:1MiB", Sizes::Exponential(1 << 20)),
        ] {
            assert_eq!(text.parse(), Ok(sizes), "{text}");
        }
        for text in [
            "",
            "..",
            "2..1",
            "1KB",
            "lognormal:",
            "lognormal:1,x",
            "lognormal:1,-1",
            "lognormal:1,NaN",
            "pareto:1",
        ] {
            assert_eq!(text.parse::<Sizes>(), Err(BadSizes), "{text}");
        }
    }

    #[test]
    fn draws_follow_the_distribution() {
        let draws = |text: &str| {
            let sizes: Sizes = text.parse().unwrap();
            let mut dice = Dice::new(7);
            let mut drawn: Vec<u64> = (0..20_000).map(|_| sizes.draw(&mut dice)).collect();
            drawn.sort_unstable();
            drawn
        };
        let within =
            |value: f64, from: f64, to: f64| assert!((from..to).contains(&value), "{value}");
        let mean = |drawn: &[u64]| drawn.iter().sum::<u64>() as f64 / drawn.len() as f64;

        let uniform = draws("10..20");
        assert_eq!((uniform[0], uniform[19_999]), (10, 20));
        within(mean(&uniform), 14.9, 15.1);

        let lognormal = draws("lognormal:10000");
        within(lognormal[10_000] as f64, 9_700.0, 10_300.0);
        // One standard deviation above the median is a factor of e.
        within(lognormal[16_827] as f64, 26_000.0, 28_500.0);
        assert!(lognormal[19_999] <= 640_000);

        within(mean(&draws("exponential:10000")), 9_800.0, 10_200.0);
    }

    #[test]
    fn a_body_is_its_pieces() {
        let mut dice = Dice::new(3);
        let bodies = Bodies::noise(Sizes::Fixed(700_001));
        let body = bodies.draw(&mut dice);
        let (mut at, mut pieces) = (0, 0);
        while !body.piece(at).is_empty() {
            assert_eq!(body.piece(at), body.peek(at));
            at += body.piece(at).len() as u64;
            pieces += 1;
        }
        assert_eq!(at, 700_001);
        assert!(pieces <= 4);
        assert_ne!(body.peek(0)[..16], bodies.draw(&mut dice).peek(0)[..16]);
        assert!(Bodies::None.draw(&mut dice).peek(0).is_empty());
    }
}
