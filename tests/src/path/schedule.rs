//! Faults one after the other, or over one another, drawn from a seed.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Faults, Path};
use crate::random::Random;

/// What happens to a way, and when. As text it is what to print when a test fails.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What it was drawn from.
    pub seed: u64,
    /// When, from the beginning, and what.
    pub steps: Vec<(Duration, Step)>,
}

/// Something that happens to a way.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// From now on it is this bad.
    Set(Faults),
    /// The NAT forgets, and takes another port.
    Rebind,
    /// The agent is seen at another IP address.
    Move,
}

impl Schedule {
    /// Up to `most` faults within `span`, and a good way at its end. A cut may last for up to
    /// `longest`.
    pub fn random(seed: u64, most: u64, span: Duration, longest: Duration) -> Self {
        let mut random = Random::new(seed);
        let delay = Duration::from_millis(random.pick(&[0, 1, 5, 20, 50]));
        let usual = Faults {
            delay,
            ..Faults::default()
        };
        let mut steps = vec![(Duration::ZERO, Step::Set(usual))];
        let mut at = Duration::ZERO;
        let pause = span / u32::try_from(most).unwrap_or(1) * 2;
        for _ in 0..=random.below(most) {
            at += pause.mul_f64(random.share());
            let fault = fault(&mut random, usual);
            steps.push((at, fault));
            if let Step::Set(faults) = fault {
                let longest = if faults.is_dark() { longest } else { span };
                at += longest.mul_f64(random.share());
                steps.push((at, Step::Set(usual)));
            }
        }
        Self { seed, steps }
    }

    /// Up to `most` faults that begin within `span` and may last beyond the next, and a good way at the end:
    /// a change of address during a cut, one cut during another, loss through both. A cut may last for up
    /// to `longest`.
    pub fn overlapping(seed: u64, most: u64, span: Duration, longest: Duration) -> Self {
        let mut random = Random::new(seed);
        let usual = Faults {
            delay: Duration::from_millis(random.pick(&[0, 1, 5, 20, 50])),
            ..Faults::default()
        };
        let (mut changes, mut bad) = (Vec::new(), Vec::new());
        // Two at least, or there is nothing to overlap.
        for _ in 0..2 + random.below(most.saturating_sub(1)) {
            let at = span.mul_f64(random.share());
            match fault(&mut random, usual) {
                Step::Set(faults) => {
                    let longest = if faults.is_dark() { longest } else { span };
                    bad.push((at, at + longest.mul_f64(random.share()), faults));
                }
                change => changes.push((at, change)),
            }
        }
        let ends = bad.iter().flat_map(|(from, to, _)| [*from, *to]);
        let mut times: Vec<_> = ends.chain([Duration::ZERO]).collect();
        times.sort_unstable();
        times.dedup();
        let sets = times.into_iter().map(|at| {
            let now = bad
                .iter()
                .filter(|(from, to, _)| (*from..*to).contains(&at));
            let all = now.fold(usual, |all, (.., faults)| all.and(faults));
            (at, Step::Set(all))
        });
        let mut steps: Vec<_> = sets.chain(changes).collect();
        steps.sort_by_key(|(at, _)| *at);
        Self { seed, steps }
    }

    /// Makes all of it happen to `path`, and ends with the last of it. Safe to drop.
    pub async fn run(&self, path: &Path) {
        let began = Instant::now();
        for (at, step) in &self.steps {
            sleep_until(began + *at).await;
            match step {
                Step::Set(faults) => path.set(*faults),
                Step::Rebind => path.rebind(),
                Step::Move => path.change_address(),
            }
        }
    }

    /// For how long, all in all, no question had an answer.
    pub fn dark(&self) -> Duration {
        let mut dark = Duration::ZERO;
        let mut since = None;
        for (at, step) in &self.steps {
            let Step::Set(faults) = step else { continue };
            match (faults.is_dark(), since) {
                (true, None) => since = Some(*at),
                (false, Some(begun)) => {
                    dark += *at - begun;
                    since = None;
                }
                _ => {}
            }
        }
        dark
    }

    /// How long it lasts.
    pub fn length(&self) -> Duration {
        self.steps.last().map_or(Duration::ZERO, |(at, _)| *at)
    }
}

fn fault(random: &mut Random, usual: Faults) -> Step {
    match random.below(10) {
        0 | 1 => Step::Rebind,
        2 => Step::Move,
        3 => Step::Set(usual.but_cut()),
        4 => Step::Set(Faults {
            cut_to_relay: true,
            ..usual
        }),
        5 => Step::Set(Faults {
            cut_to_agent: true,
            ..usual
        }),
        6 => Step::Set(Faults {
            loss: random.pick(&[0.01, 0.05, 0.1, 0.3]),
            ..usual
        }),
        7 => Step::Set(Faults {
            reorder: random.pick(&[0.02, 0.2]),
            ..usual
        }),
        8 => Step::Set(Faults {
            duplicate: random.pick(&[0.02, 0.5]),
            ..usual
        }),
        _ => Step::Set(Faults {
            // No smaller one may be on a QUIC path (RFC 9000 section 14).
            max_datagram: Some(random.pick(&[1200, 1252])),
            ..usual
        }),
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}", self.seed)?;
        for (at, step) in &self.steps {
            write!(f, "\n  {:>6} ms: ", at.as_millis())?;
            match step {
                Step::Set(faults) => write!(f, "{faults}")?,
                Step::Rebind => write!(f, "another port")?,
                Step::Move => write!(f, "another address")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_schedule_that_ends_well() {
        let draw = |seed| Schedule::random(seed, 6, Duration::from_secs(5), Duration::from_secs(2));
        assert_eq!(draw(7).to_string(), draw(7).to_string());
        assert_ne!(draw(7).to_string(), draw(8).to_string());
        for seed in 0..200 {
            ends_well(&draw(seed));
        }
    }

    #[test]
    fn faults_of_one_schedule_overlap_and_end_well() {
        let draw =
            |seed| Schedule::overlapping(seed, 8, Duration::from_secs(5), Duration::from_secs(2));
        assert_eq!(draw(7).to_string(), draw(7).to_string());
        let mut in_the_dark = 0;
        for seed in 0..200 {
            let schedule = draw(seed);
            ends_well(&schedule);
            let mut is_dark = false;
            for (_, step) in &schedule.steps {
                match step {
                    Step::Set(faults) => is_dark = faults.is_dark(),
                    Step::Rebind | Step::Move => in_the_dark += u32::from(is_dark),
                }
            }
        }
        assert!(
            in_the_dark > 20,
            "{in_the_dark} changes of address in a cut"
        );
    }

    fn ends_well(schedule: &Schedule) {
        let steps = schedule.steps.iter().rev();
        let last = steps.clone().find_map(|(_, step)| match step {
            Step::Set(faults) => Some(faults),
            Step::Rebind | Step::Move => None,
        });
        assert!(last.is_some_and(|faults| !faults.is_dark()), "{schedule}");
        assert!(schedule.dark() <= schedule.length(), "{schedule}");
        assert!(schedule.steps.is_sorted_by_key(|(at, _)| *at), "{schedule}");
    }
}
