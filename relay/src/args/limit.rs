//! A limit that is set by a flag.

use std::str::FromStr;

use thiserror::Error;

/// A limit by its name, such as `visitors=100`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limit {
    /// The name.
    pub key: String,
    /// What it is to be.
    pub value: String,
}

impl FromStr for Limit {
    type Err = BadLimit;

    fn from_str(text: &str) -> Result<Self, BadLimit> {
        let (key, value) = text.split_once('=').ok_or(BadLimit)?;
        Ok(Self {
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
        })
    }
}

/// The text is no limit.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a limit is its name and a value, such as visitors=100 or head-timeout=5s")]
pub struct BadLimit;
