//! Which failures are simulated, to try out handlers of webhooks.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Failures that are simulated. What follows from chance follows from the seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Simulate {
    /// The share of requests that the origin gets twice, from 0 to 1.
    pub duplicate: f64,
    /// How long a request waits before the origin gets it.
    pub delay: Duration,
    /// Whether each waits for a time of its own, so that they overtake each other.
    pub reorder: bool,
    /// The share of responses that are lost, from 0 to 1.
    pub drop_response: f64,
    /// For how long the agent is away, again and again.
    pub offline: Option<Duration>,
    /// From which all of it follows.
    pub seed: u64,
}

impl FromStr for Simulate {
    type Err = String;

    /// `duplicate=5%,delay=3s,reorder,drop-response=2%,offline=60s,seed=7`. Without a seed, a random one.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut simulate, mut seed) = (Self::default(), None);
        for word in text.split(',').map(str::trim) {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "duplicate" => simulate.duplicate = share(word, value)?,
                "delay" => simulate.delay = time(word, value)?,
                "reorder" if value.is_empty() => simulate.reorder = true,
                "drop-response" => simulate.drop_response = share(word, value)?,
                "offline" => simulate.offline = Some(time(word, value)?),
                "seed" => {
                    let number = value.parse();
                    seed = Some(number.map_err(|_| format!("{word}: a seed is a number"))?);
                }
                _ => {
                    return Err(format!(
                        "{word}: this is none of duplicate=N%, delay=TIME, reorder, drop-response=N%, \
                         offline=TIME and seed=N"
                    ));
                }
            }
        }
        simulate.seed = seed.unwrap_or_else(random);
        Ok(simulate)
    }
}

fn share(word: &str, text: &str) -> Result<f64, String> {
    let percent = text
        .strip_suffix('%')
        .and_then(|number| number.parse().ok());
    let percent = percent.filter(|percent: &f64| (0.0..=100.0).contains(percent));
    let percent = percent.ok_or_else(|| format!("{word}: a share is written as in 5%"))?;
    Ok(percent / 100.0)
}

fn time(word: &str, text: &str) -> Result<Duration, String> {
    let time: Option<jiff::SignedDuration> = text.parse().ok();
    let time = time.and_then(|time| Duration::try_from(time).ok());
    let time = time.filter(|time| !time.is_zero() && *time <= LONGEST);
    time.ok_or_else(|| format!("{word}: a time is written as in 500ms or 60s, and at most 1h"))
}

fn random() -> u64 {
    let mut bytes = [0; 4];
    // Without randomness every run is alike, which is no harm.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u32::from_ne_bytes(bytes).into()
}

impl fmt::Display for Simulate {
    /// As it can be given once more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.duplicate > 0.0 {
            write!(f, "duplicate={}%,", self.duplicate * 100.0)?;
        }
        if !self.delay.is_zero() {
            write!(f, "delay={}ms,", self.delay.as_millis())?;
        }
        if self.reorder {
            write!(f, "reorder,")?;
        }
        if self.drop_response > 0.0 {
            write!(f, "drop-response={}%,", self.drop_response * 100.0)?;
        }
        if let Some(offline) = self.offline {
            write!(f, "offline={}ms,", offline.as_millis())?;
        }
        write!(f, "seed={}", self.seed)
    }
}

const LONGEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_are_read_as_they_are_written() {
        let text = "duplicate=5%,delay=3s,reorder,drop-response=2.5%,offline=1m,seed=7";
        let simulate: Simulate = text.parse().unwrap();
        let expected = Simulate {
            duplicate: 0.05,
            delay: Duration::from_secs(3),
            reorder: true,
            drop_response: 0.025,
            offline: Some(Duration::from_secs(60)),
            seed: 7,
        };
        assert_eq!(simulate, expected);
        let shown = simulate.to_string();
        assert_eq!(
            shown,
            "duplicate=5%,delay=3000ms,reorder,drop-response=2.5%,offline=60000ms,seed=7"
        );
        assert_eq!(shown.parse(), Ok(expected));
        for (bad, why) in [
            ("duplicate=5", "as in 5%"),
            ("duplicate=101%", "as in 5%"),
            ("delay=soon", "as in 500ms"),
            ("offline=0s", "as in 500ms"),
            ("reorder=1", "none of"),
            ("dup=5%", "none of"),
            ("", "none of"),
            ("seed=x", "a number"),
        ] {
            let error = bad.parse::<Simulate>().unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
