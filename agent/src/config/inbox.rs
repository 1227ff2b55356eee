//! What the relay shall keep of a tunnel that it cannot serve.

use std::time::Duration;

use adit_shared::paths::PathPattern;
use adit_shared::wire::inbox::{Causes, MAX_PATTERNS};

use super::BadConfig;
use super::given::{Layer, Setting, first};
use super::resolve::duration;

/// What the relay shall keep of a tunnel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inbox {
    /// Which paths are meant; at least one.
    pub patterns: Vec<PathPattern>,
    /// When requests are kept, beside when the agent is away.
    pub causes: Causes,
    /// The status with which those are answered.
    pub status: u16,
    /// How many are delivered at once.
    pub parallel: u16,
    /// After how long a request is answered though the origin still works on it.
    pub ack_within: Option<Duration>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            patterns: vec![PathPattern::everything()],
            causes: CAUSES,
            status: 202,
            parallel: 1,
            ack_within: None,
        }
    }
}

/// The inbox that `layers` describe; none when they want none.
pub(super) fn inbox(layers: &[Layer]) -> Result<Option<Inbox>, BadConfig> {
    let one = |key| first(layers, &[key]);
    let (wanted, early) = (one("inbox")?, one("ack-within")?);
    if wanted.is_none() && early.is_none() {
        for key in ["inbox-on", "inbox-status", "inbox-parallel"] {
            if let Some(setting) = one(key)? {
                let why = "there is no inbox without --inbox or --ack-within";
                return Err(BadConfig::value(setting.place, why));
            }
        }
        return Ok(None);
    }
    let usual = Inbox::default();
    Ok(Some(Inbox {
        patterns: wanted.map_or(Ok(usual.patterns), |setting| patterns(&setting))?,
        causes: one("inbox-on")?.map_or(Ok(usual.causes), |setting| causes(&setting))?,
        status: one("inbox-status")?.map_or(Ok(usual.status), |setting| {
            number(&setting, 200..=299, "this is no status of 200 to 299")
        })?,
        parallel: one("inbox-parallel")?.map_or(Ok(usual.parallel), |setting| {
            number(&setting, 1..=64, "this is no number from 1 to 64")
        })?,
        ack_within: early.map(ack_within).transpose()?,
    }))
}

/// The paths of which `layers` want copies; none when this is no mirror. It says of what it is one.
pub(super) fn mirror(layers: &[Layer]) -> Result<Option<Vec<PathPattern>>, BadConfig> {
    let Some(setting) = first(layers, &["mirror"])? else {
        return Ok(None);
    };
    if first(layers, &["subdomain", "hostname"])?.is_none() {
        let why = "it needs --subdomain or --hostname: of what there are copies";
        return Err(BadConfig::value(setting.place, why));
    }
    if first(layers, &["inbox", "ack-within"])?.is_some() {
        let why = "a mirror has no inbox: that is for the agent which serves the name";
        return Err(BadConfig::value(setting.place, why));
    }
    patterns(&setting).map(Some)
}

fn patterns(setting: &Setting) -> Result<Vec<PathPattern>, BadConfig> {
    let patterns: Vec<PathPattern> = setting.parse_each()?;
    if patterns.len() > MAX_PATTERNS {
        let why = format!("these are more than {MAX_PATTERNS} patterns");
        return Err(BadConfig::value(setting.place.clone(), why));
    }
    Ok(patterns)
}

fn causes(setting: &Setting) -> Result<Causes, BadConfig> {
    setting.parse_with(|text| {
        if text == "none" {
            return Ok(Causes(0));
        }
        let known = |word: &str| Causes::WORDS.iter().find(|(known, _)| *known == word);
        text.split(',').try_fold(Causes(0), |causes, word| {
            let (_, cause) = known(word.trim())
                .ok_or("this is none of refused, reset, timeout, 5xx and none")?;
            Ok::<_, &str>(causes.and(*cause))
        })
    })
}

fn number(
    setting: &Setting,
    range: std::ops::RangeInclusive<u16>,
    why: &'static str,
) -> Result<u16, BadConfig> {
    setting.parse_with(|text| {
        let number = text.parse().ok();
        number.filter(|number| range.contains(number)).ok_or(why)
    })
}

fn ack_within(setting: Setting) -> Result<Duration, BadConfig> {
    let place = setting.place.clone();
    let time = duration(Some(setting), Duration::ZERO)?;
    if time.is_zero() {
        return Err(BadConfig::value(place, "nothing is answered in no time"));
    }
    Ok(time)
}

/// What the sender would be told to try again for.
const CAUSES: Causes = Causes::REFUSED.and(Causes::RESET).and(Causes::TIMEOUT);
