//! Which webhooks must be genuine, and what else is done for them.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use adit_shared::webhook::Secret;
use adit_shared::webhook::rule::Rule;
use thiserror::Error;

/// What is done for the webhooks of a tunnel.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// Which requests must be genuine. None is asked of when there is no rule.
    pub rules: Vec<Rule>,
    /// What becomes of an event that has come before.
    pub duplicates: Duplicates,
    /// For how long an event is remembered.
    pub window: Duration,
    /// When the agent answers a provider that asks whether the endpoint is the right one.
    pub challenges: Challenges,
    /// How many bytes of a request are read before the origin gets it.
    pub limit: usize,
    /// Whether what the relay has kept is signed anew, if it is genuine.
    pub sign_anew: bool,
    /// Whether a subscription to a topic of Amazon SNS is confirmed, if the request for it is genuine.
    pub confirm: bool,
    /// What is signed anew is signed with, by the names of providers: of those that have secrets of their own.
    pub signing: BTreeMap<&'static str, Secret>,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            duplicates: Duplicates::Mark,
            window: WINDOW,
            challenges: Challenges::Down,
            limit: LIMIT,
            sign_anew: false,
            confirm: false,
            signing: BTreeMap::new(),
        }
    }
}

/// What becomes of an event that has come before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duplicates {
    /// The origin is told how often it has come.
    Mark,
    /// The origin does not see it again, and the first answer is given again.
    Drop,
    /// Nothing is remembered.
    Off,
}

impl FromStr for Duplicates {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "mark" => Ok(Self::Mark),
            "drop" => Ok(Self::Drop),
            "off" => Ok(Self::Off),
            _ => Err("this is none of mark, drop and off"),
        }
    }
}

/// When challenges are answered here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Challenges {
    /// While the origin cannot be connected to.
    Down,
    /// Always.
    Always,
    /// Never, but for what `enforce` would otherwise refuse.
    Off,
}

impl FromStr for Challenges {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "down" => Ok(Self::Down),
            "always" => Ok(Self::Always),
            "off" => Ok(Self::Off),
            _ => Err("this is none of down, always and off"),
        }
    }
}

/// Why webhooks cannot be treated as asked.
#[derive(Debug, Error)]
pub(super) enum BadWebhooks {
    #[error("64MiB is the most: so much is kept of all webhooks together")]
    Limit,
    #[error("`drop` needs --verify: anybody could otherwise have an event dropped")]
    Drop,
    #[error("it needs --verify: only what is known to be genuine is signed anew")]
    SignAnew,
    #[error("it needs --verify sns: only what is known to be genuine is confirmed")]
    Confirm,
}

/// Most senders give an event up within a day; a person who sends one again does it within hours.
const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// Twenty-five times what Shopify sends at most, and small beside what the budget for all is.
const LIMIT: usize = 1 << 20;
/// Bytes of webhooks that are kept at a time while they are verified, of all tunnels together.
pub(crate) const BUDGET: usize = 64 << 20;
