//! The circular block bootstrap: what else might have been measured?

use super::{
    LEVEL,
    measure::{Kind, Seconds},
};

/// Where the change from `old` to `new` lies, `seen` being what was measured. Both have some seconds.
pub(super) fn interval(old: &Seconds, new: &Seconds, kind: Kind, seen: f64) -> (f64, f64) {
    let mut random = Random(SEED);
    let mut room = Vec::new();
    let mut changes: Vec<f64> = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let old = draw(old, &mut random, &mut room);
        let new = draw(new, &mut random, &mut room);
        // A draw of seconds in which nothing happened says nothing.
        if let (Some(old), Some(new)) = (old, new)
            && let Some(change) = kind.change(old, new)
        {
            changes.push(change);
        }
    }
    if changes.is_empty() {
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    changes.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - LEVEL) / 2.0;
    let at = |part: f64| changes[(part * (changes.len() - 1) as f64).round() as usize];
    let widen = widening(blocks(old.len()) + blocks(new.len()) - 2.0);
    let low = seen - widen * (seen - at(tail));
    let high = seen + widen * (at(1.0 - tail) - seen);
    let least = match kind {
        Kind::Ratio => -1.0,
        Kind::Difference => f64::NEG_INFINITY,
    };
    // Infinitely more than infinitely more is no number.
    let or_seen = |value: f64| if value.is_nan() { seen } else { value };
    (or_seen(low).max(least), or_seen(high))
}

/// The figure of as many seconds as there are, in blocks that begin anywhere.
fn draw(seconds: &Seconds, random: &mut Random, room: &mut Vec<f64>) -> Option<f64> {
    let count = seconds.len();
    let block = block(count);
    let mut start = 0;
    let drawn = (0..count).map(|index| {
        let within = index % block;
        if within == 0 {
            start = random.below(count);
        }
        (start + within) % count
    });
    seconds.figure_of(drawn, room)
}

/// Seconds in a block, of so many: about the cube root.
fn block(count: usize) -> usize {
    ((count as f64).cbrt().round() as usize).max(1)
}

/// How many blocks so many seconds make.
fn blocks(count: usize) -> f64 {
    count as f64 / block(count) as f64
}

/// What an interval drawn from few blocks lacks: Student's t over the normal quantile, and the n of a
/// drawn variance over the n - 1 of an unbiased one. `freedom` is that of both runs together.
fn widening(freedom: f64) -> f64 {
    let freedom = freedom.max(3.0);
    let per_run = freedom / 2.0 + 1.0;
    let z = QUANTILE;
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    // The first terms of Student's t by powers of 1 / freedom.
    let t = z
        + (z3 + z) / (4.0 * freedom)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * freedom.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * freedom.powi(3));
    t / z * (per_run / (per_run - 1.0)).sqrt()
}

/// SplitMix64: small, good enough for drawing, and the same everywhere.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from 0 to `limit` - 1.
    fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.bits()) * limit as u128) >> 64) as usize
    }
}

/// Any would do; it must not change.
const SEED: u64 = 0xad17;

/// With so many draws about ten lie beyond each end of the interval.
const DRAWS: usize = 2000;

/// The normal quantile of [`LEVEL`].
const QUANTILE: f64 = 2.575_829;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widening_is_that_of_students_t() {
        for (freedom, t) in [(4.0, 4.604), (10.0, 3.169), (30.0, 2.750)] {
            let per_run: f64 = freedom / 2.0 + 1.0;
            let factor = widening(freedom) / (per_run / (per_run - 1.0)).sqrt();
            assert!((factor * QUANTILE - t).abs() < 0.06, "{freedom}: {factor}");
        }
    }
}
