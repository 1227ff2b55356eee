//! Which congestion control a connection has.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use quinn::congestion::{ControllerFactory, CubicConfig};
use thiserror::Error;

use super::bbr;

/// How a sender finds out how much the path takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Congestion {
    /// From how fast what it sends arrives: BBR, after draft-ietf-ccwg-bbr.
    #[default]
    Bbr,
    /// From what is lost: CUBIC (RFC 9438).
    Cubic,
}

impl Congestion {
    /// Makes controllers of this kind that begin with `start` bytes in flight. For simulations;
    /// endpoints are told with `with_congestion`.
    pub fn controllers(self, start: u64) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Bbr => Arc::new(bbr::Factory { start }),
            Self::Cubic => {
                let mut cubic = CubicConfig::default();
                cubic.initial_window(start);
                Arc::new(cubic)
            }
        }
    }
}

impl FromStr for Congestion {
    type Err = BadCongestion;

    fn from_str(text: &str) -> Result<Self, BadCongestion> {
        match text {
            "bbr" => Ok(Self::Bbr),
            "cubic" => Ok(Self::Cubic),
            _ => Err(BadCongestion),
        }
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bbr => "bbr",
            Self::Cubic => "cubic",
        })
    }
}

/// What was given is no congestion control.
#[derive(Clone, Copy, Debug, Error)]
#[error("this is neither `bbr` nor `cubic`")]
pub struct BadCongestion;
